"""Only the very process that a marker names vouches for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from inithold.marker import identity as identity_module
from inithold.marker.health import main, problem
from inithold.marker.identity import identity, why_not


def marker(path: Path, vouching: Any) -> str:
    path.write_text(json.dumps({"version": 1, "vouched_by": vouching}))
    return str(path)


def ended_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_ready_while_its_process_lives(tmp_path: Path) -> None:
    assert problem(marker(tmp_path / "m", identity(os.getpid()))) is None


def test_no_marker(tmp_path: Path) -> None:
    assert "there is no marker" in str(problem(str(tmp_path / "m")))


def test_process_gone(tmp_path: Path) -> None:
    gone = {**identity(os.getpid()), "pid": ended_pid()}
    assert "is gone" in str(problem(marker(tmp_path / "m", gone)))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="start times come from /proc")
def test_another_process_with_the_same_number(tmp_path: Path) -> None:
    other = {**identity(os.getpid()), "start_time": 1}
    assert "another has its number" in str(problem(marker(tmp_path / "m", other)))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="these come from /proc")
@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("boot_id", "another", "earlier boot"), ("pid_namespace", 1, "another container")],
)
def test_left_by_another_boot_or_container(tmp_path: Path, field: str, value: object, said: str) -> None:
    assert said in str(problem(marker(tmp_path / "m", {**identity(os.getpid()), field: value})))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="zombies are told by /proc")
def test_a_zombie_does_not_vouch(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    vouching = identity(process.pid)
    path = marker(tmp_path / "m", vouching)
    assert problem(path) is None
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert "is gone" in str(problem(path))
    process.communicate()


def test_nobody_vouches_after_once(tmp_path: Path) -> None:
    assert "--once" in str(problem(marker(tmp_path / "m", None)))


@pytest.mark.parametrize("content", ["", "{}", "[]", "x", '{"vouched_by": 3}', '{"vouched_by": {}}'])
def test_not_a_marker(tmp_path: Path, content: str) -> None:
    (tmp_path / "m").write_text(content)
    assert problem(str(tmp_path / "m"))


def test_without_proc_the_number_has_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_module, "PROC", str(tmp_path / "absent"))
    vouching = identity(os.getpid())
    assert (vouching["start_time"], vouching["boot_id"], vouching["pid_namespace"]) == (None, None, None)
    assert why_not(vouching) is None
    assert "is gone" in str(why_not({**vouching, "pid": ended_pid()}))


def test_written_without_proc_and_read_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(identity_module, "PROC", str(tmp_path / "absent"))
        vouching = identity(os.getpid())
    assert why_not(vouching) is None


def test_a_process_of_somebody_else_that_proc_hides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def forbidden(pid: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    vouching = identity(os.getpid())
    monkeypatch.setattr(identity_module, "PROC", str(tmp_path / "absent"))
    monkeypatch.setattr(os, "kill", forbidden)
    assert why_not(vouching) is None


@pytest.mark.parametrize("arguments", [["--wat"], ["--marker"], ["--wait=soon"], ["extra"]])
def test_bad_usage_is_1_since_the_engine_reserves_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    assert "inithold health: " in capsys.readouterr().err


def test_wait_gives_up_after_its_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"--marker={tmp_path / 'm'}", "--wait=100ms"]) == 1
    assert capsys.readouterr().out.startswith("not ready: ")


def test_variables_name_the_marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INITHOLD_MARKER", marker(tmp_path / "m", identity(os.getpid())))
    assert main([]) == 0


def test_the_urls_that_run_waits_for_are_no_time_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INITHOLD_WAIT", "tcp://db:5432")
    assert main([f"--marker={marker(tmp_path / 'm', identity(os.getpid()))}"]) == 0
