"""A hold that verifies, in trouble: signals in bad moments, files that go away, checks that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from pid_namespace import UNSHARE, inside, needs_leave, pid_one
from promptness import PROMPTLY
from servers.inithold import Inithold, Running
from servers.run import children, is_alive
from somebody import somebody

PLAN = """
version: 1
name: troubled
hold: {verify: %s}
steps:
  - id: make
    uses: command.run
    with: {run: [sh, -c, 'echo run >> runs; sleep 0.3; touch made'], creates: made}
"""
SLOW_CHECK = """
version: 1
name: slow
hold: {verify: 1s}
steps:
  - id: slow
    uses: command.run
    with:
      run: [touch, made]
      unless: 'if test -e held; then echo $$$$ > checking; exec sleep 60; fi; test -e made'
"""


def write(folder: Path, text: str = PLAN, verify: str = "1s") -> None:
    (folder / "inithold.yaml").write_text(text % verify if text is PLAN else text)


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


def is_ready(run_inithold: Inithold, *, prefix: list[str] | None = None) -> bool:
    return run_inithold("health", prefix=prefix or ()).returncode == 0


def a_check(init: Running, holder: int) -> int:
    """The process of the check that is going on."""
    checks: list[int] = []
    init.wait_until(lambda: bool(checks.extend(children(holder)) or checks), "a check")
    return checks[0]


def a_check_that_stays(init: Running, folder: Path, holder: int) -> int:
    """Have the next check of `SLOW_CHECK` stay in its command; the process of that check, once it is there."""
    (folder / "held").touch()
    checking = folder / "checking"
    init.wait_until(lambda: checking.exists() and bool(checking.read_text()), "a check")
    return a_check(init, holder)


def is_pending(pid: int, number: signal.Signals) -> bool:
    """Whether a process that is stopped has been sent a signal; no longer once it is gone."""
    return bool(int(status(pid, "ShdPnd") or "0", 16) >> number - 1 & 1)


def is_stopped(pid: int) -> bool:
    return status(pid, "State") == "T"


def status(pid: int, field: str) -> str:
    """A field of proc_pid_status(5): its first word; empty where the process is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/status").read_text().partition(f"\n{field}:")[2].split()[0]
    return ""


