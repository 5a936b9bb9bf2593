"""Whatever bytes are typed, set or written: it works, or is refused; no traceback, no escape sequence, no hang."""

from __future__ import annotations

import http.server
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servers.inithold import Inithold
from somebody import somebody

ODD = b"\xff\xfe-\x07odd"
SHOWN = "\ufffd\ufffd-\ufffdodd"
ESCAPES = "\x1b[2J\x1b]0;title\x07\x9b31mred\u202e\x08"
PLAN = (
    b"steps:\n"
    b"  - {id: says, uses: command.run, with: {run: 'echo ${X:-x}'}}\n"
    b"  - {id: there, uses: file.ready, with: {path: '${P:-/}'}}\n"
)
COMMANDS = (
    *(b"run", b"plan", b"wait", b"health", b"rerun", b"status", b"report", b"kinds", b"schema", b"new"),
    *(b"compose check", b"compose fix", b"compose rule", b"compose", b"completion", b"version", b"help"),
)
OPTIONS = (
    *(b"--once", b"--marker", b"--record", b"--keep", b"--wait", b"--verify", b"--only", b"--from", b"--unless"),
    *(b"--creates", b"--log-format", b"--log-level", b"--timeout", b"--step", b"--json", b"--exit-code", b"-o"),
    *(
        b"-f",
        b"--service",
        b"--",
        b"-",
        b"",
        b"--nonsense",
        b"inithold.yaml",
        b"a:b",
        b"file:///",
        b"1s",
        b"plain",
    ),
)
LOCALES: dict[str, Mapping[bytes, bytes]] = {
    "UTF-8": {b"LC_ALL": b"C.UTF-8"},
    "ASCII": {b"LC_ALL": b"C", b"PYTHONUTF8": b"0", b"PYTHONCOERCECLOCALE": b"0"},
    "POSIX": {b"LC_ALL": b"POSIX"},
    "unset": {},
}
EXITS = (0, 1, 2, 3, 126, 127, 141)


def inithold(
    folder: Path, *words: bytes, env: Mapping[bytes, bytes] = {}, seconds: float = 60
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [os.fsencode(sys.executable), b"-m", b"inithold", *words],
        cwd=folder,
        env={b"PATH": os.environb[b"PATH"], b"INITHOLD_MARKER": os.fsencode(folder / "m")} | dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
        check=False,
    )
    text = done.stdout + done.stderr
    assert done.returncode in EXITS, text
    assert b"Traceback" not in text, text
    assert b"this is a fault in inithold itself" not in text, text
    assert b"\x1b" not in done.stderr, text
    return done


WORD = st.one_of(
    st.sampled_from(OPTIONS),
    st.binary(min_size=1, max_size=12).map(lambda data: data.replace(b"\0", b"\x01")),
    st.just(ODD),
)


@settings(max_examples=25, deadline=None)
@given(
    command=st.sampled_from(COMMANDS),
    words=st.lists(WORD, max_size=5),
    locale=st.sampled_from(sorted(LOCALES)),
)
def test_any_words(command: bytes, words: Sequence[bytes], locale: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "inithold.yaml").write_bytes(PLAN)
        # A run ends by itself, and a gate soon.
        ends = {b"INITHOLD_ONCE": b"1", b"INITHOLD_TIMEOUT": b"200ms"} | dict(LOCALES[locale])
        # What is executed behind `--`, a shell or a pager, is not what is tried here.
        own = list(words[: words.index(b"--") + 1] if b"--" in words else words)
        inithold(folder, *command.split(), *own, *([b"true"] if b"--" in own else []), env=ends)


@pytest.mark.parametrize("locale", LOCALES)
def test_bytes_that_are_no_text_work(tmp_path: Path, locale: str) -> None:
    (tmp_path / "inithold.yaml").write_bytes(PLAN)
    path = os.fsencode(tmp_path) + b"/" + ODD
    Path(os.fsdecode(path)).mkdir()
    variables = {b"X": ODD, b"P": path, ODD: ODD, b"INITHOLD_MARKER": path + b"/m"} | dict(LOCALES[locale])
    done = inithold(tmp_path, b"run", b"--once", env=variables)
    assert done.returncode == 0, done.stderr
    assert SHOWN in Path(os.fsdecode(path + b"/m.record.json")).read_bytes().decode()
    for words in ([b"status"], [b"status", b"--json"], [b"plan", b"--json"], [b"plan"], [b"health"]):
        inithold(tmp_path, *words, env=variables)
    for words in (
        [b"run", b"--once", b"--", b"sh", b"-c", b"true " + ODD],
        [b"run", b"--once", b"--creates", path, b"--", b"false"],
        [b"wait", b"file://" + path, b"--", b"echo", ODD],
    ):
        assert inithold(tmp_path, *words, env=LOCALES[locale]).returncode == 0


