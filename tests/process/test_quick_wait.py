"""`inithold wait URL...` answers before the command-line framework is imported, and as the gate itself would."""

from __future__ import annotations

import http.server
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from promptness import PROMPTLY
from servers.inithold import Completed, Inithold
from servers.ports import closed_port, free_port

SLOW = {"INITHOLD_LOG_FORMAT": "plain"}
"""A variable that the quick answer leaves to the gate."""


class Handler(http.server.BaseHTTPRequestHandler):
    requests: ClassVar[list[dict[str, str]]] = []

    def do_GET(self) -> None:
        self.requests.append({"target": self.path, **self.headers})
        self.send_response(int(self.path.partition("?")[0].rpartition("/")[2] or 200))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Handler.requests = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def alike(done: Completed) -> tuple[int, str, list[str]]:
    """What is the same each time; a gate checks side by side."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", done.stderr)
    text = re.sub(r"\d+(\.\d+)? (ms|s)\b", "DURATION", text)
    # How often it was tried by then, and whether the last answer was still on its way, is the machine's.
    text = re.sub(r"attempt \d+", "attempt N", text)
    text = re.sub(
        r"accepts connections and does not answer|answered 503 .*|redirects more than .*", "ANSWER", text
    )
    return done.returncode, done.stdout, sorted(text.splitlines())


CASES: list[list[str]] = [
    ["tcp://{web}"],
    ["tcp://{web}/"],
    ["tcp://{web}", "file:///", "http://{web}/200?x=1", "--timeout", "10s"],
    ["file:///", "--timeout", "5s"],
    ["--timeout=1m30s", "file:///", "--", "sh", "-c", "echo $0 $1; exit 7", "a", "b"],
    ["file:///", "--", "no-such-command"],
    ["file:///", "--", "/"],
    ["file:///%74mp"],
    ["http://{web}/204"],
    ["http://user:pw@{web}/"],
    ["http://{web}/503", "--timeout", "700ms"],
    ["http://{web}/301", "--timeout", "700ms"],
    ["tcp://{closed}", "--timeout", "300ms"],
    ["file:///no/such/file", "--timeout", "300ms"],
    ["tcp://{web}", "tcp://{closed}", "--timeout", "300ms", "--", "true"],
    ["tcp://no-port"],
    ["tcp://{web}/path"],
    ["tcp://" + "a" * 70 + ":80", "--timeout", "300ms"],
    ["file://"],
    ["ftp://{web}"],
    ["http://"],
    ["file:///", "--timeout", "5"],
    ["file:///", "--timeout"],
    ["file:///", "--nonsense"],
    ["file:///", "plan.yaml"],
    ["file:///", "--"],
    ["file:///", "--step", "wait-2"],
    ["sqlite:///{folder}/new.db", "--timeout", "300ms"],
    ["sqlite:///{folder}/there.db"],
    [],
]


@pytest.mark.parametrize("arguments", CASES, ids=" ".join)
def test_is_as_the_gate_itself(run_inithold: Inithold, web: str, tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "there.db").touch()
    values = {"web": web, "closed": f"127.0.0.1:{closed_port()}", "folder": str(tmp_path)}
    words = [word.format(**values) for word in arguments]
    quick, slow = (alike(run_inithold("wait", *words, env=env)) for env in ({}, SLOW))
    assert quick == slow


@pytest.mark.parametrize(
    ("url", "without"),
    [
        ("tcp://{web}", ("click", "re", "typing", "msgspec", "threading")),
        ("tcp://localhost:{port}", ("click", "re", "typing", "msgspec", "threading")),
        ("file:///", ("click", "re", "typing", "socket")),
        ("http://{web}/", ("click", "msgspec", "yaml")),
        ("sqlite:///there.db", ("click", "yaml", "rich")),
    ],
)
def test_what_it_imports(tmp_path: Path, web: str, url: str, without: tuple[str, ...]) -> None:
    (tmp_path / "there.db").touch()
    script = (
        "import os, sys\nfrom inithold.__main__ import _answered\n"
        "from inithold.lifecycle import quick_wait\nquick_wait.LONGEST = 30\n"  # on however busy a machine
        "before = set(sys.modules)\ncode = _answered(sys.argv[1:])\n"
        "print(code, *sorted(set(sys.modules) - before))\nsys.stdout.flush()\nos._exit(0)"
    )
    host, _, port = web.partition(":")
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, "wait", url.format(web=web, port=port)],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    code, *modules = done.stdout.split()
    assert code == "0", done.stderr
    assert host == "127.0.0.1"
    assert not set(without) & set(modules)


def test_the_same_request_is_made(run_inithold: Inithold, web: str) -> None:
    for env in ({}, SLOW):
        assert run_inithold("wait", f"http://{web}/a b/200?q=1", env=env).returncode == 0
    first, *others = Handler.requests
    assert first["target"] == "/a%20b/200?q=1"
    assert others and all(other == first for other in others)


def test_a_port_that_opens_later_is_noticed(run_inithold: Inithold) -> None:
    port = free_port()
    gate = run_inithold.start("wait", f"tcp://127.0.0.1:{port}")
    gate.wait_for_output("connection refused")
    with socket.create_server(("127.0.0.1", port)):
        assert gate.wait() == 0


def test_a_server_that_says_nothing_takes_no_more_than_the_timeout(run_inithold: Inithold) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        began = time.monotonic()
        done = run_inithold("wait", url, "--timeout", "1s")
    assert done.returncode == 1
    assert "accepts connections and does not answer" in done.stderr
    assert time.monotonic() - began < 1 + PROMPTLY