class TestSignals:
    @pytest.mark.parametrize("prefix", [[], pytest.param(UNSHARE, marks=needs_leave)], ids=["", "pid-1"])
    def test_many_hangups_at_once(self, run_inithold: Inithold, tmp_path: Path, prefix: list[str]) -> None:
        write(tmp_path, PLAN.replace(", creates: made", "").replace("%s", "never"))
        init = run_inithold.start("run", prefix=prefix)
        init.wait_for_hold()
        holder = pid_one(init) if prefix else init.pid
        for _ in range(60):
            os.kill(holder, signal.SIGHUP)
            time.sleep(0.02)
            assert init.process.poll() is None, init.output
        init.wait_for_hold()
        init.wait_until(lambda: "again: it was asked to" in init.stderr, "another run")
        init.wait_for_hold()
        assert runs(tmp_path) >= 2
        os.kill(holder, signal.SIGTERM)
        # The last of them may have been kept for one more run, which has just begun.
        assert init.wait() in (0, 128 + signal.SIGTERM, -signal.SIGTERM)

    def test_two_ask_at_the_same_time(self, run_inithold: Inithold, tmp_path: Path) -> None:
        write(tmp_path, PLAN.replace(", creates: made", "").replace("%s", "never"))
        init = run_inithold.start("run")
        init.wait_for_hold()
        asking = [run_inithold.start("rerun") for _ in range(4)]
        assert [each.wait() for each in asking] == [0] * 4, [each.output for each in asking]
        assert init.process.poll() is None, init.output

    def test_asked_when_a_check_is_due(self, run_inithold: Inithold, tmp_path: Path) -> None:
        # As a container that was paused for longer than the pace: alarm and request are there at the same time.
        write(tmp_path)
        init = run_inithold.start("run")
        init.wait_for_hold()
        init.signal(signal.SIGSTOP)
        time.sleep(1.5)
        init.signal(signal.SIGHUP)
        init.signal(signal.SIGCONT)
        init.wait_for_output("again: it was asked to")
        init.wait_for_hold()
        assert is_ready(run_inithold)

    def test_asked_during_a_check(self, run_inithold: Inithold, tmp_path: Path) -> None:
        write(tmp_path, SLOW_CHECK)
        init = run_inithold.start("run")
        init.wait_for_hold()
        a_check_that_stays(init, tmp_path, init.pid)
        (tmp_path / "held").unlink()
        done = run_inithold("rerun")
        assert done.returncode == 0, done.stderr
        checked = Path("/proc", (tmp_path / "checking").read_text().strip())
        init.wait_until(lambda: not checked.exists(), "the command of the check to end")

    def test_ended_while_a_check_that_will_not_end_is_ended(self, run_inithold: Inithold, tmp_path: Path) -> None:
        write(tmp_path, SLOW_CHECK)
        # The hold waits for 1 s. On a busy machine that may be over before it can be stopped: then from the start.
        while not (init := self.stopped_while_it_ends_a_check(run_inithold, tmp_path)):
            pass
        init.signal(signal.SIGTERM)
        init.signal(signal.SIGCONT)
        assert init.wait() == 0, "not from the run that was asked for: 143"

    @staticmethod
    def stopped_while_it_ends_a_check(run_inithold: Inithold, folder: Path) -> Running | None:
        """A hold, stopped where it waits for the end of a check that will not end; None if it no longer waited."""
        for name in ("held", "checking"):
            (folder / name).unlink(missing_ok=True)
        init = run_inithold.start("run")
        init.wait_for_hold()
        check = a_check_that_stays(init, folder, init.pid)
        os.kill(check, signal.SIGSTOP)
        init.signal(signal.SIGHUP)
        init.wait_until(lambda: is_pending(check, signal.SIGTERM) or not is_alive(check), "the check to be told")
        init.signal(signal.SIGSTOP)
        init.wait_until(lambda: is_stopped(init.pid), "the hold to stop")
        if is_alive(check) and not is_pending(init.pid, signal.SIGALRM):
            return init
        init.end()
        return None

    @needs_leave
    @pytest.mark.parametrize("moment", ["at once", "in the check's command"])
    def test_ended_in_a_check(self, run_inithold: Inithold, tmp_path: Path, moment: str) -> None:
        write(tmp_path, SLOW_CHECK)
        init = run_inithold.start("run", prefix=UNSHARE)
        init.wait_for_hold()
        first = pid_one(init)
        if moment == "at once":
            a_check(init, first)
        else:
            a_check_that_stays(init, tmp_path, first)
        self.ends(init, first)

    @needs_leave
    @pytest.mark.parametrize("why", ["drift", "rerun"])
    @pytest.mark.parametrize("moment", ["at once", "no marker", "begun", "applying", "applied", "holding again"])
    def test_ended_at_any_moment(self, run_inithold: Inithold, tmp_path: Path, why: str, moment: str) -> None:
        write(tmp_path)
        init = run_inithold.start("run", prefix=UNSHARE)
        init.wait_for_hold()
        first = pid_one(init)
        lines = init.output.count("init  ")
        (tmp_path / "made").unlink()
        if why == "rerun":
            os.kill(first, signal.SIGHUP)
        match moment:
            case "no marker":
                init.wait_until(lambda: not init.marker.exists(), moment)
            case "begun":
                init.wait_until(lambda: init.output.count("init  ") > lines, moment)
            case "applying":
                init.wait_until(lambda: runs(tmp_path) == 2, moment)
            case "applied":
                init.wait_until((tmp_path / "made").exists, moment)
            case "holding again":
                init.wait_until(lambda: init.output.count("holding (") == 2, moment)
        self.ends(init, first)

    @staticmethod
    def ends(init: Running, first: int) -> None:
        at = time.monotonic()
        os.kill(first, signal.SIGTERM)
        assert init.wait() in (0, 128 + signal.SIGTERM)
        assert time.monotonic() - at < PROMPTLY
        assert "Traceback" not in init.output