PLACES: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "folder": os.mkdir,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "socket": lambda path: socket.socket(socket.AF_UNIX).bind(str(path)),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to nowhere": lambda path: path.symlink_to("nowhere/at/all"),
}
ROLES = {
    "PLAN": ("run --once", "plan", "wait --timeout 300ms", "run --only there"),
    "MARKER": ("run --once", "health", "health --wait=100ms", "status", "rerun", "report -o r.html"),
    "RECORD": ("run --once", "status", "status --all", "rerun", "report -o r.html", "health"),
    "SECRETS_DIR": ("run --once", "plan"),
    "TERMINATION_LOG": ("run nosuch.yaml", "wait file:///nosuch --timeout 100ms"),
}


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize("role", ROLES)
def test_what_is_no_file_is_told_in_a_line(role: str, kind: str) -> None:
    for command in ROLES[role]:
        # Not below pytest's own folder: a socket's path may have 107 bytes.
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "inithold.yaml").write_bytes(PLAN)
            PLACES[kind](folder / "odd")
            variable = {f"INITHOLD_{role}".encode(): os.fsencode(folder / "odd")}
            done = inithold(folder, *map(os.fsencode, command.split()), env=variable)
            if done.returncode == 1 and "run" not in command and "wait " not in command:
                assert len((done.stderr or done.stdout).splitlines()) <= 2, done


def test_with_as_few_processes_as_may_be(run_inithold: Inithold, tmp_path: Path) -> None:
    (tmp_path / "inithold.yaml").write_bytes(PLAN)
    few = ["prlimit", "--nproc=1", *somebody(54321)]
    if os.geteuid() != 0:
        pytest.skip("needs a user of its own to count the processes of")
    tmp_path.chmod(0o777)
    for command in (["run", "--once"], ["plan"], ["wait", "--timeout", "300ms"], ["status"], ["health"]):
        done = run_inithold(*command, prefix=few, env={"INITHOLD_MARKER": str(tmp_path / "m")})
        assert done.returncode in (0, 1, 2), done.stderr
        assert "Traceback" not in done.stderr, done.stderr


def test_escape_sequences_are_inert_everywhere(run_inithold: Inithold, tmp_path: Path) -> None:
    class Hostile(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503, ESCAPES.encode("utf-8").decode("latin-1"))
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(ESCAPES.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Hostile) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        steps = [
            {"id": "web", "uses": "http.ready", "timeout": "1s", "needs": [], "on_failure": "continue"},
            {"id": "says", "uses": "command.run", "needs": []},
            {"id": "named", "uses": "file.ready", "needs": [], "timeout": "100ms", "on_failure": "continue"},
        ]
        with_ = [
            {"url": f"http://127.0.0.1:{server.server_port}/"},
            {"run": ["printf", "%s\\n", ESCAPES]},
            {"path": f"/{ESCAPES}"},
        ]
        plan = {"name": f"odd {ESCAPES}", "steps": [s | {"with": w} for s, w in zip(steps, with_, strict=True)]}
        (tmp_path / "inithold.yaml").write_text(json.dumps(plan))
        done = [run_inithold("run", "--once", "--log-format", form) for form in ("plain", "json")]
        done += [run_inithold("wait", "--timeout", "500ms"), run_inithold("plan"), run_inithold("plan", "--json")]
        server.shutdown()
        thread.join()
    assert "odd" in done[0].stderr
    done += [run_inithold("status"), run_inithold("status", "--json"), run_inithold("report", "-o", "-")]
    for one in done:
        text = one.stdout + one.stderr
        for character in "\x1b\x9b\x07\x08\u202e":
            assert character not in text
            assert json.dumps(character)[1:-1] not in text
