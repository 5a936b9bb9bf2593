"""command.run, against real processes."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cancelling import cancelled
from golden import assert_golden
from inithold.plan.model import CheckedPlan, PlannedStep, Retry
from inithold.runner.events import Span
from inithold.runner.run import Runner
from inithold.runner.stream import Stream
from inithold.steps.base import Step
from inithold.steps.command import PassedThrough, Run
from inithold.testing import Driven, check, drive
from inithold.text.duration import Duration
from promptness import PROMPTLY
from servers.run import is_alive

PYTHON = sys.executable


def wait_until(true: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return true()


def failed(step: Step, case: str, *, timeout: float = 30.0, varying: dict[str, str] | None = None) -> Driven:
    result = drive(step, timeout=timeout)
    assert result.outcome == "failed"
    assert_golden(f"command/{case}", result.reason, result.finished.hint, varying=varying)
    return result


# -- guards


def test_without_a_guard_it_runs_each_time(tmp_path: Path) -> None:
    step = Run(run=f"echo x >> {tmp_path}/ran")
    assert not step.verifiable
    assert [str(change) for change in check(step)] == ["? runs each time"]
    for times in (1, 2):
        result = drive(step)
        assert result.outcome == "changed"
        assert (tmp_path / "ran").read_text() == "x\n" * times


def test_creates_runs_once(tmp_path: Path) -> None:
    step = Run(run="touch made", creates="made", cwd=str(tmp_path))
    assert step.verifiable
    assert drive(step).changes == ("+ made",)
    assert drive(step).outcome == "unchanged"


def test_creates_that_is_not_created(tmp_path: Path) -> None:
    failed(Run(run="true", creates=f"{tmp_path}/made"), "not-created", varying={str(tmp_path): "FOLDER"})


@pytest.mark.parametrize("guard", [["test", "-e", "made"], "[ -e made ]"])
def test_unless_runs_once(tmp_path: Path, guard: list[str] | str) -> None:
    step = Run(run=["touch", "made"], unless=guard, cwd=str(tmp_path))
    assert drive(step).changes == ("+ run touch made",)
    assert drive(step).outcome == "unchanged"


def test_unless_that_still_says_no_afterwards() -> None:
    failed(Run(run="true", unless="false"), "guard-says-no-afterwards")


@pytest.mark.parametrize("code", [1, 2, 125])
def test_any_ordinary_exit_code_of_a_guard_is_a_no(code: int) -> None:
    assert len(check(Run(run="true", unless=f"exit {code}"))) == 1


def test_a_guard_that_cannot_be_run() -> None:
    failed(Run(run="true", unless="exit 127"), "guard-not-found")
    failed(Run(run="true", unless="exit 126"), "guard-126")
    failed(Run(run="true", unless="kill -SEGV $$"), "guard-killed")
    result = drive(Run(run="true", unless=["no-such-program-here"]))
    assert result.reason == "cannot run no-such-program-here: not found"
    for guard in ("no-such-program-here --check", "sh -c 'kill -KILL $$'; exit $?", "exit 255"):
        result = drive(Run(run="exit 9", unless=guard))
        assert result.outcome == "failed"
        assert result.reason.startswith(f"unless ({guard}) exited "), "the command has not run"


@pytest.mark.parametrize(
    ("creates", "cwd"),
    [
        ("/", None),
        ("//", None),
        (".", None),
        ("./", None),
        ("..", None),
        ("../..", None),
        ("data/..", None),
        ("/app/..", None),
        (".", "/app"),
        ("/app", "/app"),
        ("/app/", "/app/site"),
        ("..", "site"),
    ],
)
def test_a_path_that_always_exists_is_no_guard(creates: str, cwd: str | None) -> None:
    problems = dict(Run(run="true", creates=creates, cwd=cwd).validate())
    assert problems == {
        "creates": f"{creates} always exists, so the command would never run: name what it creates"
    }


@pytest.mark.parametrize("creates", ["*.done", "/data/*/done", "log?", "[ab].txt", "**/x"])
def test_a_pattern_is_no_guard(creates: str) -> None:
    problems = dict(Run(run="true", creates=creates).validate())
    assert problems["creates"].startswith("creates is a path, not a pattern")


def test_a_path_that_may_be_one() -> None:
    for creates, cwd in (
        ("/app2", "/app"),
        ("../data", "/app"),
        ("data", None),
        (".ready", "/app"),
        ("..x", None),
    ):
        assert dict(Run(run="true", creates=creates, cwd=cwd).validate()) == {}
    assert "~ is a shell's word" in dict(Run(run="true", creates="~/x").validate())["creates"]


def test_a_path_that_cannot_be_looked_up(tmp_path: Path) -> None:
    result = drive(Run(run="exit 9", creates=str(tmp_path / ("x" * 300))))
    assert result.outcome == "failed"
    assert "file name too long" in result.reason
    (tmp_path / "file").touch()
    assert len(check(Run(run="true", creates=str(tmp_path / "file" / "made")))) == 1


def test_what_a_guard_says_is_for_debugging() -> None:
    result = drive(Run(run="true", unless="echo from the guard; exit 0"))
    assert result.log == ("from the guard",)
    assert [event.level for event in result.events if getattr(event, "text", "")] == ["debug"]


# -- success and failure


def test_output_of_both_kinds_comes_line_by_line_in_order() -> None:
    result = drive(Run(run="echo one; echo two >&2; echo three; printf 'last, unended'"))
    assert result.outcome == "changed"
    assert result.log == ("one", "two", "three", "last, unended")


def test_output_comes_while_the_command_runs(tmp_path: Path) -> None:
    go = tmp_path / "go"
    step = Run(run=f"echo started; until [ -e {go} ]; do sleep 0.02; done; echo ended")
    seen: list[str] = []

    class Watcher:
        def see(self, event: object) -> None:
            text = getattr(event, "text", None)
            if text:
                seen.append(text)
            if text == "started":
                go.touch()

        def close(self) -> None:
            return

    plan = CheckedPlan("test", (PlannedStep("step", step, timeout=20.0),), "0" * 64)
    assert Runner(plan, Stream([Watcher()]), Span("0" * 31 + "1", "0" * 15 + "1")).run().outcome == "ready"
    assert seen == ["started", "ended"]


def test_progress_bars_colours_and_binaries_do_no_harm() -> None:
    result = drive(Run(run=r"printf '10%%\r50%%\r100%%\n\033[31mred\033[0m\n\000\377\n'"))
    assert result.log == ("100%", "red", "\ufffd\ufffd")


def test_a_progress_bar_is_said_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inithold.redaction.sanitize.PROGRESS_INTERVAL", 0.2)
    script = r"for i in 1 2 3 4 5 6 7 8; do printf '\r%s0%%' $i; sleep 0.1; done; echo"
    result = drive(Run(run=script))
    assert 2 < len(result.log) < 8
    assert result.log[-1] == "80%"


def test_much_output_is_taken_in_bounded_pieces() -> None:
    result = drive(Run(run=[PYTHON, "-c", "print('x' * 5_000_000); print('y')"]))
    assert result.outcome == "changed"
    assert len(result.log[0]) < 5000
    assert result.log[1] == "y"


def test_a_failure_tells_the_last_lines() -> None:
    result = failed(Run(run="for i in $(seq 30); do echo line $i; done; exit 3"), "exit-code")
    assert len(result.log) == 30


def test_a_silent_failure_says_so() -> None:
    failed(Run(run="exit 1"), "silent-failure")


def test_long_lines_are_cut_in_the_failure() -> None:
    result = drive(Run(run=[PYTHON, "-c", "print('x' * 3000); raise SystemExit(1)"]))
    assert len(result.reason) < 700


def test_a_signal_is_named() -> None:
    failed(Run(run="kill -TERM $$"), "signal")
    failed(Run(run="kill -KILL $$"), "sigkill")
    failed(Run(run="exit 139"), "signal-of-what-a-shell-ran")


def test_what_cannot_be_started(tmp_path: Path) -> None:
    folder = {str(tmp_path): "FOLDER"}
    failed(Run(run=["no-such-program-here"], env={"PATH": "/usr/bin:/bin"}), "not-found")
    failed(Run(run=["no-such-program-here --option"]), "not-split")
    failed(Run(run=["./missing"], cwd=str(tmp_path)), "no-such-file")
    failed(Run(run="exit 127"), "shell-not-found")
    failed(Run(run=[str(tmp_path)]), "folder", varying=folder)
    failed(Run(run=["true"], cwd=str(tmp_path / "gone")), "no-cwd", varying=folder)
    script = tmp_path / "script"
    script.write_text("no interpreter named\n")
    failed(Run(run=[str(script)]), "not-executable", varying=folder)
    script.chmod(0o755)
    failed(Run(run=[str(script)]), "not-a-program", varying=folder)
    script.write_bytes(b"#!/bin/sh\r\necho\r\n")
    failed(Run(run=[str(script)]), "windows-line-ends", varying=folder)


def test_relative_programs_start_at_cwd(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\npwd\n")
    script.chmod(0o755)
    assert drive(Run(run=["./script"], cwd=str(tmp_path))).log == (str(tmp_path),)


def test_retry_tries_a_failure_again(tmp_path: Path) -> None:
    step = Run(run=f"echo x >> {tmp_path}/ran; [ $(wc -l < {tmp_path}/ran) = 3 ]")
    assert drive(step).outcome == "failed"
    result = drive(step, retry=Retry(attempts=3, delay=Duration(0.01)))
    assert (result.outcome, result.finished.attempts) == ("changed", 2)


# -- environment


def test_the_environment_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "outside")
    result = drive(Run(run="echo $FROM_OUTSIDE $FROM_STEP; echo $TRACEPARENT; cat", env={"FROM_STEP": "step"}))
    assert result.log[0] == "outside step"
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", result.log[1])
    assert len(result.log) == 2, "standard input is empty"


def test_secrets_of_the_environment_are_masked() -> None:
    step = Run(
        run="echo $APP_PASSWORD $DATABASE_URL $PLAIN; exit 1",
        env={
            "APP_PASSWORD": "planted-as-password",
            "DATABASE_URL": "postgresql://app:planted-in-url@db/games",
            "PLAIN": "nothing-secret",
        },
    )
    result = drive(step)
    assert result.log == ("*** postgresql://app:***@db/games nothing-secret",)
    assert "planted" not in result.reason
    assert "planted" not in repr(step)


def test_a_secret_in_the_command_is_not_shown() -> None:
    step = Run(run=["app", "--password", "planted-argument"], env={"X_PASSWORD": "planted-argument"})
    assert step.subject() == "app --password '***'" or step.subject() == "app --password ***"
    assert "planted" not in repr(step)


def test_a_long_command_is_shown_short() -> None:
    assert len(Run(run="x " * 200).subject()) == 100
    assert Run(run="a\nb").subject() == "a b"


# -- its end


def test_what_a_command_leaves_behind_does_not_hang_the_step() -> None:
    began = time.monotonic()
    result = drive(Run(run="sleep 30 & echo $!"))
    assert result.outcome == "changed"
    assert time.monotonic() - began < 5
    assert "keeps its output open" in result.log[1]
    os.kill(int(result.log[0]), signal.SIGKILL)


def test_a_chatty_one_left_behind_does_not_either() -> None:
    began = time.monotonic()
    result = drive(Run(run="(while :; do echo chat; sleep 0.05; done) & echo $!"))
    assert result.outcome == "changed"
    assert time.monotonic() - began < 5
    pid = next(int(line) for line in result.log if line.isdigit())
    assert wait_until(lambda: not is_alive(pid)), "its output is gone, which ends it"


def test_a_command_that_closes_its_output_is_waited_for() -> None:
    began = time.monotonic()
    assert drive(Run(run="exec >&- 2>&-; sleep 0.4")).outcome == "changed"
    assert time.monotonic() - began >= 0.4


def test_the_whole_group_ends_when_its_time_is_up() -> None:
    result = failed(Run(run="sleep 31 & sleep 32 & echo children started; wait"), "time-is-up", timeout=0.5)
    assert result.finished.exception == "TimeoutError"
    assert wait_until(lambda: not running("sleep 31") and not running("sleep 32"))


def test_who_ignores_sigterm_is_killed_after_three_seconds() -> None:
    step = Run(run="trap '' TERM; echo $$; sleep 33 & while :; do sleep 0.1; done")
    began = time.monotonic()
    result = drive(step, timeout=0.5)
    assert result.outcome == "failed"
    assert 3 < time.monotonic() - began < 8
    assert not running("sleep 33")


def test_cancelling_ends_it_at_once() -> None:
    step = Run(run="sleep 34 & sleep 35")
    result, seconds = cancelled(step, lambda: running("sleep 34") and running("sleep 35"))
    assert result.outcome == "cancelled"
    assert seconds < PROMPTLY
    assert not running("sleep 34")


def test_cancelling_lets_it_finish_what_it_does_on_sigterm(tmp_path: Path) -> None:
    step = Run(
        run="trap 'echo rolled back > said; exit 0' TERM; touch up; while :; do sleep 0.05; done",
        cwd=str(tmp_path),
    )
    result, _ = cancelled(step, (tmp_path / "up").exists)
    assert result.outcome == "cancelled"
    assert (tmp_path / "said").read_text() == "rolled back\n"


def test_a_stopped_process_ends_too() -> None:
    step = Run(run="echo up; kill -STOP $$; sleep 36")
    began = time.monotonic()
    assert drive(step, timeout=0.5).outcome == "failed"
    assert time.monotonic() - began < PROMPTLY


def test_cancelling_ends_a_guard() -> None:
    step = Run(run="true", unless="sleep 37")
    result, seconds = cancelled(step, lambda: running("sleep 37"))
    assert result.outcome == "cancelled"
    assert seconds < PROMPTLY
    assert wait_until(lambda: not running("sleep 37"))


def running(command: str) -> bool:
    """Whether a process of this very command line runs."""
    found = subprocess.run(["ps", "-A", "-o", "state=,args="], capture_output=True, text=True, check=True).stdout
    return any(line.split(None, 1)[1:] == [command] and line[0] != "Z" for line in found.splitlines())


# -- passed through


PASSING = """
import sys
from inithold.steps.command import PassedThrough
from inithold.testing import drive
result = drive(PassedThrough(run=sys.argv[1:]), timeout=None)
sys.exit(0 if result.outcome == "changed" else result.reason)
"""


def test_input_and_outputs_pass_byte_for_byte() -> None:
    data = bytes(range(256)) * 10
    program = (
        "import sys; data = sys.stdin.buffer.read(); "
        "sys.stdout.buffer.write(data); sys.stderr.buffer.write(data[::-1])"
    )
    done = subprocess.run(
        [PYTHON, "-c", PASSING, PYTHON, "-c", program], input=data, capture_output=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout == data
    assert done.stderr == data[::-1]


def test_a_failure_passed_through() -> None:
    failed(PassedThrough(run=["sh", "-c", "exit 4"]), "passed-through-exit-code")
    assert (
        drive(PassedThrough(run=["no-such-program-here"])).reason == "cannot run no-such-program-here: not found"
    )


def test_a_terminal_stays_one() -> None:
    master, terminal = pty.openpty()
    program = (
        "import sys; print([stream.isatty() for stream in (sys.stdin, sys.stdout)], sys.stdin.readline().strip())"
    )
    process = subprocess.Popen(
        [PYTHON, "-c", PASSING, PYTHON, "-c", program],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    os.write(master, b"typed\n")
    said = b""
    try:
        while b"]" not in said or not said.endswith(b"\n"):
            said += os.read(master, 1000)
    except OSError:
        pass
    assert process.wait(timeout=20) == 0
    os.close(master)
    assert b"[True, True] typed" in said


def test_cancelling_ends_what_is_passed_through() -> None:
    step = PassedThrough(run=["sh", "-c", "sleep 38 & sleep 39"])
    result, seconds = cancelled(step, lambda: running("sleep 38") and running("sleep 39"))
    assert result.outcome == "cancelled"
    assert seconds < PROMPTLY
    assert wait_until(lambda: not running("sleep 38") and not running("sleep 39"))


# -- plans


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"run": []}, "run", "expected a command"),
        ({"run": "  "}, "run", "expected a command"),
        ({"run": [""]}, "run", "expected a command"),
        ({"run": "a\0b"}, "run", "NUL"),
        ({"run": ["a", "b\0"]}, "run", "NUL"),
        ({"run": "x", "unless": ""}, "unless", "expected a command"),
        ({"run": "x", "env": {"A=B": "c"}}, "env", "'A=B' cannot be a variable"),
        ({"run": "x", "unless": "y", "creates": "z"}, "creates", "not both"),
        ({"run": "x", "creates": ""}, "creates", "expected a path"),
        ({"run": "x", "cwd": ""}, "cwd", "expected a path"),
    ],
)
def test_fields_that_do_not_fit(fields: dict[str, object], field: str, says: str) -> None:
    found = list(Run(**fields).validate())  # type: ignore[arg-type]
    assert [name for name, _ in found] == [field]
    assert says in found[0][1]


def test_fields_that_fit() -> None:
    assert list(Run(run=["a", ""], cwd="x", env={"A": ""}, unless=["b"]).validate()) == []


@pytest.mark.parametrize(
    "command",
    [
        ["psql", "postgresql://app:hunter2hunter2@db/games"],
        ["env", "PGPASSWORD=hunter2hunter2", "psql"],
        ["mysql", "--password=hunter2hunter2"],
        "psql 'postgresql://app:hunter2hunter2@db/games' -c 'SELECT 1'",
        "PGPASSWORD='hunter2hunter2' psql",
    ],
)
def test_a_secret_among_the_arguments_is_not_shown(command: list[str] | str) -> None:
    step = Run(run=command)
    assert "hunter2" not in step.subject() + repr(step)
    assert "psql" in step.subject() or "mysql" in step.subject()
