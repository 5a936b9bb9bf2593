"""What the pages say about Prometheus and a process that sends once, evaluated by Prometheus."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.programs import MissingProgram
from servers.promtool import promtool_test

ONCE = 'init_runs_total{job="init"}'
READY = 'init_ready{job="init"}'
FOUND = "found"
NOTHING = "nothing"


@pytest.mark.parametrize(
    ("query", "at", "result"),
    [
        (f"rate({ONCE}[1h])", "10m", NOTHING),
        (f"increase({ONCE}[1h])", "10m", NOTHING),
        (f"last_over_time({ONCE}[1h])", "10m", FOUND),
        (READY, "4m", FOUND),
        (READY, "6m", NOTHING),
    ],
)
def test_a_single_sample(query: str, at: str, result: str, tmp_path: Path) -> None:
    test = {
        "input_series": [{"series": series, "values": "1 _x20"} for series in (ONCE, READY)],
        "promql_expr_test": [
            {
                "expr": f"count({query})",
                "eval_time": at,
                "exp_samples": [{"labels": "{}", "value": 1}] if result == FOUND else [],
            }
        ],
    }
    try:
        promtool_test(tmp_path, [], test)
    except MissingProgram as error:
        pytest.skip(str(error))
