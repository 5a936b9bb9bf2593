"""The dashboard and the provisioning files are what Grafana takes."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from grafana.example import DASHBOARD, EXAMPLE, GRAFANA, VARIABLES, panels, provisioned, rules

TYPES = {"stat", "timeseries", "state-timeline", "table", "bargauge", "logs"}
DATASOURCES = ("tempo", "loki", "prometheus")


def test_dashboard_says_what_it_is() -> None:
    assert DASHBOARD["schemaVersion"] >= 39  # Grafana 11
    assert DASHBOARD["uid"] == "inithold-runs"
    assert "id" not in DASHBOARD  # is Grafana's to give
    assert all(DASHBOARD[key] for key in ("title", "description", "tags", "time", "panels"))


@pytest.mark.parametrize("key", ["id", "title"])
def test_panels_can_be_told_apart(key: str) -> None:
    seen = [panel[key] for panel in panels(rows=True)]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_explains_itself(panel: dict[str, Any]) -> None:
    assert panel["type"] in TYPES
    assert panel["title"]
    assert re.search(r"\w.*[.]$", panel["description"]), "a description in sentences"
    refs = [target["refId"] for target in panel["targets"]]
    assert refs
    assert len(set(refs)) == len(refs)


def test_rows_have_titles_and_collapsed_ones_their_panels() -> None:
    for row in (panel for panel in DASHBOARD["panels"] if panel["type"] == "row"):
        assert row["title"]
        assert bool(row["panels"]) == row["collapsed"]


def test_panels_do_not_overlap() -> None:
    layers = [DASHBOARD["panels"], *(row["panels"] for row in DASHBOARD["panels"] if row.get("panels"))]
    for layer in layers:
        taken: dict[tuple[int, int], int] = {}
        for panel in layer:
            at = panel["gridPos"]
            assert at["x"] >= 0
            assert at["x"] + at["w"] <= 24
            for cell in itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])):
                assert taken.setdefault(cell, panel["id"]) == panel["id"], f"{panel['title']} at {cell}"


def test_data_sources_are_variables() -> None:
    named = [panel["datasource"] for panel in panels()]
    named += [target["datasource"] for panel in panels() for target in panel["targets"]]
    named += [variable["datasource"] for variable in VARIABLES.values() if variable["type"] == "query"]
    assert {(one["type"], one["uid"]) for one in named} == {(kind, f"${{{kind}}}") for kind in DATASOURCES}
    for kind in DATASOURCES:
        assert (VARIABLES[kind]["type"], VARIABLES[kind]["query"]) == ("datasource", kind)


def test_needs_no_metrics_generator_unless_asked() -> None:
    """A collapsed row asks Tempo for nothing before someone opens it."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            assert "_over_time(" not in target.get("query", ""), panel["title"]


def test_a_failed_run_links_to_its_trace() -> None:
    table = next(panel for panel in panels() if panel["title"] == "Failed runs")
    override = next(one for one in table["fieldConfig"]["overrides"] if one["matcher"]["options"] == "trace_id")
    link = next(each["value"][0] for each in override["properties"] if each["id"] == "links")
    panes = json.loads(parse_qs(urlsplit(link["url"]).query)["panes"][0])
    query = panes["trace"]["queries"][0]
    assert query["datasource"] == {"type": "tempo", "uid": "${tempo}"}
    assert (query["queryType"], query["query"]) == ("traceql", "${__value.raw}")


# -- provisioning


def test_the_provider_reads_a_folder_of_dashboards() -> None:
    provider = provisioned("dashboards")["providers"][0]
    assert provider["type"] == "file"
    assert [path.suffix for path in (GRAFANA / "dashboards").iterdir()] == [".json"]


def test_data_sources_take_uid_and_url_from_the_environment() -> None:
    sources = {source["type"]: source for source in provisioned("datasources")["datasources"]}
    assert set(sources) == set(DATASOURCES)
    for kind, source in sources.items():
        assert (source["uid"], source["url"]) == (f"${{{kind.upper()}_UID}}", f"${{{kind.upper()}_URL}}")


def test_only_known_variables_of_the_environment_are_filled_in() -> None:
    """Grafana fills in every `$name` of these files, with nothing where it is unset; `$$` is a dollar."""
    known = {f"{kind.upper()}_{what}" for kind in DATASOURCES for what in ("UID", "URL")}
    for path in (GRAFANA / "provisioning").rglob("*.yaml"):
        text = "".join(line.partition(" #")[0] for line in path.read_text().splitlines(keepends=True))
        assert set(re.findall(r"(?<!\$)\$\{?(\w+)", text)) <= known, path


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["uid"])
def test_a_rule_is_whole(rule: dict[str, Any]) -> None:
    refs = {one["refId"]: one for one in rule["data"]}
    condition = refs[rule["condition"]]
    assert condition["datasourceUid"] == "__expr__"
    assert condition["model"]["type"] == "threshold"
    asked = refs[condition["model"]["expression"]]
    assert asked["datasourceUid"] in ("${LOKI_UID}", "${PROMETHEUS_UID}")
    for ref, one in refs.items():
        assert one["model"]["refId"] == ref
        assert one["relativeTimeRange"]["from"] > one["relativeTimeRange"]["to"] == 0
    # Nothing sent means nothing failed, and no hold that verifies.
    assert (rule["noDataState"], rule["execErrState"]) == ("OK", "Error")
    assert re.fullmatch(r"\d+[sm]", rule["for"])
    assert len(rule["uid"]) <= 40
    assert {"summary", "description"} <= set(rule["annotations"])
    assert rule["dashboardUid"] == DASHBOARD["uid"]
    assert rule["panelId"] in {panel["id"] for panel in panels()}


