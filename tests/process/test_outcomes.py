"""What a plan's keys do to a run as a process: when, retry, timeout, on_failure, and code that does not stop."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from servers.inithold import Completed, Inithold
from servers.ports import closed_port
from servers.run import is_alive

PLAN = "version: 1\nname: outcomes\nsteps:\n"


def write(run_inithold: Inithold, *steps: str) -> None:
    text = PLAN + "".join(f"  - {step}\n" for step in steps)
    (run_inithold.folder / "inithold.yaml").write_text(text)


def once(run_inithold: Inithold, *steps: str, **env: str) -> Completed:
    write(run_inithold, *steps)
    return run_inithold("run", "--once", env=dict(env))


def record(run_inithold: Inithold) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_inithold("status", "--json").stdout)
    return found


def states(run_inithold: Inithold) -> dict[str, str]:
    return {step["id"]: step["state"] for step in record(run_inithold)["steps"]}


def test_a_failure_that_is_tolerated_is_named_everywhere(run_inithold: Inithold) -> None:
    done = once(
        run_inithold,
        "{id: cache, uses: command.run, on_failure: continue, with: {run: 'exit 4'}}",
        "{id: after, uses: file.ready, with: {path: /}}",
    )
    assert done.returncode == 0
    assert json.loads(run_inithold.marker.read_text())["steps"] == {
        "cache": "failed, tolerated",
        "after": "unchanged",
    }
    summary = done.stderr[done.stderr.index("STEP") :]
    assert re.search(r"cache +failed, tolerated", summary)
    assert "outcomes: ready in " in summary
    assert summary.count("without cache") == 1
    assert "step cache (command.run on exit 4) failed, and the plan goes on without it" in summary
    status = run_inithold("status").stdout
    assert re.search(r"cache +failed, tolerated", status)
    assert "without cache" in status


def test_a_failure_skips_what_needs_it_and_nothing_else(run_inithold: Inithold) -> None:
    done = once(
        run_inithold,
        "{id: bad, uses: command.run, with: {run: 'echo gone wrong; exit 4'}}",
        "{id: behind, uses: file.ready, with: {path: /}}",
        "{id: further, uses: file.ready, with: {path: /}}",
        "{id: beside, uses: command.run, needs: [], with: {run: 'sleep 0.5; echo done'}}",
    )
    assert done.returncode == 1
    assert states(run_inithold) == {
        "bad": "failed",
        "behind": "skipped",
        "further": "skipped",
        "beside": "changed",
    }
    reasons = {step["id"]: step["reason"] for step in record(run_inithold)["steps"]}
    assert reasons["behind"] == "needs bad, which failed"
    assert reasons["further"] == "needs behind, which was skipped" or "bad" in reasons["further"]
    assert "gone wrong" in done.stderr.partition("seen:")[2]
    assert "not started, because of that: behind, further" in done.stderr
    assert not run_inithold.marker.exists()


def test_when_leaves_a_step_out_and_counts_as_met(run_inithold: Inithold) -> None:
    for value in ("", "no", "off", "0", "false"):
        done = once(
            run_inithold,
            "{id: seed, uses: command.run, when: '${SEED-no}', with: {run: 'exit 9'}}",
            "{id: after, uses: file.ready, with: {path: /}}",
            SEED=value,
        )
        assert done.returncode == 0
        assert states(run_inithold) == {"seed": "skipped", "after": "unchanged"}
    assert once(run_inithold, "{id: s, uses: command.run, when: 'on', with: {run: 'exit 9'}}").returncode == 1


def test_retry_of_a_command(run_inithold: Inithold) -> None:
    flaky = "echo x >>tries; [ $(wc -l <tries) -ge 3 ]"
    done = once(
        run_inithold,
        f"{{id: flaky, uses: command.run, retry: {{attempts: 3, delay: 10ms}}, with: {{run: '{flaky}'}}}}",
    )
    assert done.returncode == 0, done.stderr
    assert record(run_inithold)["steps"][0]["attempts"] == 3
    (run_inithold.folder / "tries").unlink()
    assert once(run_inithold, f"{{id: flaky, uses: command.run, with: {{run: '{flaky}'}}}}").returncode == 1
    assert (run_inithold.folder / "tries").read_text() == "x\n"


def test_attempts_bound_not_yet(run_inithold: Inithold) -> None:
    done = once(
        run_inithold, "{id: a, uses: file.ready, retry: {attempts: 3, delay: 1ms}, with: {path: /nowhere}}"
    )
    assert done.returncode == 1
    assert "tried: for" in done.stderr
    assert "3 attempts" in done.stderr


def test_a_timeout_bounds_all_attempts_and_says_what_to_try(run_inithold: Inithold) -> None:
    with closed_port() as port:
        address = f"127.0.0.1:{port}"
        done = once(run_inithold, f'{{id: a, uses: tcp.ready, timeout: 500ms, with: {{address: "{address}"}}}}')
    assert done.returncode == 1
    assert done.seconds < 60, "not the 10 minutes that it waits by itself"
    assert f"its time (500ms) is up: 127.0.0.1:{port}: connection refused" in done.stderr
    assert "next:  if it only needs more time, give the step a longer timeout" in done.stderr


def test_the_runs_own_timeout(run_inithold: Inithold) -> None:
    write(run_inithold, "{id: a, uses: file.ready, with: {path: /nowhere}}")
    plan = run_inithold.folder / "inithold.yaml"
    plan.write_text(plan.read_text().replace("steps:", "timeout: 300ms\nsteps:"))
    done = run_inithold("run")
    assert done.returncode == 1
    assert "the time (300ms) is up: /nowhere does not exist" in done.stderr
    assert "give the whole run a longer timeout" in done.stderr


def test_a_command_that_ignores_sigterm_is_killed_when_its_time_is_up(run_inithold: Inithold) -> None:
    done = once(
        run_inithold,
        "{id: deaf, uses: command.run, timeout: 1s,"
        " with: {run: 'trap \"\" TERM; echo pid $$$$; sleep 60; sleep 60'}}",
    )
    assert done.returncode == 1
    assert done.seconds < 50, "not a whole sleep"
    assert "its time (1s) is up: still running" in done.stderr
    pid = int(re.findall(r"pid (\d+)", done.stderr)[0])
    assert not is_alive(pid)


def test_code_that_does_not_stop_is_killed(run_inithold: Inithold) -> None:
    (run_inithold.folder / "stuck.py").write_text(
        "import time\n"
        "def stuck():\n"
        "    while True:\n"
        "        try:\n"
        "            time.sleep(120)\n"
        "        except BaseException:\n"
        "            print('no')\n"
    )
    done = once(
        run_inithold,
        "{id: stuck, uses: python.call, timeout: 3s, retry: {attempts: 5}, with: {call: 'stuck:stuck'}}",
        "{id: behind, uses: file.ready, with: {path: /}}",
        PYTHONPATH=".",
    )
    assert done.returncode == 1
    assert "its time (3s) is up: it did not stop within 2.5 s and was killed" in done.stderr
    assert "| no" in done.stderr
    step = record(run_inithold)["steps"][0]
    # It is never run beside itself.
    assert (step["state"], step["attempts"]) == ("failed", 1)
    assert states(run_inithold)["behind"] == "skipped"


def test_a_python_function_that_calls_exit_does_not_end_inithold(run_inithold: Inithold) -> None:
    (run_inithold.folder / "leaves.py").write_text("import os, sys\ndef leave():\n    sys.exit(0)\n")
    done = once(run_inithold, "{id: a, uses: python.call, with: {call: 'leaves:leave'}}", PYTHONPATH=".")
    assert "outcomes: " in done.stderr


def test_unmet_is_not_yet_for_a_kind_that_waits_and_a_failure_for_one_that_only_looks(
    run_inithold: Inithold, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/d.db"
    tables = f'{{id: tables, uses: database.tables, with: {{url: "{url}", tables: [users, games]}}}}'
    make = (
        f'{{id: make, uses: database.sql, with: {{url: "{url}", sql: "CREATE TABLE users (id int)", '
        "unless: \"SELECT 1 FROM sqlite_master WHERE name = 'users'\"}}"
    )
    write(run_inithold, make, tables)
    plan = run_inithold("plan")
    assert plan.returncode == 0, plan.stdout
    assert re.search(r"tables +after make", plan.stdout)
    done = run_inithold("run")
    assert done.returncode == 1
    assert "table games is missing" in done.stderr
    assert "users" not in done.stderr.partition("seen:")[2]
    plan = run_inithold("plan")
    assert plan.returncode == 1
    assert "! table games is missing" in plan.stdout
    gate = run_inithold("wait", "--timeout", "300ms")
    assert gate.returncode == 1
    assert "table games is missing" in gate.stderr


def test_a_name_that_does_not_resolve_is_explained_after_five_seconds(run_inithold: Inithold) -> None:
    write(run_inithold, '{id: a, uses: tcp.ready, with: {address: "no-such-host.invalid:5432"}}')
    try:
        socket.getaddrinfo("no-such-host.invalid", 5432)
    except socket.gaierror:
        pass
    else:
        pytest.skip("the resolver here answers for everything")
    init = run_inithold.start("run")
    init.wait_for_output("waiting: no-such-host.invalid:5432: ")
    assert "misspelled" not in init.stderr
    init.wait_for_output("a stopped service and a misspelled name look alike here", 20)
    assert init.process.poll() is None, "it is waited for"


@pytest.mark.parametrize("text", ["import sys\nsys.exit(0)\n", "raise SystemExit\n", "1/0\n", "plan = 3\n"])
def test_a_plan_in_python_that_cannot_be_had_is_2(run_inithold: Inithold, text: str) -> None:
    (run_inithold.folder / "broken.py").write_text(text)
    for command in ("run", "plan", "wait"):
        done = run_inithold(command, "broken:plan")
        assert done.returncode == 2, done.stderr
        assert "broken:plan: " in done.stderr
        assert "Traceback" not in done.stderr


def test_events_as_json_lines(run_inithold: Inithold) -> None:
    write(
        run_inithold,
        "{id: slow, uses: file.ready, timeout: 300ms, on_failure: continue, with: {path: /nowhere}}",
        "{id: says, uses: command.run, with: {run: 'echo one; echo two >&2'}}",
    )
    done = run_inithold("run", "--once", "--log-format", "json", "--log-level", "debug")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert all({"time", "level", "event"} <= event.keys() for event in events)
    by_name = {event["event"]: event for event in events}
    assert [event["text"] for event in events if event["event"] == "log_line" and event["step"] == "says"] == [
        "one",
        "two",
    ]
    assert by_name["step_waiting"]["reason"] == "/nowhere does not exist"
    assert by_name["step_finished"]["outcome"] == "changed"
    assert by_name["run_finished"]["outcome"] == "ready"
    assert {event["level"] for event in events} >= {"debug", "info", "warning"}
    only_warnings = run_inithold("run", "--once", "--log-format", "json", "--log-level", "warning").stderr
    assert {json.loads(line)["level"] for line in only_warnings.splitlines()} == {"warning"}
