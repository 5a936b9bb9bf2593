"""Every name in the dashboard, the alert rules and the data sources is one that is really sent."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from grafana.example import DASHBOARD, GRAFANA, VARIABLES, Query, of_panels, panels, queries
from grafana.queries import Name, NotRead, logql, names, promql, traceql
from grafana.sent import Sent, series
from inithold.runner.events import RunOutcome, StepOutcome
from servers.otlp_records import Metric

pytestmark = pytest.mark.timeout(120)
QUERIES = queries()
each_query = pytest.mark.parametrize("query", QUERIES, ids=[f"{n}: {query}" for n, query in enumerate(QUERIES)])


def faults(query: Query, sent: Sent) -> list[str]:
    """What about a query is not as it is sent; a query that cannot be read is a fault."""
    try:
        used = names(query.language, query.text)
    except (NotRead, ValueError) as error:
        return [str(error)]
    found = [lacks for name in used if (lacks := sent.lacks(name))]
    grouped = {name.name for name in used if name.kind == "label" and not name.operator} | {"le"}
    return found + [f"{label} is shown and not grouped by" for label in query.shown if label not in grouped]


@each_query
def test_every_name_is_sent(query: Query, sent: Sent) -> None:
    assert not faults(query, sent)


SELECTED = {"service": "game-scheduler-init|other", "environment": "other|production", "plan": "game-scheduler"}


def test_values_can_be_selected(sent: Sent) -> None:
    for query in of_panels(SELECTED):
        assert not faults(query, sent), query


@pytest.mark.parametrize("variable", SELECTED)
def test_what_is_selected_counts(variable: str, sent: Sent) -> None:
    """Every panel heeds service and environment, and every search of runs or their steps the plan."""
    for query in of_panels({**SELECTED, variable: "none-such"}):
        if variable != "plan" or "init.environment" in query.text:
            assert faults(query, sent), query


def mutants(query: Query) -> dict[str, Query]:
    """The query with each of its names, and each value that it wants, misspelt in turn."""
    found = {}
    for name in names(query.language, query.text):
        if name.name:
            # A name has dots: `name` is not the end of `service.name`, and `init.step` no part of `init.step.id`.
            word = rf"(?<!\w)(?:(?<=span\.)|(?<=resource\.)|(?<!\.)){re.escape(name.name)}(?![\w.])"
            found[name.name] = re.sub(word, name.name + "x", query.text)
        if name.operator in ("=", "|~") and name.value:
            found[name.value] = query.text.replace(f'"{name.value}"', f'"{name.value}x"')
    return {mutated: query._replace(text=text) for mutated, text in found.items()}


@each_query
def test_a_misspelt_name_is_found(query: Query, sent: Sent) -> None:
    for mutated, mutant in mutants(query).items():
        assert mutant.text != query.text, mutated
        assert faults(mutant, sent), f"{mutated}: {mutant.text}"
    for label in query.shown:
        if label != "le":
            assert faults(query._replace(shown=(f"{label}x",)), sent)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("prometheus", "sum by (init_step_id) (init_duration_seconds_sum)"),  # a label of another metric
        ("prometheus", "init_step_attempts_attempt_bucket"),  # {attempt} is no unit
        ("prometheus", "init_runs"),  # a counter ends in _total
        ("prometheus", "init_duration_seconds"),  # a histogram is three series
        ("prometheus", "init_ready_ratio"),
        ("prometheus", 'init_ready{job="game-scheduler-init"}'),  # it has the namespace before it
        ("loki", '{init_outcome="failed"}'),  # not a label of the index
        ("loki", '{deployment_environment_name="production"}'),  # nor is this one in every version
        ("loki", '{service_name="game-scheduler-init"} | init_plan_name="game-scheduler"'),  # spans alone have it
        ("loki", '{service_name="game-scheduler-init"} | init_outcome="fail"'),
        ("loki", '{service_name="game-scheduler-init"} | trace_id="none-such"'),
        ("loki", '{service_name="game-scheduler-init"} |= "no such words"'),
        ("loki", '{service_name="game-scheduler-init"} | json'),  # would make labels that nobody looks at
        ("loki", '{service_name="game-scheduler-init"} | init_outcome="failed" [5m]'),
        ("tempo", '{ name = "init.run" }'),
        ("tempo", '{ span.service.name = "game-scheduler-init" }'),
        ("tempo", '{ .init.outcome = "failed" }'),
        ("tempo", '{ name = "init.environment" } | select(span.init.duration)'),
        ("tempo", '{ name = "init.environment" } | select(span.init.outcome) by'),
    ],
)
def test_a_wrong_query_is_found(language: str, text: str, sent: Sent) -> None:
    assert faults(Query("wrong", language, text), sent)


def test_readers_see_every_name() -> None:
    of = frozenset(["a_sum"])
    assert promql('sum by (x) (rate(a_sum{y="1"}[5m]) * on (z) group_left () b) / 2') == [
        Name("metric", "a_sum"),
        Name("label", "y", "=", "1", of),
        Name("metric", "b"),
        Name("label", "z", of=of),
        Name("label", "z", of=frozenset(["b"])),
        Name("label", "x", of=of),
    ]
    assert logql('max by (a, b) (sum(count_over_time({c=~"\\"d", e!="f"} |= "g" | h>5 | i="" [1m])))') == [
        Name("label", "a"),
        Name("label", "b"),
        Name("stream label", "c", "=~", '"d'),
        Name("stream label", "e", "!=", "f"),
        Name("body", "", "|=", "g"),
        Name("label", "h", ">", "5"),
        Name("label", "i", "=", ""),
    ]
    spans = '{ name = "a" || status = error } > { span.b.c > 1 && resource.d =~ "e" }'
    assert traceql(f"{spans} | quantile_over_time(duration, .9) by (span.f) | select(resource.g)") == [
        Name("intrinsic", "name", "=", "a"),
        Name("intrinsic", "status", "=", "error"),
        Name("span", "b.c", ">", "1"),
        Name("resource", "d", "=~", "e"),
        Name("intrinsic", "duration"),
        Name("span", "f"),
        Name("resource", "g"),
    ]


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        ("init.duration", "s", "histogram", ["init_duration_seconds_bucket", "init_duration_seconds_sum"]),
        ("init.step.attempts", "{attempt}", "histogram", ["init_step_attempts_bucket"]),
        ("init.runs", "{run}", "sum", ["init_runs_total"]),
        ("init.ready", "", "gauge", ["init_ready"]),
        ("init.ready", "1", "gauge", ["init_ready_ratio"]),
    ],
)
def test_names_of_series(name: str, unit: str, kind: str, expected: list[str]) -> None:
    made = [one for one, _ in series(Metric(name, unit, kind, delta=False, points=[], resource={}))]
    assert made[: len(expected)] == expected


def test_a_hold_and_its_checks_are_one_instance(sent: Sent) -> None:
    """Else each check made a series of its own, and no panel could tell how many inits there are."""
    holding = sent.metrics["init_ready"]["instance"]
    assert len(holding) == 1 and "" not in holding
    assert holding <= sent.resources["service.instance.id"], "the spans of its run are of the same"
    assert holding <= sent.streams["service_instance_id"], "and its log lines"
    assert holding <= sent.metrics["init_duration_seconds_sum"]["instance"]
    assert len(sent.resources["service.instance.id"]) == 4, "each run is one of its own"


def test_columns_are_labels_that_are_sent(sent: Sent) -> None:
    own = {"Time", "timestamp", "Line", "body"}  # columns that Grafana itself makes of log records
    for panel in (panel for panel in panels() if panel["datasource"]["type"] == "loki"):
        columns = set()
        for step in panel.get("transformations", ()):
            columns |= set(re.findall(r"\w+", step["options"].get("include", {}).get("pattern", "")))
            columns |= set(step["options"].get("indexByName", {}))
        columns |= set(re.findall(r"^/\^(\w+)\$/$", panel["options"].get("reduceOptions", {}).get("fields", "")))
        if panel["type"] == "table":
            columns |= {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]}
        assert columns - own <= set(sent.log_labels), panel["title"]


def test_outcomes_that_are_coloured_are_outcomes() -> None:
    outcomes = {*get_args(RunOutcome), *get_args(StepOutcome)}
    for panel in panels():
        mapped = {key for one in panel["fieldConfig"]["defaults"].get("mappings", ()) for key in one["options"]}
        overridden = {one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"]}
        assert mapped <= outcomes or mapped == {"0", "1"}, panel["title"]
        if panel["type"] == "timeseries" and overridden:
            assert overridden == set(get_args(RunOutcome))


def test_every_metric_is_on_the_dashboard(sent: Sent) -> None:
    """All but the counter: a process that sends once makes a poor one, runs are counted by logs."""
    text = " ".join(query.text for query in QUERIES)
    unused = {name for name in sent.metrics if name not in text}
    assert {name.rpartition("_")[0] for name in unused} == {"init_runs", "init_duration_seconds"}


def test_variables_that_are_used_are_there() -> None:
    known = {*VARIABLES, "__range", "__interval", "__value", "__from", "__to"}
    for path in (GRAFANA / "dashboards").iterdir():
        assert set(re.findall(r"\$\{?(\w+)", path.read_text())) - {"__all"} == known - {"__all"}
    assert DASHBOARD["templating"]["list"]
