"""The files of the example, as the tests read them: panels, and every query with its place and its language."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

EXAMPLE = Path(__file__).parents[2] / "examples" / "game-scheduler"
GRAFANA = EXAMPLE / "grafana"
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboards" / "inithold.json").read_text())
VARIABLES: dict[str, dict[str, Any]] = {one["name"]: one for one in DASHBOARD["templating"]["list"]}


class Query(NamedTuple):
    """A query of the dashboard or of an alert rule.

    Attributes:
        where: title of the panel, variable or rule.
        language: type of the data source: tempo, loki or prometheus.
        text: with values where the dashboard has variables.
        shown: the labels that its legend, or the text of its alert, shows.
    """

    where: str
    language: str
    text: str
    shown: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.where} ({self.language})"


def provisioned(kind: str) -> dict[str, Any]:
    """A file of provisioning/: dashboards, datasources or alerting."""
    loaded: dict[str, Any] = yaml.safe_load((GRAFANA / "provisioning" / kind / "inithold.yaml").read_text())
    return loaded


def rules() -> list[dict[str, Any]]:
    """The alert rules."""
    return [rule for group in provisioned("alerting")["groups"] for rule in group["rules"]]


def panels(rows: bool = False) -> list[dict[str, Any]]:
    """The panels, those in collapsed rows too; the rows themselves only where wanted."""
    found = [inner for panel in DASHBOARD["panels"] for inner in (panel, *panel.get("panels", ()))]
    return [panel for panel in found if rows or panel["type"] != "row"]


def queries() -> list[Query]:
    """Every query there is, the dashboard's with all values of its variables selected."""
    return [*of_panels({}), *_of_variables(), *_of_rules(), *_of_datasources(), *_of_document()]


def of_panels(selected: Mapping[str, str]) -> Iterator[Query]:
    """The queries of the panels with values selected for some of the variables."""
    for panel in panels():
        for target in panel["targets"]:
            text = target["query"] if target["datasource"]["type"] == "tempo" else target["expr"]
            shown = tuple(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
            yield Query(panel["title"], target["datasource"]["type"], filled_in(text, selected), shown)


def _of_variables() -> Iterator[Query]:
    for name, variable in VARIABLES.items():
        if variable["type"] == "query":
            query = variable["query"]
            yield Query(f"${name}", variable["datasource"]["type"], f"{query['query']} | select({_scoped(query)})")


def _scoped(query: dict[str, Any]) -> str:
    label = str(query["label"])  # Tempo's variables have no scope
    return f"span.{label}" if label.startswith("init.") else f"resource.{label}"


def _of_rules() -> Iterator[Query]:
    for rule in rules():
        told = tuple(re.findall(r"\.Labels\.(\w+)", " ".join(rule["annotations"].values())))
        for one in rule["data"]:
            if "expr" in one["model"]:
                language = {"${LOKI_UID}": "loki", "${PROMETHEUS_UID}": "prometheus"}[one["datasourceUid"]]
                yield Query(rule["title"], language, one["model"]["expr"], told)


def _of_datasources() -> Iterator[Query]:
    for source in provisioned("datasources")["datasources"]:
        data = source.get("jsonData", {})
        if "tracesToLogsV2" in data:
            logs = data["tracesToLogsV2"]
            labels = ", ".join(f'{tag["value"]}=~".+"' for tag in logs["tags"])
            text = (
                logs["query"].replace("$${__tags}", labels).replace('="$${__trace.traceId}"', '=~"[0-9a-f]{32}"')
            )
            yield Query("from a trace to its logs", "loki", text)
            tags = ", ".join(f"resource.{tag['key']}" for tag in logs["tags"])
            yield Query("tags of a trace", "tempo", f'{{ name =~ ".+" }} | select({tags})')
        for field in data.get("derivedFields", ()):
            text = f'{{service_name=~".+"}} | {field["matcherRegex"]}=~"[0-9a-f]{{32}}"'
            yield Query("from a log record to its trace", "loki", text)


def _of_document() -> Iterator[Query]:
    """The queries that the page about telemetry shows in a table."""
    page = EXAMPLE.parents[1] / "docs" / "how-to" / "telemetry.md"
    for question, store, text in re.findall(
        r"^\| (.*?) \| (Loki|Tempo|Prometheus) \| `(.*)` \|$", page.read_text(), re.M
    ):
        yield Query(f"docs: {question}", store.lower(), text.replace("\\|", "|"))


def filled_in(text: str, selected: Mapping[str, str]) -> str:
    """A query as Grafana sends it; of a variable that is not there the name stays."""
    values = {"__range": "7d", "__interval": "1m"}
    values |= {name: variable["allValue"] for name, variable in VARIABLES.items() if "allValue" in variable}
    values |= selected
    return re.sub(r"\$(\w+)", lambda found: values.get(found[1], found[0]), text)
