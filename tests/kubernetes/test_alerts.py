"""The alerts of docs/how-to/kubernetes-operations.md, evaluated by Prometheus on series of these names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.pages import DOCS, blocks
from servers.programs import MissingProgram
from servers.promtool import promtool_test

PAGE = DOCS / "how-to" / "kubernetes-operations.md"
RULES: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for block in blocks(PAGE)
    if block.language == "yaml" and isinstance(loaded := yaml.safe_load(block.text), list)
    for rule in loaded
}
# Of each alert: the series, what it is in good times, and what it is in bad ones; 30 samples, one a minute.
SERIES = {
    "InitIsNotReady": ('kube_deployment_status_replicas_available{deployment="init"}', "1x30", "1 0x29"),
    "InitFails": ('kube_pod_container_status_restarts_total{container="init"}', "2x30", "0+1x30"),
    "InitJobFailed": ('kube_job_status_failed{job_name="init"}', "0x30", "1x30"),
    "GateWaits": ('kube_pod_init_container_status_running{container="wait"}', "1x5 0x25", "1x30"),
}


def test_every_alert_is_tried() -> None:
    assert SERIES.keys() == RULES.keys()


@pytest.mark.parametrize("alert", SERIES)
def test_it_fires_in_bad_times_alone(alert: str, tmp_path: Path) -> None:
    series, good, bad = SERIES[alert]
    label, _, value = series.partition("{")[2].rstrip("}").partition("=")
    rule = RULES[alert]
    fired = [{"exp_labels": {label: value.strip('"')}, "exp_annotations": rule["annotations"]}]

    def at_25(values: str, alerts: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "input_series": [{"series": series, "values": values}],
            "alert_rule_test": [{"eval_time": "25m", "alertname": alert, "exp_alerts": alerts}],
        }

    try:
        promtool_test(tmp_path, [rule], at_25(good, []), at_25(bad, fired))
    except MissingProgram as error:
        pytest.skip(str(error))
    with pytest.raises(AssertionError, match="FAILED"):
        promtool_test(tmp_path, [rule], at_25(good, fired))
