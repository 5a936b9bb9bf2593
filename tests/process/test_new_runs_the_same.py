"""What a draft runs is what the script ran: exit code, files, output and number of runs are the same, twice.

`inithold run` itself exits 1 where a step fails, by design; which code the command had is in the step's reason,
and that is the one compared.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from inithold.plan.load import load_text
from inithold.plan.model import CheckedPlan
from process.new_scripts import BLOCKS, SCRIPTS, WITH_OPTIONS
from servers.inithold import Inithold
from unit.compose.new.case import run

_TOOLS = {
    "work": '#!/bin/sh\necho "ran $*" >> "$FOLDER/runs"\necho "work $*"\n',
    "fails": "#!/bin/sh\necho failing >&2\nexit 3\n",
    "nc": '#!/bin/bash\nexec 2> /dev/null\n[ "$1" = -z ] && exec 3<> "/dev/tcp/$2/$3"\n',
    "pg_isready": '#!/bin/bash\nexec 2> /dev/null\nexec 3<> "/dev/tcp/$2/$4"\n',
    "wait-for-it": """#!/bin/bash
target=$1; shift
if [ "$1" = -t ]; then shift 2; fi
if [ "$1" = -- ]; then shift; fi
until { exec 3<> "/dev/tcp/${target%:*}/${target#*:}"; } 2> /dev/null; do
  [ "${target#*:}" = 1 ] && exit 124
  sleep 0.1
