"""A hold that verifies, as a process: what it notices, what it does about it, what it leaves alone."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from promptness import PROMPTLY
from servers.inithold import Inithold, Running
from servers.otlp import Collector
from servers.ports import closed_port

PLAN = """
version: 1
name: verified
hold: {verify: 1s, on_drift: %(on_drift)s, grace: %(grace)s}
steps:
  - id: make
    uses: command.run
    with: {run: [sh, -c, 'echo run >> runs; touch made'], creates: made}
  - id: each
    uses: command.run
    with: {run: [sh, -c, 'echo run >> each']}
"""
AWAY = """
version: 1
name: away
hold: {verify: 1s, grace: %s}
steps:
  - {id: server, uses: file.ready, with: {path: server}}
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the plan."""

    def write(text: str = PLAN, *, on_drift: str = "rerun", grace: str = "30s") -> Path:
        path = tmp_path / "inithold.yaml"
        path.write_text(text % {"on_drift": on_drift, "grace": grace} if text is PLAN else text)
        return path

    return write


def count(path: Path) -> int:
    return len(path.read_text().splitlines())


def record(init: Running) -> dict[str, object]:
    found: dict[str, object] = json.loads(Path(f"{init.marker}.record.json").read_text())
    return found


def withdrawn(init: Running) -> Path:
    return Path(f"{init.marker}.withdrawn")


def test_what_no_longer_holds_is_made_again_in_place(run_inithold: Inithold, write: Write, tmp_path: Path) -> None:
    write()
    init = run_inithold.start("run")
    init.wait_for_hold()
    first = json.loads(init.marker.read_text())
    (tmp_path / "made").unlink()
    init.wait_until((tmp_path / "made").exists, "the second run")
    init.wait_for_hold()
    assert json.loads(init.marker.read_text())["vouched_by"] == first["vouched_by"], "the same process"
    assert run_inithold("health").returncode == 0
    assert count(tmp_path / "runs") == 2
    assert "warning: no longer in place: make: + made" in init.stderr
    assert "verified: 2 steps, again: make: + made" in init.stderr
    assert record(init)["reason"] == "make: + made"
    assert "ready (again: make: + made)" in run_inithold("status").stdout
    init.signal(signal.SIGTERM)
    assert init.wait() == 0


def test_what_holds_is_left_alone_and_nothing_is_said(
    run_inithold: Inithold, write: Write, tmp_path: Path
) -> None:
    write()
    init = run_inithold.start("run")
    init.wait_for_hold()
    said = init.output
    before = record(init)
    time.sleep(3.5)  # three checks
    assert init.output == said
    assert record(init) == before
    assert (count(tmp_path / "runs"), count(tmp_path / "each")) == (1, 1), "an unguarded command is not run again"
    assert said.count("not verified, since they cannot be checked: each") == 1


def test_the_marker_is_away_before_the_plan_runs_again(
    run_inithold: Inithold, write: Write, tmp_path: Path
) -> None:
    slow = PLAN.replace("echo run >> runs", "sleep 1; ls init-complete* >> seen; echo run >> runs")
    write(slow % {"on_drift": "rerun", "grace": "30s"})
    init = run_inithold.start("run")
    init.wait_for_hold()
    (tmp_path / "seen").unlink()
    (tmp_path / "made").unlink()
    init.wait_until(lambda: not init.marker.exists(), "the marker to go")
    assert run_inithold("health").returncode == 1
    init.wait_for_hold()
    assert (tmp_path / "seen").read_text().split() == [
        "init-complete.record.1.json",
        "init-complete.record.json",
        "init-complete.running",
    ]


def test_exit(run_inithold: Inithold, write: Write, tmp_path: Path) -> None:
    write(on_drift="exit")
    init = run_inithold.start("run")
    init.wait_for_hold()
    (tmp_path / "made").unlink()
    assert init.wait() == 1
    assert "no longer in place: make: + made" in init.stderr
    assert not init.marker.exists()
    assert not withdrawn(init).exists()
    assert "no longer in place" in run_inithold("status").stdout


def test_unhealthy_until_it_holds_again(run_inithold: Inithold, write: Write, tmp_path: Path) -> None:
    write(on_drift="unhealthy")
    init = run_inithold.start("run")
    init.wait_for_hold()
    promise = init.marker.read_bytes()
    (tmp_path / "made").unlink()
    init.wait_until(lambda: not init.marker.exists(), "the marker to go")
    health = run_inithold("health")
    assert (health.returncode, health.stdout) == (
        1,
        "not ready: the environment is no longer as init made it (inithold status)\n",
    )
    status = run_inithold("status").stdout
    assert "it is no longer in place:" in status
    assert "  make: + made" in status
    (tmp_path / "made").touch()
    init.wait_until(init.marker.exists, "the marker to come back")
    assert init.marker.read_bytes() == promise
    assert run_inithold("health").returncode == 0
    init.wait_for_output("everything is in place again")
    assert record(init)["verification"] is None
    assert init.stderr.count("no longer in place: make: + made") == 1, "news, not a refrain"
    assert count(tmp_path / "runs") == 1


def test_away_for_a_moment_is_no_drift(run_inithold: Inithold, write: Write, tmp_path: Path) -> None:
    write(AWAY % "30s")
    server = tmp_path / "server"
    server.touch()
    init = run_inithold.start("run")
    init.wait_for_hold()
    server.unlink()
    time.sleep(2)
    assert init.marker.exists()
    server.touch()
    init.wait_for_output("server: was away for")
    assert init.marker.exists()
    assert "again" not in init.stderr


def test_away_for_longer_than_the_grace_is_drift(run_inithold: Inithold, write: Write, tmp_path: Path) -> None:
    write(AWAY % "1s")
    server = tmp_path / "server"
    server.touch()
    init = run_inithold.start("run")
    init.wait_for_hold()
    server.unlink()
    init.wait_for_output("no longer in place: server: away for 1s: ")
    init.wait_for_output("again: server: away for 1s: ")
    assert not init.marker.exists()
    server.touch()
    init.wait_for_hold()
    assert run_inithold("health").returncode == 0


def test_a_changed_plan_is_run(run_inithold: Inithold, write: Write, tmp_path: Path) -> None:
    path = write()
    init = run_inithold.start("run")
    init.wait_for_hold()
    path.write_text(path.read_text() + "  - {id: more, uses: command.run, with: {run: [touch, more]}}\n")
    init.wait_until((tmp_path / "more").exists, "the new step")
    assert "again: the plan has changed" in init.stderr


def test_a_changed_file_of_a_step_is_drift(run_inithold: Inithold, write: Write, tmp_path: Path) -> None:
    (tmp_path / "seed.sql").write_text("CREATE TABLE IF NOT EXISTS seeded (n int);")
    write(
        "version: 1\nname: files\nhold: {verify: 1s}\nsteps:\n"
        "  - {id: there, uses: file.ready, with: {path: /}}\n"
        "  - {id: seed, uses: database.sql, with: {url: 'sqlite:///seed.db', file: seed.sql}}\n"
    )
    init = run_inithold.start("run")
    init.wait_for_hold()
    (tmp_path / "seed.sql").write_text("CREATE TABLE IF NOT EXISTS seeded (n int); SELECT 1;")
    init.wait_for_output("again: the plan has changed")
    init.wait_for_hold()


def test_a_plan_that_is_broken_meanwhile_is_reported_and_left_alone(run_inithold: Inithold, write: Write) -> None:
    path = write()
    good = path.read_text()
    init = run_inithold.start("run")
    init.wait_for_hold()
    path.write_text(good + "  - {id: make, uses: nonsense}\n")
    init.wait_for_output("unknown kind 'nonsense'")
    assert "the plan is refused, and what was run is left as it is" in init.stderr
    assert run_inithold("health").returncode == 0
    assert "cannot be verified" in run_inithold("status").stdout
    path.write_text(good)
    init.wait_until(lambda: record(init)["verification"] is None, "the record to be as before")
    assert run_inithold("health").returncode == 0
    assert init.stderr.count("unknown kind 'nonsense'") == 1


def test_a_step_that_may_fail_is_no_drift(run_inithold: Inithold, write: Write, tmp_path: Path) -> None:
    write(
        "version: 1\nname: tolerant\nhold: {verify: 1s}\nsteps:\n"
        "  - {id: maybe, uses: command.run, on_failure: continue, with: {run: ['false'], creates: nowhere}}\n"
    )
    init = run_inithold.start("run")
    init.wait_for_hold()
    init.wait_for_output("maybe: + nowhere (the plan goes on without it)")
    assert run_inithold("health").returncode == 0
    assert "again" not in init.stderr


def test_nothing_to_verify_is_refused_before_any_step(run_inithold: Inithold, tmp_path: Path) -> None:
    done = run_inithold("run", "--verify", "1m", "--", "touch", "ran")
    assert done.returncode == 2
    assert "needs at least one step that can be checked" in done.stderr
    assert "unless or creates" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_by_option_with_a_command(run_inithold: Inithold, tmp_path: Path) -> None:
    init = run_inithold.start("run", "--verify", "1s", "--creates", "made", "--", "touch", "made")
    init.wait_for_hold()
    (tmp_path / "made").unlink()
    init.wait_until((tmp_path / "made").exists, "the command to run again")


def test_by_variable_with_a_plan_in_python(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "init.py").write_text(
        "from pathlib import Path\n"
        "from inithold import Plan\n"
        "plan = Plan('python', hold={'on_drift': 'rerun'})\n"
        "@plan.step(check=lambda: Path('made').exists())\n"
        "def make(): Path('made').touch()\n"
        "raise SystemExit(plan.run())\n"
    )
    import sys

    init = run_inithold.start(program=(sys.executable, "init.py"), env={"INITHOLD_VERIFY": "1s"})
    init.wait_for_marker()
    (tmp_path / "made").unlink()
    init.wait_until((tmp_path / "made").exists, "the function to run again")
    init.wait_for_output("again: make: ")
    init.wait_for_marker()
    init.signal(signal.SIGTERM)
    assert init.wait() == 0


def test_a_signal_during_a_check_ends_both(run_inithold: Inithold, write: Write, tmp_path: Path) -> None:
    write(
        "version: 1\nname: slow\nhold: {verify: 1s}\nsteps:\n"
        "  - id: slow\n    uses: command.run\n"
        "    with: {run: ['true'], unless: 'test ! -e held || { echo $$$$ > checking; exec sleep 60; }'}\n"
    )
    init = run_inithold.start("run")
    init.wait_for_hold()
    (tmp_path / "held").touch()
    init.wait_until(lambda: (tmp_path / "checking").exists() and (tmp_path / "checking").read_text(), "a check")
    at = time.monotonic()
    init.signal(signal.SIGTERM)
    assert init.wait() == 0
    assert time.monotonic() - at < PROMPTLY
    checking = int((tmp_path / "checking").read_text())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{checking}").exists():
        assert time.monotonic() < deadline, "what a check runs ends with it"
        time.sleep(0.02)


def test_checks_do_not_overlap(run_inithold: Inithold, write: Write, tmp_path: Path) -> None:
    write(
        "version: 1\nname: slow\nhold: {verify: 1s}\nsteps:\n"
        "  - id: slow\n    uses: command.run\n    with:\n      run: ['true']\n"
        "      unless: mkdir lock && sleep 1.5 && rmdir lock && echo checked >> checked\n"
    )
    init = run_inithold.start("run")
    init.wait_for_hold()
    init.wait_until(lambda: (tmp_path / "checked").exists() and count(tmp_path / "checked") >= 4, "checks")
    assert "no longer in place" not in init.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--verify", "1s"], ["--verify", "1s", "--wait", "file:///", "other.yaml"]],
    ids=["the default plan", "another plan and a wait"],
)
def test_a_check_takes_the_command_line_from_the_hold(
    run_inithold: Inithold, write: Write, tmp_path: Path, arguments: list[str]
) -> None:
    write().rename(tmp_path / ("other.yaml" if "other.yaml" in arguments else "inithold.yaml"))
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'INITHOLD_HOLD_CHECK' in os.environ:\n"
        "    ended = os._exit\n"
        "    def end(code):\n"
        "        with open('checks', 'a') as checks:\n"
        "            print(code, 'click' in sys.modules, 'INITHOLD_HOLD_CHECK' in os.environ, file=checks)\n"
        "        ended(code)\n"
        "    os._exit = end\n"
    )
    init = run_inithold.start("run", *arguments, env={"PYTHONPATH": str(tmp_path)})
    checks = tmp_path / "checks"
    init.wait_until(lambda: checks.exists() and count(checks) == 2, "two checks")
    assert set(checks.read_text().splitlines()) == {"4 False False"}
    (tmp_path / "made").unlink()
    init.wait_until((tmp_path / "made").exists, "the second run")


def test_each_check_sends_whether_it_is_ready(run_inithold: Inithold, write: Write, otlp: Collector) -> None:
    write(on_drift="unhealthy")
    init = run_inithold.start("run", env=otlp.env("http/protobuf"))
    init.wait_for_hold()

    def ready() -> set[float]:
        found = [metric for metric in otlp.metrics if metric.name == "init.ready"]
        return {point.value for metric in found for point in metric.points}

    init.wait_until(lambda: ready() == {1}, "a check that holds to be told")
    (run_inithold.folder / "made").unlink()
    init.wait_until(lambda: ready() == {0, 1}, "one that does not")
    init.wait_until(
        lambda: any("no longer in place: make: + made" in record.body for record in otlp.logs), "its log record"
    )


def test_a_collector_that_is_gone_has_no_effect(run_inithold: Inithold, write: Write) -> None:
    write()
    with closed_port() as port:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "INITHOLD_LOG_LEVEL": "info"}
        init = run_inithold.start("run", "--verify", "3s", env=env)
        init.wait_for_hold()
        # Under the hold it is tried for a while: half a minute, with a check every three seconds.
        init.wait_for_output("telemetry was not delivered", 60)
        said = init.output
        time.sleep(7)
        assert init.output == said
        assert run_inithold("health").returncode == 0


def test_no_secret_in_what_a_check_says(run_inithold: Inithold, write: Write, tmp_path: Path) -> None:
    write(
        "version: 1\nname: secret\nhold: {verify: 1s, on_drift: unhealthy}\nsteps:\n"
        "  - id: there\n    uses: file.ready\n    with: {path: '${FOLDER_TOKEN}'}\n"
    )
    (tmp_path / "hunter2-hunter2").touch()
    init = run_inithold.start("run", env={"FOLDER_TOKEN": "hunter2-hunter2", "INITHOLD_LOG_LEVEL": "debug"})
    init.wait_for_hold()
    (tmp_path / "hunter2-hunter2").unlink()
    time.sleep(2)
    assert "hunter2" not in init.output
    assert "hunter2" not in Path(f"{init.marker}.record.json").read_text()


def test_it_sleeps_in_the_kernel_between_two_checks(run_inithold: Inithold, write: Write) -> None:
    write()
    init = run_inithold.start("run", "--verify", "1h")
    init.wait_for_hold()

    def switches() -> int:
        status = Path(f"/proc/{init.pid}/status").read_text()
        return sum(int(line.split()[1]) for line in status.splitlines() if "ctxt_switches" in line)

    init.wait_until(lambda: (Path(f"/proc/{init.pid}/wchan").read_text() or "0") != "0", "it to sleep")
    before = switches()
    time.sleep(1.5)
    assert switches() == before
    assert Path(f"/proc/{init.pid}/cwd").readlink() == Path("/")
