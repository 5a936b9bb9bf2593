"""Processes beside the run: what they inherit, what they say, and how they end."""

from __future__ import annotations

import json
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


def _is_inheritable(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


def test_messages_go_both_ways_until_the_input_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    inherited = {number for number in range(3, 1024) if _is_inheritable(number)}
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
    # 0 to 2, the folder that is listed, and the two of the protocol, besides those that pytest has given on.
    assert sorted({*about["descriptors"]} - inherited) == [0, 1, 2, 3, 100, 101]
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


_FORKS = """
import json, os, signal, sys, threading, time
import decimal  # for it to find
from inithold.process.forked import end_forked, fork_ahead, forked
from inithold.process.satellite import Satellite, launch

pipe = os.pipe2(0)  # inheritable
signal.signal(signal.SIGTERM, lambda *_: None)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
if sys.argv[1] == "beside a thread":
    threading.Thread(target=time.sleep, args=(300,), daemon=True).start()
fork_ahead("satellites")
children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
if sys.argv[1] == "unwanted":
    end_forked()
    children += open(f"/proc/self/task/{os.getpid()}/children").read().split()
    print(json.dumps({"children": len(children)}))
    sys.exit()
messages = []
launched = forked("satellites") or launch("satellites", captured=True)
satellite = Satellite(launched, on_message=messages.append)
satellite.send({"do": sys.argv[2]})
while not messages:
    time.sleep(0.01)
about = messages[0]
about["is child"] = about.get("parent") == os.getpid()
print(json.dumps({**about, "children": len(children), "pid": satellite.pid}), flush=True)
if sys.argv[1] == "stay":
    time.sleep(300)
satellite.close_input()
satellite.wait(30)
"""


def _forking(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", _FORKS, *arguments], capture_output=True, text=True, check=True)
    about: dict[str, Any] = json.loads(done.stdout)
    return about


needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked elsewhere")


@needs_fork
def test_one_that_is_forked_is_as_one_that_is_started_and_has_what_was_imported() -> None:
    forked, started = _forking("alone", "tell"), _forking("beside a thread", "tell")
    assert (forked["children"], started["children"]) == (1, 0), "a thread may hold a lock, which a fork would copy"
    for about in (forked, started):
        assert about["group"] == about["pid"]
        assert about["is child"]
    assert (forked["imported"], started["imported"]) == (True, False)
    for name in ("stdin", "environment", "signals"):
        assert forked[name] == started[name], name
    assert forked["descriptors"] == [0, 1, 2, 3, 100, 101], "not even inheritable ones are open in a fork"


@needs_fork
def test_one_that_nobody_wants_is_ended() -> None:
    assert _forking("unwanted", "tell") == {"children": 1}


@needs_fork
def test_one_that_is_forked_is_killed_with_the_process_that_forked_it() -> None:
    process = subprocess.Popen([sys.executable, "-c", _FORKS, "stay", "hang"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        pid = json.loads(process.stdout.readline())["pid"]
        assert is_alive(pid)
        process.kill()
        process.wait()
        until(lambda: not is_alive(pid))
    finally:
        process.kill()


def test_launching_imports_next_to_nothing() -> None:
    program = "import sys; before = set(sys.modules); import inithold.process.satellite as s; l = s.launch('json')"
    program += "; s.os.close(l.input); print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"subprocess", "threading", "typing", "json", "select", "asyncio", "msgspec"}
    assert not heavy & {*done.stdout.split()}
