"""The record file while a run goes on: whole at every moment, written a few times a second whatever happens."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

from inithold.record.account import Account
from inithold.runner.events import LogLine, PhaseChanged, PlannedStepInfo, RunFinished, RunStarted, Span, Stream
from inithold.watchers.record import INTERVAL, RecordWriter


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
    while time.monotonic() - began < 1.2:
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
    assert 2 <= len(seen) <= took / INTERVAL + 3
    assert json.loads(path.read_text())["outcome"] == "ready"
