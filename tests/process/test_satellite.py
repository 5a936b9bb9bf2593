"""Processes beside the run: what they inherit, what they say, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from inithold.process.satellite import Death, Satellite, from_lasting_thread, launch
from promptness import PROMPTLY
from servers.run import is_alive
from stopping import until

TESTS = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))


class Started:
    """A program of `satellites.py`."""

    def __init__(self, do: str, *, captured: bool = True) -> None:
        self.messages: list[dict[str, Any]] = []
        self.lines: list[str] = []
        self.in_order: list[str] = []
        self.ended: list[Death] = []
        self.satellite = Satellite(
            from_lasting_thread(lambda: launch("satellites", captured=captured)),
            on_message=self._message,
            on_output=self._line,
            on_end=self.ended.append,
        )
        self.satellite.send({"do": do})

    def _message(self, message: dict[str, Any]) -> None:
        self.messages.append(message)
        self.in_order.append(f"message {message.get('at')}")

    def _line(self, line: str) -> None:
        self.lines.append(line)
        self.in_order.append(line)

    def end(self) -> str:
        death = self.satellite.wait(30)
        assert death is not None
        assert self.ended == [death]
        return str(death)


def test_messages_go_both_ways_until_the_input_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    started = Started("tell")
    until(lambda: len(started.messages) == 1)
    large = "ä\n" * 100_000
    started.satellite.send({"text": large})
    started.satellite.close_input()
    assert started.end() == "exited 0"
    about, echo, last = started.messages
    assert echo == {"echo": {"text": large}}
    assert last == {"end": "of input"}
    assert about["stdin"] == ""
    assert about["environment"] == {**os.environ}
    assert about["group"] == started.satellite.pid
    assert about["parent"] == os.getpid()
    assert str(tmp_path) not in about["path"], "a folder of the user's must not stand in for a library"
    assert "" not in about["path"]
    # 0 to 2, the two of the protocol, and the folder that is listed.
    assert len(about["descriptors"]) == 6
    assert not {3, 4} <= set(about["descriptors"])


def test_what_it_prints_executes_and_forks_does_not_meet_the_protocol() -> None:
    started = Started("misbehave")
    assert started.end() == "exited 0"
    assert started.messages == [{"at": 0}, {"at": 1}, {"at": 2}]
    assert "printed" in started.lines
    assert "to stderr" in started.lines
    assert "refused" in started.lines
    assert "0 1 2 3 " in started.lines, "what it executes has the standard streams, and the folder that ls reads"
    assert started.in_order.index("printed") < started.in_order.index("message 1")


def test_a_process_left_behind_does_not_keep_it() -> None:
    began = time.monotonic()
    started = Started("leave_behind")
    try:
        assert started.end() == "exited 0"
        assert started.messages == [{"said": "all"}]
        assert time.monotonic() - began < PROMPTLY
    finally:
        os.killpg(started.satellite.pid, signal.SIGKILL)


@pytest.mark.parametrize(("do", "words"), [("exit_at_once", "exited 3"), ("kill_itself", "was killed by SIGSEGV")])
def test_its_death_is_told_in_words(do: str, words: str) -> None:
    assert Started(do).end() == words


@pytest.mark.parametrize("do", ["close_everything", "write_junk"])
def test_one_whose_line_is_lost_is_killed(do: str) -> None:
    assert Started(do).end() == "was killed by SIGKILL"


def test_it_can_be_killed() -> None:
    started = Started("hang")
    until(lambda: bool(started.messages))
    assert started.satellite.wait(0.01) is None
    started.satellite.kill()
    assert started.end() == "was killed by SIGKILL"
    started.satellite.kill()
    started.satellite.send({"too": "late"})


def test_it_does_not_die_with_the_thread_that_wanted_it() -> None:
    box: list[Started] = []
    thread = threading.Thread(target=lambda: box.append(Started("hang")))
    thread.start()
    thread.join()
    (started,) = box
    until(lambda: bool(started.messages))
    assert started.satellite.wait(0.3) is None
    started.satellite.kill()
    started.end()


_LAUNCHES = """
import os, sys, time
from inithold.process.satellite import launch
launched = launch("satellites")
os.write(launched.input, b'{"do": "hang"}\\n')
os.read(launched.output, 100)
print(launched.pid, flush=True)
if sys.argv[1] == "exec":
    os.execvp("sleep", ["sleep", "300"])
time.sleep(300)
"""


def _launching(how: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", _LAUNCHES, how], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.mark.skipif(sys.platform != "linux", reason="needs the parent-death signal")
def test_it_is_killed_with_the_process_that_started_it_but_outlives_an_exec() -> None:
    for how in ("stay", "exec"):
        process, pid = _launching(how)
        try:
            time.sleep(0.3)
            assert is_alive(pid)
            process.kill()
            process.wait()
            until(lambda pid=pid: not is_alive(pid))
        finally:
            process.kill()


def test_launching_imports_next_to_nothing() -> None:
    program = "import sys; before = set(sys.modules); import inithold.process.satellite as s; l = s.launch('json')"
    program += "; s.os.close(l.input); print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"subprocess", "threading", "typing", "json", "select", "asyncio", "msgspec"}
    assert not heavy & {*done.stdout.split()}