done
[ $# = 0 ] || exec "$@"
""",
}
_CHUNKS = 6


def _command(words: list[str]) -> str:
    """A `command` of Compose, in JSON, which is YAML."""
    return json.dumps([word.replace("$", "$$") for word in words])


def _words(block: str) -> list[str]:
    """What Compose makes of a `command` with its variables, none of which is set."""
    value = yaml.safe_load(block)
    return [
        re.sub(r"\$\{UNSET_HERE(?::-([^}]*))?\}", r"\1", word).replace("$$", "$")
        for word in (shlex.split(value) if isinstance(value, str) else value)
    ]


_CASES = [
    *((words, _command(words)) for words in ([*shell.split(), "-c", script] for shell, script in SCRIPTS)),
    *((words, _command(words)) for words in ([*shell, script] for shell, script in WITH_OPTIONS)),
    *((_words(block), block) for block in BLOCKS),
]
"""What the container runs, and how the stack has it."""


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def _listening() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.2", 0), _Page)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class _Case:
    """A script, and the draft of the service that runs it.

    Args:
        argv: what the container runs.
        original: where it runs as itself.
        drafted: where its draft runs.
        text: the draft.
        plan: the same, loaded.
    """

    argv: list[str]
    original: Path
    drafted: Path
    text: str
    plan: CheckedPlan

    @property
    def commands(self) -> int:
        """How many of its steps are commands. Drafts of one can share a plan: nothing of theirs comes after it."""
        return [step.step.kind for step in self.plan.steps].count("command.run")

    def steps(self, prefix: str) -> list[dict[str, Any]]:
        """Its steps, for a plan that they share with those of other drafts."""
        steps: list[dict[str, Any]] = yaml.safe_load(self.text)["steps"]
        for number, step in enumerate(steps):
            step |= {"id": f"{prefix}-{number}", "needs": [f"{prefix}-{number - 1}"] if number else []}
            if step["uses"] == "command.run":
                step["with"] |= {"cwd": str(self.drafted), "env": {"FOLDER": str(self.drafted)}}
                step["on_failure"] = "continue"
        return steps

    def result(self, folder: Path, *, code: int, lines: Iterable[str]) -> tuple[int, list[str], dict[str, str]]:
        """What has to be the same: exit code, output, and every file with its mode and content."""
        files = {
            str(path.relative_to(folder)): f"{path.stat().st_mode:o} {path.read_text() if path.is_file() else ''}"
            for path in sorted(folder.rglob("*"))
        }
        files = {name: text.replace(str(folder), "FOLDER") for name, text in files.items()}
        shown = (re.sub(r"after \d+ seconds", "after N seconds", line) for line in lines)
        return code, [line.replace(str(folder), "FOLDER") for line in shown], files


@dataclass
class _Ground:
    """Where scripts and drafts run.

    Args:
        folder: for everything.
        tools: what the scripts call.
        port: one that answers.
    """

    folder: Path
    tools: Path
    port: int

    def environment(self, folder: Path) -> dict[str, str]:
        """The variables of a container."""
        path = f"{self.tools}:{os.environ['PATH']}"
        return {"SEED": "true", "HOME_OF": "x y", "PATH": path, "LC_ALL": "C.UTF-8", "FOLDER": str(folder)}

    def case(self, number: int, argv: list[str], command: str) -> _Case:
        """Draft the plan of a service that runs this command."""
        argv = [word.replace("$PORT", str(self.port)) for word in argv]
        command = re.sub(r"\$\$?PORT", str(self.port), command).replace("\n", "\n      ")
        stack, original, drafted = (self.folder / f"{number}-{name}" for name in ("stack", "original", "drafted"))
        for folder in (stack, original, drafted):
            folder.mkdir()
        (stack / "compose.yaml").write_text(
            "services:\n  app: {image: x, depends_on: {init: {condition: service_completed_successfully}}}\n"
            f"  init:\n    image: x\n    entrypoint: []\n    environment: [SEED=true]\n    command: {command}\n"
        )
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("PATH", "/nowhere")  # no engine is asked for the image, a process each time
            done = run(stack, "-o", "-")
        assert done.code == 0, (argv, done.errors)
        plan = load_text(done.output, "plan.yaml", self.environment(drafted))
        return _Case(argv, original, drafted, done.output, plan)

    def original(self, case: _Case) -> tuple[int, list[str], dict[str, str]]:
        """Run the script as itself."""
        ended = subprocess.run(
            case.argv,
            cwd=case.original,
            env=self.environment(case.original),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return case.result(case.original, code=ended.returncode, lines=ended.stdout.splitlines())

    def drafted(self, cases: list[_Case], run_inithold: Inithold) -> list[tuple[int, list[str], dict[str, str]]]:
        """Run drafts of one command each in one plan."""
        drafts = [case.steps(f"s{number}") for number, case in enumerate(cases)]
        (run_inithold.folder / "plan.yaml").write_text(json.dumps({"steps": [*chain.from_iterable(drafts)]}))
        lines, ended = self._events(run_inithold, run_inithold.folder / "plan.yaml", run_inithold.folder)
        results = []
        for case, steps in zip(cases, drafts, strict=True):
            ids = [step["id"] for step in steps]
            shown = [line for name in ids for line in lines.get(name, [])]
            code = next(filter(None, (ended[name] for name in ids)), 0)
            results.append(case.result(case.drafted, code=code, lines=shown))
        return results

    def taken_apart(self, case: _Case, run_inithold: Inithold) -> tuple[int, list[str], dict[str, str]]:
        """Run a draft of several commands, as it is written."""
        file = self.folder / f"{case.drafted.name}.yaml"
        file.write_text(case.text)
        lines, ended = self._events(run_inithold, file, case.drafted)
        shown = [line for step in case.plan.steps for line in lines.get(step.id, [])]
        return case.result(case.drafted, code=next(filter(None, ended.values()), 0), lines=shown)

    def _events(
        self, run_inithold: Inithold, plan: Path, folder: Path
    ) -> tuple[dict[str, list[str]], dict[str, int]]:
        """The output of each step, and the exit code of its command."""
        marker = self.folder / f"{plan.stem}.marker"
        arguments = ("run", str(plan), "--once", "--log-format", "json", "--marker", str(marker))
        done = run_inithold(*arguments, env=self.environment(folder), cwd=folder)
        lines: dict[str, list[str]] = {}
        ended: dict[str, int] = {}
        for line in done.stderr.splitlines():
            event = json.loads(line)
            if event["event"] == "log_line" and "step" in event:
                lines.setdefault(event["step"], []).append(event["text"])
            elif event["event"] == "step_finished":
                ended[event["step"]] = _code(event)
        assert ended, done.stderr
        tolerated = plan.name == "plan.yaml"
        assert done.returncode == (1 if any(ended.values()) and not tolerated else 0), done.stderr
        return lines, ended


def _code(event: dict[str, Any]) -> int:
    """The exit code of a step's command; minus the number of a signal that killed it; 0 where it was not run."""
    if event["outcome"] in ("changed", "unchanged", "cancelled", "skipped"):
        return 0
    ended = re.match(r"exited (\d+)|was killed by (SIG\w+)|cannot run .*: (not found)", event["reason"])
    assert ended, event["reason"]
    if ended[2]:
        return -signal.Signals[ended[2]].value
    # A shell would say 127.
    return 127 if ended[3] else int(ended[1])


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Ground]:
    folder = tmp_path_factory.mktemp("ground")
    (folder / "tools").mkdir()
    for name, text in _TOOLS.items():
        (folder / "tools" / name).write_text(text)
        (folder / "tools" / name).chmod(0o755)
    with _listening() as port:
        yield _Ground(folder, folder / "tools", port)


@pytest.mark.parametrize("chunk", range(_CHUNKS))
def test_a_draft_does_what_the_script_did(chunk: int, ground: _Ground, run_inithold: Inithold) -> None:
    cases = [
        ground.case(number, argv, command)
        for number, (argv, command) in enumerate(_CASES)
        if number % _CHUNKS == chunk
    ]
    assert any(len(case.plan.steps) > 1 for case in cases), "nothing here is taken apart"
    one = [case for case in cases if case.commands == 1]
    several = [case for case in cases if case.commands > 1]
    assert len(one) + len(several) == len(cases)
    for time in ("first", "second"):
        results = [*zip(one, ground.drafted(one, run_inithold), strict=True)]
        results += [(case, ground.taken_apart(case, run_inithold)) for case in several]
        different = []
        for case, result in results:
            expected = ground.original(case)
            if result != expected:
                different.append(f"{case.argv}\n  was {expected}\n  is  {result}\n{case.text}")
        assert not different, f"the {time} time:\n" + "\n".join(different)


def test_there_are_enough_scripts() -> None:
    assert len(_CASES) >= 120
    assert {argv[0] for argv, _ in _CASES} == {"sh", "dash", "bash", "busybox"}
