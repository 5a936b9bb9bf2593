"""Standard streams that are closed, full, or read by nobody; terminals of all sorts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inithold.process.exits import reported
from servers.inithold import Inithold
from servers.run import is_alive
from stopping import until

PLAN = "version: 1\nname: streams\nsteps:\n"
HOLDS = PLAN + "  - {id: there, uses: file.ready, with: {path: /}}\n"
FULL = Path("/dev/full")


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    path = tmp_path / "inithold.yaml"
    path.write_text(HOLDS)
    return path


def shell(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash; `$inithold` is the command."""
    env = {"PATH": os.environ["PATH"], "INITHOLD_MARKER": str(folder / "marker"), "PYTHONUNBUFFERED": "1"}
    script = f"inithold='{sys.executable} -m inithold'\n{line}"
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_reader_that_has_seen_enough(plan: Path, tmp_path: Path) -> None:
    shell(tmp_path, "$inithold run --once")
    for command in ("status", "status --json", "plan", "kinds", "kinds alembic.upgrade", "schema", "run --help"):
        # The reader is gone before anything is written.
        done = shell(tmp_path, f"(sleep 0.5; $inithold {command}) | true; echo ${{PIPESTATUS[0]}}")
        assert done.stderr == "", command
        assert done.stdout == "141\n", command


def test_a_run_goes_on_when_nobody_reads_its_log(plan: Path, tmp_path: Path) -> None:
    for format_ in ("plain", "json"):
        done = shell(tmp_path, f"$inithold run --once --log-format {format_} 2>&1 | true; echo ${{PIPESTATUS[0]}}")
        assert done.stdout == "0\n"
        assert json.loads((tmp_path / "marker").read_text())["name"] == "streams"
        (tmp_path / "marker").unlink()


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_full_disk_below_the_log_does_not_fail_the_run(plan: Path, tmp_path: Path) -> None:
    done = shell(
        tmp_path, "$inithold run --once 2>/dev/full; echo $?; $inithold health --marker nowhere >/dev/full"
    )
    assert done.stdout == "0\n"
    assert done.returncode == 1
    assert (tmp_path / "marker").exists()


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_output_that_is_lost_is_an_error(plan: Path, tmp_path: Path) -> None:
    shell(tmp_path, "$inithold run --once")
    for command in ("status", "plan", "kinds", "schema"):
        done = shell(tmp_path, f"$inithold {command} >/dev/full")
        assert done.returncode == 1
        assert done.stderr == "inithold: the output cannot be written: No space left on device\n"


def test_closed_streams(plan: Path, tmp_path: Path) -> None:
    for closed in ("2>&-", ">&-", "<&-", "<&- >&- 2>&-"):
        done = shell(tmp_path, f"$inithold run --once {closed}")
        assert done.returncode == 0, (closed, done.stderr)
        assert "Traceback" not in done.stderr
    # What is opened later must not get the number of a closed stream, and be written into.
    assert "streams" not in (tmp_path / "inithold.yaml").read_text().replace(HOLDS, "")
    assert json.loads((tmp_path / "marker.record.json").read_text())["outcome"] == "ready"


def test_what_an_encoding_cannot_say_is_escaped(plan: Path, tmp_path: Path) -> None:
    plan.write_text(PLAN.replace("streams", "str\N{LATIN SMALL LETTER E WITH ACUTE}ams") + HOLDS[len(PLAN) :])
    for command in ("plan", "run --once", "status"):
        done = shell(tmp_path, f"PYTHONIOENCODING=ascii LC_ALL=C $inithold {command}")
        assert done.returncode == 0, done.stderr
        # Where the C library knows no encoding, click speaks UTF-8.
        assert any(
            name in done.stdout + done.stderr
            for name in (r"str\xe9ams", "str\N{LATIN SMALL LETTER E WITH ACUTE}ams")
        )


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"TERM": ""}])
def test_a_terminal_that_cannot_be_redrawn_gets_lines(
    run_inithold: Inithold, plan: Path, env: dict[str, str]
) -> None:
    done = run_inithold("run", "--once", terminal=True, env=env)
    assert done.returncode == 0
    assert "there  unchanged in " in done.stdout
    assert "\x1b" not in done.stdout


def test_no_color(run_inithold: Inithold, plan: Path) -> None:
    done = run_inithold("run", "--once", terminal=True, env={"NO_COLOR": "1"})
    assert "unchanged" in done.stdout
    assert "\x1b[32m" not in done.stdout
    assert "\x1b[32m" in run_inithold("run", "--once", terminal=True).stdout


def test_what_a_command_writes_to_the_terminal_is_not_drawn_over(run_inithold: Inithold, tmp_path: Path) -> None:
    done = run_inithold("run", "--once", "--", "sh", "-c", "sleep 0.5; echo whole line", terminal=True)
    assert done.returncode == 0
    assert "whole line\n" in done.stdout
    # Nothing moves the cursor up.
    assert "\x1b[1A" not in done.stdout


STUBBORN = (
    PLAN + "  - {id: stubborn, uses: command.run, with: {run: 'trap \"\" TERM; echo began $$$$; sleep 60'}}\n"
)


@pytest.mark.parametrize("terminal", [True, False])
def test_the_second_signal_ends_it_at_once_and_takes_commands_along(
    run_inithold: Inithold, plan: Path, terminal: bool
) -> None:
    plan.write_text(STUBBORN)
    init = run_inithold.start("run", terminal=terminal)
    said = re.compile(r"began (\d+)\D")
    init.wait_until(lambda: said.search(init.output) is not None, "the command's number")
    command = int(said.findall(init.output)[0])
    init.signal(signal.SIGINT)
    init.wait_until(lambda: "SIGINT: starting nothing new" in init.output, "the first signal to be told")
    init.signal(signal.SIGINT)
    assert init.wait() == 130
    assert "cancelled (SIGINT)" not in init.output, "it did not wait for the end that the first one began"
    until(lambda: not is_alive(command))
    assert not terminal or init.stdout.rstrip().endswith("\x1b[?25h"), "the cursor is shown again"


def test_out_of_memory_is_told_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    def exhaust() -> int:
        raise MemoryError

    assert reported(exhaust) == 1
    assert capsys.readouterr().err.startswith("inithold: out of memory: a limit is reached\nnext: ")
