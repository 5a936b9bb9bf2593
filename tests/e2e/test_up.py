"""A user's first run: everything comes up, is healthy and stays so, and init holds."""

from __future__ import annotations

from e2e.stack import DEPENDENTS, Stack


def test_everything_is_healthy_and_init_holds(running: Stack) -> None:
    states = running.containers()
    assert set(states) == {"postgres", "rabbitmq", "grafana-alloy", "init", *DEPENDENTS}
    assert {name: state["Health"]["Status"] for name, state in states.items()} == dict.fromkeys(states, "healthy")
    assert running.record()["outcome"] == "ready"
    assert running.exec("init", "cat", "/proc/1/cmdline").stdout.split("\0")[:2] == ["catatonit", "-P"]
