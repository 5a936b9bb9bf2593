"""inithold as a process: what it leaves, how it ends, what it costs to be told."""

from __future__ import annotations

import json
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from promptness import PROMPTLY
from servers.inithold import Inithold

PLAN = "version: 1\nname: life\nsteps:\n"
HOLDS = PLAN + "  - {id: there, uses: file.ready, with: {path: /}}\n"
WAITS = PLAN + "  - {id: there, uses: file.ready, with: {path: /nowhere/at/all}}\n"
FAILS = PLAN + "  - {id: bad, uses: command.run, with: {run: [sh, -c, 'exit 7']}}\n"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "inithold.yaml"
    path.write_text(HOLDS)
    return path


def test_run_holds_and_health_says_so(run_inithold: Inithold, plan: Path) -> None:
    init = run_inithold.start("run")
    init.wait_for_hold()
    health = run_inithold("health")
    assert (health.returncode, health.stdout) == (0, "ready\n")
    marker = json.loads(init.marker.read_text())
    assert marker["name"] == "life"
    assert marker["steps"] == {"there": "unchanged"}
    assert marker["vouched_by"]["pid"] == init.pid
    init.signal(signal.SIGTERM)
    assert init.wait() == 0
    after = run_inithold("health")
    assert after.returncode == 1
    assert "is gone" in after.stdout


def test_a_probe_that_waits_has_said_why_when_it_is_killed(run_inithold: Inithold) -> None:
    """As a platform kills it: when its own time is up, or with its container when the run fails."""
    probe = run_inithold.start("health", "--wait=25s")
    probe.wait_for_output("not ready: there is no marker at ")
    probe.signal(signal.SIGKILL)
    assert probe.wait() == -signal.SIGKILL
    assert probe.stdout.splitlines() == [probe.stdout.strip()]


