"""`docker compose exec init inithold run ...`: no typo takes a healthy environment's readiness away."""

from __future__ import annotations

import subprocess

import pytest

from e2e.alone import alone, plan_of
from e2e.conftest import Maker
from e2e.stack import Stack

REFUSED = (
    ("run", "--onse"),
    ("run", "nosuch.yaml"),
    ("run", "--version"),
    ("run",),
    ("run", "/plan/inithold.yaml"),
    ("run", "--once", "--", "true"),
)


def refused(stack: Stack, *words: str, variable: str = "") -> subprocess.CompletedProcess[str]:
    options = ["-T", *(["-e", variable] if variable else [])]
    return stack.compose("exec", *options, "init", "inithold", *words, check=False)


@pytest.mark.parametrize("hold", ["plain", "verifying"])
def test_beside_a_hold(hold: str, make_stack: Maker) -> None:
    plan = plan_of("touch", "/tmp/made", **{"with": {"run": ["touch", "/tmp/made"], "creates": "/tmp/made"}})
    plan += "hold: {verify: 1s}\n" if hold == "verifying" else ""
    stack = alone(make_stack, plan, restart="no")
    stack.up()
    marker = stack.marker()
    for words in REFUSED:
        done = refused(stack, *words)
        assert done.returncode == 2, (words, done)
        assert stack.exec("init", "inithold", "health").stdout == "ready\n"
    assert refused(stack, "run", variable="INITHOLD_ONCE=maybe").returncode == 2
    again = refused(stack, "run").stderr
    assert "process 1 holds for the marker /tmp/init-complete" in again
    assert "inithold run --only ID" in again
    assert ("inithold rerun" if hold == "verifying" else "docker compose up -d") in again
    assert stack.marker() == marker
    assert stack.exec("init", "inithold", "health").stdout == "ready\n"
    assert stack.exec("init", "sh", "-c", "ls /tmp/*.running", check=False).returncode != 0


def test_beside_a_run_that_goes_on(make_stack: Maker) -> None:
    stack = alone(make_stack, plan_of("sh", "-c", "until [ -e /tmp/go ]; do sleep 0.1; done"), restart="no")
    stack.compose("up", "-d")
    for words in REFUSED:
        assert refused(stack, *words).returncode == 2, words
    assert "still going on (process 1)" in refused(stack, "run").stderr
    stack.exec("init", "touch", "/tmp/go")
    stack.wait_health("init", "healthy")
