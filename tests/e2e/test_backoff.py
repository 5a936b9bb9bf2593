"""Init in the engine's restart pauses: what a plain `up` makes of it, and the two commands that work."""

from __future__ import annotations

import time

import pytest
import yaml

from e2e.alone import alone, plan_of
from e2e.conftest import Maker
from e2e.engine import poll
from e2e.stack import MARKER, Stack

FAILS = plan_of("sh", "-c", f"test ! -e {MARKER} && test -e /plan/fixed")
PAUSE = 6
"""The engine doubles its pause with each restart, from 0.1 s on: after so many it is long enough to be met."""


def waits(stack: Stack) -> bool:
    """Whether init is in a pause that has just begun."""
    found = stack.inspect("init")
    return found.get("RestartCount", 0) >= PAUSE and found["State"]["Status"] == "restarting"


@pytest.mark.timeout(400)
def test_a_plain_up_gives_up_once_more(make_stack: Maker) -> None:
    stack = alone(make_stack, FAILS)
    dependent = {
        "image": stack.images.inithold,
        "pull_policy": "never",
        "entrypoint": ["catatonit", "-P"],
        "healthcheck": {"test": ["CMD", "true"], "interval": "1s"},
        "depends_on": {"init": {"condition": "service_healthy"}},
    }
    content = yaml.safe_load((stack.folder / "compose.alone.yaml").read_text())
    content["services"]["dependent"] = dependent
    stack.write("compose.alone.yaml", yaml.safe_dump(content))
    assert stack.compose("up", "-d", "--wait", check=False).returncode != 0

    poll(lambda: waits(stack), 120, "a long pause", every=0.02)
    stack.write("plan/fixed", "")
    began = time.monotonic()
    plain = stack.compose("up", "-d", "--wait", check=False)
    print(f"a plain `up` in a restart pause: exit {plain.returncode} after {time.monotonic() - began:.1f} s")
    assert plain.returncode != 0, "else the advice could be simpler"
    assert "init" in plain.stderr
    assert stack.state("dependent")["Status"] == "created"

    stack.compose("up", "-d", "--wait", "--force-recreate", "--no-deps", "init")
    stack.compose("up", "-d", "--wait")
    assert stack.health("init") == "healthy"
    assert stack.state("dependent")["Status"] == "running"
    # Each failed attempt has found no marker, so none has left one.
    assert stack.marker()
