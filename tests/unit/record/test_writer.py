"""The record file while a run goes on: whole at every moment, written a few times a second whatever happens."""

from __future__ import annotations

import json
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from inithold.record.account import Account
from inithold.runner.events import LogLine, PhaseChanged, PlannedStepInfo, RunFinished, RunStarted, Span
from inithold.runner.stream import Stream
from inithold.watchers.record import INTERVAL, SHARE, RecordWriter


def test_a_reader_never_sees_half_a_file_and_writes_are_few(tmp_path: Path) -> None:
    path = tmp_path / "x.record.json"
    warnings: list[str] = []
    account = Account()
    stream = Stream([account, RecordWriter(str(path), 0, account, warnings.append)])
    steps = tuple(PlannedStepInfo(f"step-{number}", "file.ready", ()) for number in range(500))
    stream.emit(RunStarted(name="busy", run_id="1", digest="2", span=Span("3", "4"), steps=steps))
    seen: set[tuple[int, int]] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                seen.add((status.st_ino, status.st_mtime_ns))
                assert json.loads(file.read())["name"] == "busy"
            time.sleep(0.005)
        finished.set()

    finished = threading.Event()
    reader = threading.Thread(target=read)
    reader.start()
    began = time.monotonic()
    events = 0
    # Until the reader has met some versions: a busy machine may take its time.
    while len(seen) < 4 and reader.is_alive() and time.monotonic() - began < 60:
        step = f"step-{events % 500}"
        stream.emit(PhaseChanged(step=step, phase="checking", attempt=1))
        stream.emit(LogLine(text=f"line {events}", step=step))
        events += 1
        time.sleep(0.001)
    took = time.monotonic() - began
    stream.emit(RunFinished(outcome="ready", duration=took))
    over.set()
    reader.join()
    assert finished.is_set(), "the reader saw half a file"
    assert not warnings
    assert 4 <= len(seen) <= took / INTERVAL + 3
    assert json.loads(path.read_text())["outcome"] == "ready"


def test_nobody_waits_for_a_slow_disk_and_it_is_written_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[float] = []
    slow = 0.03

    def write(*_: object, sync: bool) -> None:
        assert not sync
        writes.append(time.monotonic())
        time.sleep(slow)

    monkeypatch.setattr("inithold.watchers.record.write_whole", write)
    account = Account()
    stream = Stream([account, RecordWriter(str(tmp_path / "x.record.json"), 0, account, lambda _: None)])
    info = PlannedStepInfo("step", "file.ready", ())
    stream.emit(RunStarted(name="slow", run_id="1", digest="2", span=Span("3", "4"), steps=(info,)))
    began = time.monotonic()
    while len(writes) < 2 and time.monotonic() - began < 30:
        stream.emit(LogLine(text="line", step="step"))
        time.sleep(0.01)
    # The second write is under way: what is said meanwhile is taken note of at once.
    told = [_seconds(lambda: stream.emit(LogLine(text="line", step="step"))) for _ in range(20)]
    assert statistics.median(told) < slow / 2
    assert writes[1] - writes[0] >= slow / SHARE


def _seconds(action: Callable[[], None]) -> float:
    at = time.monotonic()
    action()
    return time.monotonic() - at


def test_the_last_write_alone_is_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    account = Account()
    stream = Stream([account, RecordWriter(str(tmp_path / "x.record.json"), 0, account, lambda _: None)])
    stream.emit(RunStarted(name="short", run_id="1", digest="2", span=Span("3", "4"), steps=()))
    stream.emit(RunFinished(outcome="ready", duration=0.1))
    assert not synced
    stream.close()
    assert len(synced) == 1
