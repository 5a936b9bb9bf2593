"""Servers that come up late, or crash on the way: `up` succeeds, and init does its work in one run."""

from __future__ import annotations

import subprocess
import time

import pytest

from e2e.conftest import Maker
from e2e.stack import Stack

LATE = 40  # seconds
SLEEPS = f"sleep {LATE}; exec docker-entrypoint.sh postgres"
# The first start ends before there is a server, the second as soon as somebody could have connected to it: the
# container's first process ends, and the server is killed with it.
CRASHES_TWICE = """
starts=$$(cat /var/tmp/starts 2>/dev/null || echo 0)
echo $$((starts + 1)) >/var/tmp/starts
case $$starts in
  0) sleep 1; exit 1 ;;
  1) docker-entrypoint.sh postgres &
     until pg_isready -q -h 127.0.0.1 -U "$$POSTGRES_USER" -d "$$POSTGRES_DB"; do sleep 0.1; done
     sleep 0.3; exit 137 ;;
  *) exec docker-entrypoint.sh postgres ;;
esac
"""


def with_postgres(make_stack: Maker, script: str, *files: str) -> Stack:
    """The stack with a PostgreSQL that starts by a script."""
    stack = make_stack(*files)
    probe = {"start_interval": "2s"}  # four times as rare as the example's: it fails for a long time
    stack.override(postgres={"entrypoint": ["sh", "-c", script], "command": [], "healthcheck": probe})
    return stack


def assert_up(up: subprocess.Popen[str], stack: Stack) -> None:
    """`up` has succeeded with one run of init."""
    output, _ = up.communicate(timeout=300)
    assert up.returncode == 0, output
    assert stack.health("init") == "healthy"
    assert stack.inspect("init")["RestartCount"] == 0
    assert stack.exec("init", "test", "-e", "/tmp/init-complete.record.1.json", check=False).returncode == 1
    assert {step["id"]: step["state"] for step in stack.record()["steps"]}["migrate"] == "changed"
    assert stack.sql("select count(*) from users") == "0"


@pytest.mark.timeout(400)
def test_a_server_that_is_late_and_one_that_crashes_twice(make_stack: Maker) -> None:
    late = with_postgres(make_stack, SLEEPS, "compose.yaml")
    late_started = with_postgres(make_stack, SLEEPS, "compose.yaml", "compose.started.yaml")
    crashing = with_postgres(make_stack, CRASHES_TWICE, "compose.yaml", "compose.started.yaml")
    began = time.monotonic()
    # Side by side: most of the time all of them wait.
    ups = {
        late: late.start("up", "-d", "--wait", "init", "bot"),
        late_started: late_started.start("up", "-d", "--wait", "init", "bot"),
        crashing: crashing.start("up", "-d", "--wait"),
    }
    for stack, up in ups.items():
        assert_up(up, stack)
        run = stack.record()
        print(f"{stack.files}: `up` {time.monotonic() - began:.0f} s, init {run['ended'] - run['started']:.0f} s")
    assert time.monotonic() - began > LATE

    assert crashing.inspect("postgres")["RestartCount"] == 2
    record, log = late_started.record(), late_started.logs("init")
    server = float(late_started.sql("select extract(epoch from pg_postmaster_start_time())"))
    assert record["started"] < server < record["ended"], "it has waited itself"
    assert "postgres:5432" in log, log
    assert len(log.splitlines()) < 150, "it says what it waits for now and then, not all the time"
    # Compose waited for the other one: init itself found everything there.
    assert late.record()["ended"] - late.record()["started"] < LATE


def test_compose_itself_gives_up_on_a_server_that_crashes(make_stack: Maker) -> None:
    """What compose.started.yaml is for. Without it, `up` fails, and nothing of ours has failed."""
    stack = with_postgres(make_stack, "sleep 1; exit 1", "compose.yaml")
    stack.override(rabbitmq={"entrypoint": ["sleep", "60"], "healthcheck": {"test": ["CMD", "true"]}})
    done = stack.compose("up", "-d", "--wait", check=False)
    assert done.returncode != 0
    assert "dependency failed to start" in done.stderr and "postgres" in done.stderr, done.stderr
    assert stack.state("init")["Status"] == "created"