def test_a_probe_that_waits_says_when_it_is_ready(run_inithold: Inithold, plan: Path) -> None:
    probe = run_inithold.start("health", "--wait=25s")
    probe.wait_for_output("not ready: ")
    run_inithold.start("run").wait_for_hold()
    assert probe.wait() == 0
    assert probe.stdout.splitlines()[1:] == ["ready"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("path", [None, "/nowhere"], ids=["catatonit", "interpreter"])
def test_hold_ends_at_once(run_inithold: Inithold, plan: Path, number: signal.Signals, path: str | None) -> None:
    init = run_inithold.start("run", env={"PATH": path} if path else {})
    init.wait_for_hold()
    at = time.monotonic()
    init.signal(number)
    assert init.wait() == 0
    assert time.monotonic() - at < PROMPTLY


def test_hold_keeps_no_environment_and_no_descriptor(run_inithold: Inithold, plan: Path) -> None:
    for path in (os.environ["PATH"], "/nowhere"):
        init = run_inithold.start("run", env={"PATH": path, "DATABASE_PASSWORD": "hunter2hunter2"})
        init.wait_for_hold()
        assert Path(f"/proc/{init.pid}/environ").read_bytes() == b""
        assert b"hunter2" not in Path(f"/proc/{init.pid}/cmdline").read_bytes()
        init.wait_until(partial(_has_no_descriptor, init.pid), "the holder to have closed everything")
        assert Path(f"/proc/{init.pid}/cwd").readlink() == Path("/")
        init.end()


def _has_no_descriptor(pid: int) -> bool:
    try:
        beyond = {path.readlink() for path in Path(f"/proc/{pid}/fd").iterdir() if int(path.name) > 2}
    except FileNotFoundError:
        return False  # closed at this moment
    return beyond <= {Path("anon_inode:[signalfd]")}


def test_the_stale_marker_is_dropped_first(run_inithold: Inithold, plan: Path) -> None:
    run_inithold.marker.write_text("stale")
    plan.write_text(WAITS)
    init = run_inithold.start("run")
    init.wait_until(lambda: not run_inithold.marker.exists(), "the stale marker to go")
    init.wait_for_output("does not exist")
    assert not run_inithold.marker.exists()


def test_the_stale_marker_is_dropped_even_when_the_plan_is_bad(run_inithold: Inithold, plan: Path) -> None:
    run_inithold.marker.write_text("stale")
    plan.write_text("version: 1\nsteps: []\n")
    done = run_inithold("run")
    assert done.returncode == 2
    assert not run_inithold.marker.exists()


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_does_not_drop_the_marker(run_inithold: Inithold, plan: Path, word: str) -> None:
    run_inithold.marker.write_text("kept")
    assert run_inithold("run", word).returncode == 0
    assert run_inithold.marker.exists()


def test_a_failure_exits_1_with_no_marker(run_inithold: Inithold, plan: Path) -> None:
    plan.write_text(FAILS)
    done = run_inithold("run")
    assert done.returncode == 1
    assert not run_inithold.marker.exists()
    assert "step bad (command.run" in done.stderr
    assert "exited 7" in done.stderr
    assert run_inithold("status").stdout.splitlines()[1].startswith("life: failed after ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_running_ends_the_run(run_inithold: Inithold, plan: Path, number: signal.Signals) -> None:
    plan.write_text(WAITS)
    init = run_inithold.start("run")
    init.wait_for_output("does not exist")
    at = time.monotonic()
    init.signal(number)
    assert init.wait() == 128 + number
    assert time.monotonic() - at < PROMPTLY
    assert not init.marker.exists()
    assert f"cancelled ({number.name})" in init.stderr


def test_once_exits_0_and_nobody_vouches(run_inithold: Inithold, plan: Path) -> None:
    assert run_inithold("run", "--once").returncode == 0
    assert run_inithold.marker.exists()
    health = run_inithold("health")
    assert health.returncode == 1
    assert "--once" in health.stdout


def test_where_the_marker_cannot_be_written_nothing_is_run(
    run_inithold: Inithold, plan: Path, tmp_path: Path
) -> None:
    plan.write_text(PLAN + f"  - {{id: touch, uses: command.run, with: {{run: [touch, {tmp_path}/ran]}}}}\n")
    done = run_inithold("run", "--marker", tmp_path / "absent" / "marker")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "ran").exists()


def test_where_the_record_cannot_be_written_the_run_goes_on(
    run_inithold: Inithold, plan: Path, tmp_path: Path
) -> None:
    done = run_inithold("run", "--once", "--record", tmp_path / "absent" / "record.json")
    assert done.returncode == 0
    assert done.stderr.count("cannot be written") == 1


def test_the_marker_is_not_written_through_a_link(run_inithold: Inithold, plan: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep")
    run_inithold.marker.symlink_to(tmp_path / "precious")
    assert run_inithold("run", "--once").returncode == 0
    assert (tmp_path / "precious").read_text() == "keep"


def test_records_are_kept_and_rotated(run_inithold: Inithold, plan: Path, tmp_path: Path) -> None:
    for _ in range(4):
        assert run_inithold("run", "--once", "--keep", "2").returncode == 0
    names = sorted(path.name for path in tmp_path.glob("*.json"))
    assert names == ["init-complete.record.1.json", "init-complete.record.2.json", "init-complete.record.json"]
    everything = run_inithold("status", "--all")
    assert everything.stdout.count("life: ready") == 3


def test_variables_stand_for_options(run_inithold: Inithold, plan: Path, tmp_path: Path) -> None:
    env = {"INITHOLD_PLAN": str(plan), "INITHOLD_ONCE": "1", "INITHOLD_RECORD": str(tmp_path / "r.json")}
    assert run_inithold("run", env=env, cwd=Path("/")).returncode == 0
    assert (tmp_path / "r.json").exists()
    assert run_inithold("status", env={"INITHOLD_RECORD": str(tmp_path / "r.json")}).returncode == 0


def test_status_while_it_runs(run_inithold: Inithold, plan: Path) -> None:
    plan.write_text(WAITS)
    init = run_inithold.start("run")
    init.wait_for_output("does not exist")
    init.wait_until(lambda: "there waits: " in run_inithold("status").stdout, "the record to say it")
    assert json.loads(run_inithold("status", "--json").stdout)["outcome"] is None


def test_status_without_a_record(run_inithold: Inithold) -> None:
    done = run_inithold("status")
    assert done.returncode == 1
    assert "no run here yet" in done.stderr


def test_at_a_terminal_there_is_a_live_table(run_inithold: Inithold, plan: Path) -> None:
    init = run_inithold.start("run", terminal=True, env={"TERM": "xterm-256color"})
    init.wait_for_hold()
    assert "\x1b[" in init.stdout
    assert "holding" in init.stdout
    init.signal(signal.SIGINT)
    assert init.wait() == 0


def test_json_lines(run_inithold: Inithold, plan: Path) -> None:
    done = run_inithold("run", "--once", "--log-format", "json")
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert events[0]["event"] == "run_started"
    assert {"step_started", "step_finished", "run_finished", "marker_published"} <= {e["event"] for e in events}


def test_a_command_instead_of_a_plan(run_inithold: Inithold, tmp_path: Path) -> None:
    script = "import sys; sys.stdout.buffer.write(bytes(range(256))); sys.stderr.write('err')"
    done = run_inithold("run", "--once", "--", "python3", "-c", script)
    assert done.returncode == 0, done.stderr
    raw = (tmp_path / ".inithold-0.out").read_bytes()
    assert raw == bytes(range(256))
    assert "err" in done.stderr


def test_a_command_that_fails_exits_1_and_says_its_code(run_inithold: Inithold) -> None:
    done = run_inithold("run", "--", "sh", "-c", "exit 5")
    assert done.returncode == 1
    assert "exited 5" in done.stderr


def test_a_command_that_is_not_needed(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "there").touch()
    done = run_inithold("run", "--once", "--creates", tmp_path / "there", "--", "sh", "-c", "exit 5")
    assert done.returncode == 0
    done = run_inithold("run", "--once", "--unless", "true", "--", "sh", "-c", "exit 5")
    assert done.returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "a.yaml", "--", "true"],
        ["run", "--"],
        ["run", "--unless", "true"],
        ["run", "--wait", "ftp://x", "--", "true"],
        ["run", "--nonsense"],
        ["rnu"],
        ["run", "absent.yaml"],
        ["kinds", "databse.ready"],
    ],
)
def test_bad_usage_is_2_without_a_traceback(run_inithold: Inithold, arguments: list[str]) -> None:
    done = run_inithold(*arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