class TestFiles:
    def test_a_marker_that_somebody_removed_is_published_again(
        self, run_inithold: Inithold, tmp_path: Path
    ) -> None:
        # Cleaners of /tmp do that, by age.
        write(tmp_path)
        init = run_inithold.start("run")
        init.wait_for_hold()
        init.marker.unlink()
        init.wait_for_output("again: the marker ")
        init.wait_for_hold()
        assert is_ready(run_inithold)

    def test_the_marker_s_folder_is_removed(self, run_inithold: Inithold, tmp_path: Path) -> None:
        write(tmp_path)
        (tmp_path / "place").mkdir()
        init = run_inithold.start("run", env={"INITHOLD_MARKER": str(tmp_path / "place" / "marker")})
        init.wait_for_hold()
        for file in (tmp_path / "place").iterdir():
            file.unlink()
        (tmp_path / "place").rmdir()
        assert init.wait() == 2
        assert "cannot be written: No such file or directory" in init.stderr
        assert "Traceback" not in init.stderr

    @needs_leave
    def test_the_marker_s_folder_is_read_only_now(self, run_inithold: Inithold, tmp_path: Path) -> None:
        write(tmp_path)
        place = tmp_path / "place"
        place.mkdir()
        mount = ["sh", "-c", f'mount -t tmpfs none {place} && exec "$@"', "sh"]
        env = {"INITHOLD_MARKER": str(place / "marker")}
        init = run_inithold.start("run", prefix=[*UNSHARE, *mount], env=env)
        init.wait_until(lambda: "holding (" in init.output, "the hold")
        enter = inside(init)
        subprocess.run([*enter, "mount", "-o", "remount,ro", place], check=True)
        time.sleep(2.5)
        assert run_inithold("health", prefix=enter, env=env).returncode == 0, init.output
        assert "no longer" not in init.output
        (tmp_path / "made").unlink()
        assert init.wait() == 1, "the promise ends with the process that stands behind it"
        assert f"the marker {place}/marker cannot be taken away: Read-only file system" in init.stderr
        assert "Traceback" not in init.stderr

    @pytest.mark.parametrize("how", ["removed", "rubbish", "a folder"])
    def test_the_record_is(self, run_inithold: Inithold, tmp_path: Path, how: str) -> None:
        write(tmp_path)
        init = run_inithold.start("run")
        init.wait_for_hold()
        record = Path(f"{init.marker}.record.json")
        record.unlink()
        if how == "rubbish":
            record.write_text("{")
        elif how == "a folder":
            record.mkdir()
        time.sleep(1.5)
        assert is_ready(run_inithold)
        (tmp_path / "made").unlink()
        init.wait_for_output("no longer in place: make: + made")
        init.wait_until((tmp_path / "made").exists, "the second run")
        init.wait_for_hold()
        assert is_ready(run_inithold)
        assert "Traceback" not in init.output

    def test_the_working_directory_is_gone(self, run_inithold: Inithold, tmp_path: Path) -> None:
        write(tmp_path)
        (tmp_path / "made").touch()
        (tmp_path / "work").mkdir()
        plan = (PLAN % "1s").replace("creates: made", f"creates: {tmp_path}/made")
        (tmp_path / "inithold.yaml").write_text(plan)
        init = run_inithold.start("run", tmp_path / "inithold.yaml", cwd=tmp_path / "work")
        init.wait_for_hold()
        (tmp_path / "work").rmdir()
        init.wait_for_output(f"the folder {tmp_path}/work cannot be entered: No such file or directory")
        assert is_ready(run_inithold)
        init.signal(signal.SIGHUP)
        assert init.wait() == 1
        assert not init.marker.exists()

    def test_started_where_there_is_no_folder_any_more(self, run_inithold: Inithold, tmp_path: Path) -> None:
        write(tmp_path)
        (tmp_path / "work").mkdir()
        leave = ["sh", "-c", f'cd {tmp_path}/work && rmdir {tmp_path}/work && exec "$@"', "sh"]
        done = run_inithold("run", tmp_path / "inithold.yaml", prefix=leave)
        assert done.returncode == 2
        assert "the folder it was started in, and that folder is gone" in done.stderr
        assert "Traceback" not in done.stderr


