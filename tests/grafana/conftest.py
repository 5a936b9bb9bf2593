"""Runs of a plan, received as a collector would: ready, failed, stopped, and one whose hold verifies."""

from __future__ import annotations

import re
import signal

import pytest
import yaml

from grafana.example import EXAMPLE
from grafana.sent import Sent
from servers.inithold import Inithold
from servers.otlp import Collector

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
VERIFIED = PLAN.replace("steps:", "hold: {on_drift: unhealthy, grace: 1s}\nsteps:")


@pytest.fixture(scope="session")
def deployed() -> dict[str, str]:
    """The variables by which the example's init says what it is."""
    init = yaml.safe_load((EXAMPLE / "compose.yaml").read_text())["services"]["init"]["environment"]
    named = {name: init[name] for name in ("OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES")}
    return {name: re.sub(r"\$\{\w+:-(\w+)\}", r"\1", value) for name, value in named.items()}


@pytest.fixture(scope="session")
def sent(tmp_path_factory: pytest.TempPathFactory, deployed: dict[str, str]) -> Sent:
    """What these runs have sent."""
    folder = tmp_path_factory.mktemp("grafana")
    (folder / "settings").touch()
    for name, text in (("ready", PLAN), ("failing", FAILING), ("waiting", WAITING), ("verified", VERIFIED)):
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
            verify(run_inithold, collector, env)
        finally:
            run_inithold.end_all()
        return Sent([collector])


def verify(run_inithold: Inithold, collector: Collector, env: dict[str, str]) -> None:
    """A hold whose checks find the environment as it was left, and then not."""
    (run_inithold.folder / "tried").unlink()
    init = run_inithold.start("run", "--verify", "1s", "verified.yaml", env=env)
    init.wait_until(lambda: told(collector) == {1}, "a check that holds to be told")
    (run_inithold.folder / "settings").unlink()
    init.wait_until(lambda: told(collector) == {0, 1}, "one that does not")
    init.signal(signal.SIGTERM)
    assert init.wait() == 0, init.output


def told(collector: Collector) -> set[float]:
    """What checks have said of being ready."""
    return {point.value for metric in collector.metrics if metric.name == "init.ready" for point in metric.points}