def test_rules_watch_failed_runs_and_the_ready_state() -> None:
    expressions = {rule["uid"]: rule["data"][0]["model"]["expr"] for rule in rules()}
    conditions = {rule["uid"]: rule["data"][1]["model"]["conditions"][0]["evaluator"] for rule in rules()}
    assert 'init_outcome="failed"' in expressions["inithold-run-failed"]
    assert conditions["inithold-run-failed"] == {"type": "gt", "params": [0]}
    assert expressions["inithold-not-ready"] == "min by (job) (init_ready)"
    assert conditions["inithold-not-ready"] == {"type": "lt", "params": [1]}
    assert "unless" in expressions["inithold-ready-missing"]


# -- the override that starts a Grafana


def observability() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((EXAMPLE / "compose.observability.yaml").read_text())["services"]
    return loaded


def test_the_override_sends_what_is_received_to_grafana() -> None:
    forwarded = urlsplit(observability()["grafana-alloy"]["environment"]["OTLP_FORWARD_ENDPOINT"])
    assert forwarded.hostname in observability()
    assert 'sys.env("OTLP_FORWARD_ENDPOINT")' in (EXAMPLE / "config.alloy").read_text()


def test_the_override_mounts_what_there_is_where_it_is_looked_for() -> None:
    mounts = dict(mount.split(":")[:2] for mount in observability()["lgtm"]["volumes"] if mount.startswith("."))
    assert mounts["./grafana/dashboards"] == provisioned("dashboards")["providers"][0]["options"]["path"]
    for source, target in mounts.items():
        assert (EXAMPLE / source).exists(), source
        if (EXAMPLE / source).is_file():
            assert target.endswith(source.removeprefix("./grafana"))


def test_the_override_sets_what_the_alert_rules_fill_in() -> None:
    asked = {one["datasourceUid"] for rule in rules() for one in rule["data"]} - {"__expr__"}
    assert asked == {f"${{{name}}}" for name in observability()["lgtm"]["environment"]}


def test_the_stack_with_the_override_has_no_findings() -> None:
    command = [sys.executable, "-m", "inithold", "compose", "check"]
    command += ["-f", "compose.yaml", "-f", "compose.observability.yaml"]
    done = subprocess.run(command, cwd=EXAMPLE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
