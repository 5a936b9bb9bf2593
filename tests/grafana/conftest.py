"""Runs of a plan, received as a collector would: one that is ready, one that fails, one that is stopped."""

from __future__ import annotations

import re
import signal

import pytest
import yaml

from grafana.example import EXAMPLE
from grafana.sent import Sent
from servers.inithold import Inithold
from servers.otlp import Collector
from servers.otlp_records import Metric, Point

PLAN = """
version: 1
name: game-scheduler
steps:
  - id: settings
    uses: file.ready
    with: {path: settings}
  - id: seed
    uses: command.run
    retry: {attempts: 3, delay: 10ms}
    with: {run: [sh, -c, 'echo x >> tried; test $(wc -l < tried) -ge 2']}
"""
FAILING = PLAN.replace("-ge 2", "-ge 9")
WAITING = PLAN.replace("path: settings", "path: never-there")


@pytest.fixture(scope="session")
def deployed() -> dict[str, str]:
    """The variables by which the example's init says what it is."""
    init = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())["services"]["init"]["environment"]
    named = {name: init[name] for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES")}
    return {name: re.sub(r"\$\{\w+:-(\w+)\}", r"\1", value) for name, value in named.items()}


@pytest.fixture(scope="session")
def sent(tmp_path_factory: pytest.TempPathFactory, deployed: dict[str, str]) -> Sent:
    """What these runs have sent, and what only a verifying hold sends."""
    folder = tmp_path_factory.mktemp("grafana")
    (folder / "settings").touch()
    for name, text in (("ready", PLAN), ("failing", FAILING), ("waiting", WAITING)):
        (folder / f"{name}.yaml").write_text(text)
    run_inithold = Inithold(folder)
    with Collector() as collector:
        env = deployed | collector.env()
        try:
            done = run_inithold("run", "--once", "ready.yaml", env=env)
            assert done.returncode == 0, done.stderr
            (folder / "tried").unlink()
            done = run_inithold("run", "--once", "failing.yaml", env=env)
            assert done.returncode == 1, done.stderr
            waiting = run_inithold.start("run", "waiting.yaml", env=env)
            waiting.wait_for_output("never-there")
            waiting.signal(signal.SIGTERM)
            assert waiting.wait() == 128 + signal.SIGTERM, waiting.output
        finally:
            run_inithold.end_all()
        return Sent([collector], [ready_of(collector)])


def ready_of(collector: Collector) -> Metric:
    """What only a verifying hold sends, by name and type, until a run of one can be part of `sent`.

    Its unit is to stay empty, or in braces: of a gauge with the unit `1` Prometheus makes `init_ready_ratio`.
    """
    points = [Point({}, value=1), Point({}, value=0)]
    return Metric("init.ready", "", "gauge", delta=False, points=points, resource=collector.metrics[0].resource)