class TestChecks:
    def test_one_that_is_killed(self, run_inithold: Inithold, tmp_path: Path) -> None:
        write(tmp_path, SLOW_CHECK)
        init = run_inithold.start("run")
        init.wait_for_hold()
        check = a_check_that_stays(init, tmp_path, init.pid)
        (tmp_path / "held").unlink()
        os.kill(check, signal.SIGKILL)
        init.wait_for_output("a check was killed by signal 9 (out of memory?)")
        assert is_ready(run_inithold)
        (tmp_path / "made").unlink()
        init.wait_until((tmp_path / "made").exists, "another run")
        init.wait_for_hold()

    def test_killed_between_its_finding_and_its_end(self, run_inithold: Inithold, tmp_path: Path) -> None:
        # A collector that takes connections and never answers keeps it in telemetry for a moment.
        write(tmp_path, (PLAN % "1s, on_drift: unhealthy"))
        init = run_inithold.start("run")
        init.wait_for_hold()
        check = a_check(init, init.pid)
        os.kill(check, signal.SIGSTOP)
        init.marker.rename(f"{init.marker}.withdrawn")
        os.kill(check, signal.SIGKILL)
        init.wait_for_marker()
        assert is_ready(run_inithold)

    def test_killed_over_its_telemetry_after_its_finding(self, run_inithold: Inithold, tmp_path: Path) -> None:
        # An exporter that keeps the interpreter lock: no timer of the check's own can act.
        write(tmp_path)
        libraries = tmp_path / "libraries"
        libraries.mkdir()
        (libraries / "requests.py").write_text("import re\nre.match(r'(a+)+$', 'a' * 45 + 'b')\n")
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": str(libraries)}
        init = run_inithold.start("run", env=env)
        init.wait_for_hold()
        init.wait_for_output("a check was killed by signal 14", 30)
        assert is_ready(run_inithold)
        (tmp_path / "made").unlink()
        init.wait_until((tmp_path / "made").exists, "another run", 30)

    def test_the_grace_is_longer_than_the_step_may_take(self, run_inithold: Inithold, tmp_path: Path) -> None:
        (tmp_path / "server").touch()
        write(
            tmp_path,
            "version: 1\nname: away\nhold: {verify: 1s, grace: 30s}\nsteps:\n"
            "  - {id: server, uses: file.ready, timeout: 1s, with: {path: server}}\n",
        )
        init = run_inithold.start("run")
        init.wait_for_hold()
        (tmp_path / "server").unlink()
        time.sleep(4)
        assert is_ready(run_inithold), init.output
        (tmp_path / "server").touch()
        init.wait_for_output("server: was away for")
        assert "no longer in place" not in init.output

    def test_unhealthy_with_a_changed_plan(self, run_inithold: Inithold, tmp_path: Path) -> None:
        write(tmp_path, PLAN % "1s, on_drift: unhealthy")
        init = run_inithold.start("run")
        init.wait_for_hold()
        plan = tmp_path / "inithold.yaml"
        text = plan.read_text()
        plan.write_text(text + "  - {id: more, uses: command.run, with: {run: [touch, more], creates: more}}\n")
        init.wait_until(lambda: not init.marker.exists(), "the marker to go")
        init.wait_for_output("the plan has changed")
        plan.write_text(text)
        init.wait_for_marker()
        plan.write_text(text + "  - {id: more, uses: command.run, with: {run: [touch, more], creates: more}}\n")
        init.wait_until(lambda: not init.marker.exists(), "the marker to go")
        done = run_inithold("rerun")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "more").exists()
        assert is_ready(run_inithold)


SCRIPT = """\
import os, pathlib, sys
from inithold import Plan
plan = Plan("script")
@plan.step(check=lambda: pathlib.Path("made").exists())
def make(): pathlib.Path("made").touch()
%s
"""


