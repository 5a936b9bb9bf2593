"""From the moment a server accepts to the start of the next step."""

from __future__ import annotations

import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.result import Result
from benchmarks.stack import Stack
from servers.ports import free_port

ROUNDS = 41
BY_HAND_ROUNDS = 9
LONG = 40.0
PLAN = """\
version: 1
name: noticing
steps:
  - {id: server, uses: database.ready, with: {url: "${DATABASE_URL}"}}
  - {id: next, uses: tcp.ready, with: {address: "127.0.0.1:${NEXT}"}}
"""
BY_HAND = """\
import os, socket, time
import psycopg
while True:
    try:
        psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=5).close()
        break
    except psycopg.OperationalError:
        time.sleep(1)
socket.create_connection(("127.0.0.1", int(os.environ["NEXT"])))
"""


def noticing(stack: Stack) -> Sequence[Result]:
    """A real PostgreSQL behind a port that opens late; the next step connects to a listener."""
    random.seed(1)
    waits = [2 + random.random() for _ in range(ROUNDS)]
    ours = [_noticed(stack, by_hand=False, opens_after=wait) for wait in waits]
    theirs = [_noticed(stack, by_hand=True, opens_after=wait) for wait in waits[:BY_HAND_ROUNDS]]
    late = _noticed(stack, by_hand=False, opens_after=LONG)
    median = statistics.median(ours)
    beside = f"worst {max(ours) * 1000:.0f} ms; after {LONG:g} s of waiting {late * 1000:.0f} ms; "
    beside += f"by hand median {statistics.median(theirs) * 1000:.0f} ms, worst {max(theirs) * 1000:.0f} ms"
    return [Result("server accepts to next step starts, median", median * 1000, 50, "ms", beside)]


def _noticed(stack: Stack, *, by_hand: bool, opens_after: float) -> float:
    port = free_port()
    url = stack.postgresql.dsn().replace(f":{stack.postgresql.port}/", f":{port}/")
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as following:
        following.settimeout(opens_after + 20)
        plan = Path(folder, "plan.yaml")
        plan.write_text(PLAN)
        program = ["-c", BY_HAND] if by_hand else ["-m", "inithold", "run", str(plan)]
        environment = {
            "PATH": os.environ["PATH"],
            "DATABASE_URL": url,
            "NEXT": str(following.getsockname()[1]),
            "INITHOLD_MARKER": f"{folder}/marker",
        }
        process = subprocess.Popen([sys.executable, *program], env=environment, stderr=subprocess.DEVNULL)
        time.sleep(opens_after)
        with socket.create_server(("127.0.0.1", port)) as opened:
            accepted = time.monotonic()
            threading.Thread(target=_forward, args=(opened, stack.postgresql.port), daemon=True).start()
            following.accept()[0].close()
            seconds = time.monotonic() - accepted
        process.kill()
        process.wait()
    return seconds


def _forward(listener: socket.socket, port: int) -> None:
    """Pass every connection on to the real server until the listener is closed."""
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", port))
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
