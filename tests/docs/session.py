"""Runs a page's console blocks one after another, as a reader would who types them into one shell."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from docs.pages import Block
from servers.run import remember

_CODE = "\x1ecode "
_VARYING = (
    (re.compile(r"(\"(?:ready_at|duration|pid|start_time|pid_namespace)\":) ?[\d.]+"), r"\1 N"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+(?:Z|\+00:00)"), "TIME"),
    (re.compile(r"(?<![\w.])\d+(?:\.\d+)? ?(?:ms|s)\b"), "DURATION"),
    (re.compile(r"\b[0-9a-f]{8,64}\b"), "ID"),
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"holding \(\S.*\)"), "holding (HOLDER)"),
    (re.compile(r"^[* ] (?=\S)", re.M), ""),  # which step is on the critical path may differ from run to run
    (re.compile(r"[ \t]+"), " "),
)


class Session:
    """A shell in a folder of its own, whose variables and working directory last from block to block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state = folder / ".state"
        self._holding: list[subprocess.Popen[str]] = []
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = {
            "PATH": path,
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "PYTHONPATH": f"{folder / 'site'}{os.pathsep}{folder / 'src'}",
            "INITHOLD_MARKER": str(folder / "init-complete"),
            "container": "docker",  # the pages show the hints of a container
        }

    def run(self, block: Block) -> None:
        """Run every command of a block; compare what it writes and, of the last, the exit code."""
        script = [f"[ ! -f {self._quoted} ] || . {self._quoted}"]
        for command, _ in block.commands:
            script.append(f"{command}\nprintf '\\n{_CODE}%s\\n' $?")
        script.append(f'{{ export -p; printf "cd %q\\n" "$PWD"; }} >{self._quoted}')
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        written = re.split(rf"\n{_CODE}(\d+)\n", done.stdout)
        for number, (command, expected) in enumerate(block.commands):
            self._compare(block, command, expected, written[2 * number])
        code = int(written[-2])
        assert code == block.exit_code, f"{block}: exit {code}, not {block.exit_code}:\n{done.stdout}"

    def hold(self, block: Block) -> None:
        """Start the one command of a block, and compare what it writes until it holds."""
        ((command, expected),) = block.commands
        output = self.folder / ".hold"
        script = f"[ ! -f {self._quoted} ] || . {self._quoted}\nexec {command}"
        with output.open("w") as stream:
            process = subprocess.Popen(
                ["bash", "-c", script],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                text=True,
            )
        remember(process.pid)
        self._holding.append(process)
        deadline = time.monotonic() + 60
        while "holding" not in output.read_text():
            assert process.poll() is None, f"{block}: exited {process.returncode}:\n{output.read_text()}"
            assert time.monotonic() < deadline, f"{block}: does not hold:\n{output.read_text()}"
            time.sleep(0.05)
        self._compare(block, command, expected, output.read_text())

    def end(self) -> None:
        """End what holds, as Ctrl-C does; it exits 0."""
        while self._holding:
            process = self._holding.pop()
            process.send_signal(signal.SIGINT)
            try:
                code = process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            assert code == 0, f"the hold exited {code}"

    @property
    def _quoted(self) -> str:
        return shlex.quote(str(self._state))

    def _compare(self, block: Block, command: str, expected: str, written: str) -> None:
        if not expected.strip():
            return  # nothing is shown
        wanted, seen = self._plain(expected), self._plain(written)
        pattern = "\n".join(".*" if line == "..." else re.escape(line) for line in wanted.splitlines())
        assert re.fullmatch(pattern, seen, re.S), f"{block}: {command}\n--- shown\n{wanted}\n--- written\n{seen}"

    def _plain(self, text: str) -> str:
        text = text.replace(str(self.folder / "init-complete"), "/tmp/init-complete")
        for varying, constant in _VARYING:
            text = varying.sub(constant, text)
        return "\n".join(line.strip() for line in text.splitlines() if line.strip())
