"""What a gate costs whose server is up: processor time of `inithold wait URL`, beside the tools that do the same.

One that is not installed here is said to be missing.
"""

from __future__ import annotations

import http.server
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.result import Result
from servers.gate_tools import NAMES, command
from servers.postgresql import PostgreSQL
from servers.programs import MissingProgram

ROUNDS = 15
INITHOLD = str(Path(sys.executable).with_name("inithold"))


class _Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def gates() -> Sequence[Result]:
    """The least processor time of some rounds in turns: whatever else the machine does only adds to it."""
    with tempfile.TemporaryDirectory() as name, PostgreSQL() as server, _web() as web:
        dsn = server.dsn()
        place = urlsplit(dsn)
        host, port = place.hostname or "", place.port or 0
        commands: dict[str, list[str]] = {
            "pass": [sys.executable, "-c", "pass"],
            "psycopg": [sys.executable, "-c", "import psycopg"],
            "tcp": [INITHOLD, "wait", f"tcp://{web}"],
            "file": [INITHOLD, "wait", f"file://{name}"],
            "http": [INITHOLD, "wait", f"http://{web}/"],
            "postgresql": [INITHOLD, "wait", dsn],
        }
        missing = []
        for tool in NAMES:
            try:
                commands[tool] = command(tool, dsn, host, port)
            except MissingProgram:
                missing.append(tool)
        environment = {"HOME": name, "PATH": "/usr/bin:/bin"}
        rounds = [
            {what: _processor_time(words, environment) for what, words in commands.items()} for _ in range(ROUNDS)
        ]
    least = {what: min(measured[what] for measured in rounds) for what in commands}
    beside = ", ".join(f"{tool} {least[tool] * 1000:.0f} ms" for tool in NAMES if tool in least)
    if missing:
        beside += f"; not installed here: {', '.join(missing)}"

    def ratio(what: str, base: str, bound: float, said: str = "") -> Result:
        took = f"{least[what] * 1000:.0f} ms against {least[base] * 1000:.0f} ms"
        title = {"pass": "python -c pass", "psycopg": "import psycopg"}[base]
        return Result(
            f"inithold wait {what}://, processor time, against {title}",
            least[what] / least[base],
            bound,
            "x",
            f"{took}; {said}" if said else took,
        )

    return [
        ratio("tcp", "pass", 2.5, beside),
        ratio("file", "pass", 2.5),
        ratio("http", "pass", 6),
        ratio("postgresql", "psycopg", 1.3),
    ]


@contextmanager
def _web() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Web) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def _processor_time(command: Sequence[str], environment: dict[str, str]) -> float:
    nowhere = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
    pid = os.posix_spawnp(command[0], command, environment, file_actions=nowhere)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise RuntimeError(f"{command[0]} ended with {status}")
    return usage.ru_utime + usage.ru_stime
