"""`inithold rerun`: asks the hold to run its plan again, and waits for the outcome."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pid_namespace import UNSHARE, inside, needs_leave, pid_one
from servers.inithold import Inithold

PLAN = """
version: 1
name: again
hold: {verify: never}
steps:
  - {id: work, uses: command.run, with: {run: [sh, -c, 'test ! -e broken && echo run >> runs']}}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "inithold.yaml"
    path.write_text(PLAN)
    return path


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


def test_runs_again_and_tells_the_outcome(run_inithold: Inithold, plan: Path, tmp_path: Path) -> None:
    init = run_inithold.start("run")
    init.wait_for_hold()
    done = run_inithold("rerun")
    assert done.returncode == 0, done.stderr
    assert "again: ready (again: it was asked to (SIGHUP))" in done.stdout
    assert runs(tmp_path) == 2
    assert run_inithold("health").returncode == 0, "the marker is there when it returns"
    for number in range(3, 6):
        assert run_inithold("rerun").returncode == 0
        assert runs(tmp_path) == number
    init.signal(signal.SIGTERM)
    assert init.wait() == 0


def test_a_failure_is_told_and_ends_init(run_inithold: Inithold, plan: Path, tmp_path: Path) -> None:
    init = run_inithold.start("run")
    init.wait_for_hold()
    (tmp_path / "broken").touch()
    done = run_inithold("rerun")
    assert done.returncode == 1
    assert "step work (command.run" in done.stderr
    assert "Traceback" not in done.stderr
    assert init.wait() == 1
    assert not init.marker.exists()


def test_asked_the_moment_the_marker_is_there(run_inithold: Inithold, plan: Path, tmp_path: Path) -> None:
    # The process need not hold yet.
    init = run_inithold.start("run", env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    init.wait_for_marker()
    assert run_inithold("rerun", seconds=100).returncode == 0
    assert runs(tmp_path) == 2
    assert init.process.poll() is None


def test_a_plain_hold_says_what_to_do_instead(run_inithold: Inithold, plan: Path, tmp_path: Path) -> None:
    plan.write_text(PLAN.replace("hold: {verify: never}", ""))
    init = run_inithold.start("run")
    init.wait_for_hold()
    done = run_inithold("rerun")
    assert done.returncode == 1
    assert "this hold does not verify" in done.stderr
    assert "docker compose restart" in done.stderr
    assert runs(tmp_path) == 1
    assert run_inithold("health").returncode == 0


def test_nothing_holds(run_inithold: Inithold, plan: Path) -> None:
    done = run_inithold("rerun")
    assert done.returncode == 1
    assert "no init holds here: there is no marker at" in done.stderr
    assert run_inithold("run", "--once").returncode == 0
    assert "did not stay to hold (--once)" in run_inithold("rerun").stderr
    init = run_inithold.start("run")
    init.wait_for_hold()
    init.signal(signal.SIGKILL)
    init.wait()
    done = run_inithold("rerun")
    assert done.returncode == 1
    assert "is gone" in done.stderr


def test_while_a_run_goes_on_it_waits_for_that(run_inithold: Inithold, plan: Path, tmp_path: Path) -> None:
    plan.write_text(PLAN.replace("test ! -e broken", "sleep 2"))
    init = run_inithold.start("run")
    init.wait_until(Path(f"{init.marker}.record.json").exists, "the record")
    done = run_inithold("rerun")
    assert done.returncode == 0, done.stderr
    assert "a run is going on" in done.stdout
    assert runs(tmp_path) == 1


def test_without_a_record(run_inithold: Inithold, plan: Path, tmp_path: Path) -> None:
    env = {"INITHOLD_RECORD": str(tmp_path / "nowhere" / "record.json")}
    init = run_inithold.start("run", env=env)
    init.wait_for_hold()
    done = run_inithold("rerun", env=env)
    assert (done.returncode, done.stdout) == (0, "ready again\n")
    assert runs(tmp_path) == 2


def test_ctrl_c(run_inithold: Inithold, plan: Path, tmp_path: Path) -> None:
    plan.write_text(PLAN.replace("test ! -e broken", "(test ! -e runs || sleep 30)"))
    init = run_inithold.start("run")
    init.wait_for_hold()
    asking = run_inithold.start("rerun")
    asking.wait_until(lambda: not init.marker.exists(), "the run")
    time.sleep(0.2)
    asking.signal(signal.SIGINT)
    assert asking.wait() == 130
    assert "Traceback" not in asking.output


@needs_leave
class TestAsPidOne:
    """As in a container, where another process does the run."""

    def test_runs_again_in_place(self, run_inithold: Inithold, plan: Path, tmp_path: Path) -> None:
        init = run_inithold.start("run", prefix=UNSHARE)
        init.wait_for_hold()
        first = pid_one(init)
        enter = inside(init)
        for number in (2, 3):
            done = run_inithold("rerun", prefix=enter)
            assert done.returncode == 0, done.stderr
            assert runs(tmp_path) == number
            assert pid_one(init) == first
            assert run_inithold("health", prefix=enter).returncode == 0
        os.kill(first, signal.SIGTERM)
        assert init.wait() == 0

    def test_asked_the_moment_the_marker_is_there(
        self, run_inithold: Inithold, plan: Path, tmp_path: Path
    ) -> None:
        init = run_inithold.start("run", prefix=UNSHARE, env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
        init.wait_for_marker()
        enter = inside(init)
        assert run_inithold("rerun", prefix=enter, seconds=100).returncode == 0
        assert runs(tmp_path) == 2

    def test_a_sighup_while_running_ends_the_run(self, run_inithold: Inithold, plan: Path) -> None:
        plan.write_text(PLAN.replace("test ! -e broken", "sleep 30"))
        init = run_inithold.start("run", prefix=UNSHARE)
        init.wait_for_output("runs each time")
        os.kill(pid_one(init), signal.SIGHUP)
        assert init.wait() == 128 + signal.SIGHUP

    def test_what_drifted_is_made_again_and_orphans_are_reaped(
        self, run_inithold: Inithold, plan: Path, tmp_path: Path
    ) -> None:
        plan.write_text(
            "version: 1\nname: one\nhold: {verify: 1s}\nsteps:\n"
            "  - {id: make, uses: command.run, with: {run: [sh, -c, 'touch made; (sleep .1 &)'], creates: made}}\n"
        )
        init = run_inithold.start("run", prefix=UNSHARE)
        init.wait_for_hold()
        (tmp_path / "made").unlink()
        init.wait_until((tmp_path / "made").exists, "the second run")
        init.wait_for_hold()
        first = pid_one(init)
        children = Path(f"/proc/{first}/task/{first}/children")
        init.wait_until(lambda: not children.read_text().split(), "everything to be reaped")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("init-complete", "inithold: {} cannot be read: "),
        ("init-complete.record.json", "inithold: cannot read the record {}: "),
    ],
)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_is_an_error_and_no_hang(
    run_inithold: Inithold, tmp_path: Path, name: str, message: str, make: Callable[[Path], None]
) -> None:
    make(tmp_path / name)
    done = run_inithold("rerun", seconds=20)
    assert done.returncode == 1
    assert done.stderr.startswith(message.format(tmp_path / name))
    assert len(done.stderr.splitlines()) == 1