class TestCommandLines:
    """The same command line is executed again, whatever it was."""

    def drifts_and_heals(self, init: Running, folder: Path, run_inithold: Inithold) -> None:
        init.wait_for_marker()
        init.wait_until(lambda: "holding (" in init.output, "the hold")
        (folder / "made").unlink()
        init.wait_until((folder / "made").exists, "the second run")
        init.wait_until(lambda: is_ready(run_inithold), "ready")
        assert "again: make: " in init.output
        init.wait_until(lambda: init.output.count("holding (") == 2, "the end of the second run")
        # Until the hold has replaced the run, SIGTERM would end the run, and a script goes on after that.
        command_line = Path(f"/proc/{init.pid}/cmdline")
        init.wait_until(lambda: b"verifier.py" in command_line.read_bytes(), "the second hold")
        init.signal(signal.SIGTERM)
        assert init.wait() == 0

    def test_a_script_that_goes_on_after_its_plan(self, run_inithold: Inithold, tmp_path: Path) -> None:
        (tmp_path / "init.py").write_text(SCRIPT % "plan.run()\nprint('it failed, somebody has to be woken')")
        init = run_inithold.start(program=(sys.executable, "init.py"), env={"INITHOLD_VERIFY": "1s"})
        self.drifts_and_heals(init, tmp_path, run_inithold)
        assert "somebody has to be woken" not in init.output

    def test_a_script_that_never_gets_to_its_plan(self, run_inithold: Inithold, tmp_path: Path) -> None:
        (tmp_path / "init.py").write_text(
            SCRIPT % "if pathlib.Path('skip').exists(): sys.exit(0)\nraise SystemExit(plan.run())"
        )
        init = run_inithold.start(program=(sys.executable, "init.py"), env={"INITHOLD_VERIFY": "1s"})
        init.wait_for_marker()
        (tmp_path / "skip").touch()
        init.wait_for_output("a check exited 0 without an answer")
        assert is_ready(run_inithold)

    def test_a_module_of_a_package(self, run_inithold: Inithold, tmp_path: Path) -> None:
        (tmp_path / "services").mkdir()
        (tmp_path / "services" / "__init__.py").touch()
        (tmp_path / "services" / "init.py").write_text(
            SCRIPT % "if __name__ == '__main__': raise SystemExit(plan.run())"
        )
        program = (sys.executable, "-X", "utf8", "-m", "services.init")
        init = run_inithold.start(program=program, env={"INITHOLD_VERIFY": "1s"})
        self.drifts_and_heals(init, tmp_path, run_inithold)

    @pytest.mark.parametrize("prefix", [[], ["catatonit", "--"]], ids=["", "catatonit"])
    def test_a_script_of_an_entry_point_by_a_relative_path(
        self, run_inithold: Inithold, tmp_path: Path, prefix: list[str]
    ) -> None:
        write(tmp_path)
        (tmp_path / "bin").symlink_to(Path(sys.executable).parent)
        program = [*UNSHARE, *prefix, "bin/inithold"] if prefix else ["bin/inithold"]
        init = run_inithold.start("run", "inithold.yaml", program=program)
        if not prefix:
            self.drifts_and_heals(init, tmp_path, run_inithold)
            return
        init.wait_until(lambda: "holding (" in init.output, "the hold")
        (tmp_path / "made").unlink()
        init.wait_until((tmp_path / "made").exists, "the second run")
        os.kill(pid_one(init), signal.SIGTERM)
        assert init.wait() in (0, 128 + signal.SIGTERM, -signal.SIGTERM)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become somebody else")
def test_asked_by_another_user(run_inithold: Inithold, tmp_path: Path) -> None:
    write(tmp_path, PLAN % "never")
    with TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        env = {"INITHOLD_MARKER": f"{place}/marker"}
        init = run_inithold.start("run", env=env)
        init.wait_for_hold()
        done = run_inithold("rerun", prefix=somebody(), env=env)
        assert run_inithold("health", env=env).returncode == 0
    assert done.returncode == 1
    assert f"process {init.pid}, which holds, belongs to another user" in done.stderr
    assert "docker exec --user USER CONTAINER inithold rerun" in done.stderr
