"""The Docker engine that the end-to-end tests run on: its command line, and its socket for what must be fast.

`.ci/run` exports how it is reached. Without that, `../shared/engine/engine` is asked where there is one, and else
the engine that `docker` reaches by itself is used, with the official images. Without an engine the tests fail;
they are left out only where `INITHOLD_NO_ENGINE=1` asks for that.
"""

from __future__ import annotations

import http.client
import json
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

REPOSITORY = Path(__file__).resolve().parents[2]
TOOL = REPOSITORY.parent / "shared" / "engine" / "engine"
"""Starts an engine and makes stand-in images where no registry can be reached."""
Found = TypeVar("Found")


@dataclass(frozen=True)
class Engine:
    """A Docker engine.

    Args:
        environment: in which `docker` and `docker compose` reach it.
        stand_ins: whether images come from the tool instead of a registry.
    """

    environment: Mapping[str, str]
    stand_ins: bool

    def run(
        self,
        *command: str,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        check: bool = True,
        timeout: float = 150,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command; with `check` a failure is an error that shows all of its output."""
        done = subprocess.run(
            ["env", *command],  # env looks the program up in the PATH that it is given
            cwd=cwd,
            env={**self.environment, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{shlex.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def docker(self, *arguments: str, check: bool = True, timeout: float = 150) -> str:
        """The standard output of `docker ARGUMENTS`, without the white space around it."""
        return self.run("docker", *arguments, check=check, timeout=timeout).stdout.strip()

    def inspect(self, container: str) -> dict[str, Any] | None:
        """All that the engine knows of a container, asked by its socket (some 2 ms); None if there is none."""
        return self.get(f"/containers/{container}/json")

    def get(self, path: str) -> Any:
        """The answer of the engine's API, decoded; None for what does not exist."""
        with suppress(http.client.HTTPException, ConnectionError):
            return self._get(path)
        return self._get(path)  # once more: the engine closes idle connections

    def logs(self, container: str) -> tuple[str, str]:
        """What a container has written, standard output and error, asked by its socket."""
        data = self._answer(f"/containers/{container}/logs?stdout=1&stderr=1") or b""
        # Parts, each with a head of 8 bytes: 1 for output or 2 for errors, three zeros, and the size.
        written, at = {1: bytearray(), 2: bytearray()}, 0
        while at < len(data):
            end = at + 8 + int.from_bytes(data[at + 4 : at + 8], "big")
            written[data[at]] += data[at + 8 : end]
            at = end
        return written[1].decode(), written[2].decode()

    def _get(self, path: str) -> Any:
        data = self._answer(path)
        return None if data is None else json.loads(data)

    def _answer(self, path: str) -> bytes | None:
        connection = _Connection(self.environment.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
        try:
            connection.request("GET", path, headers={"Host": "docker"})
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status == 404:
            return None
        assert answer.status == 200, f"{path}: {answer.status} {data!r}"
        return data


class _Connection(http.client.HTTPConnection):
    def __init__(self, address: str) -> None:
        scheme, _, self._path = address.partition("://")
        assert scheme == "unix", f"the tests reach an engine by its socket, not by {address}"
        super().__init__("localhost", timeout=30)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(self._path)


def find() -> Engine:
    """The engine to test on.

    Raises:
        LookupError: none answers.
    """
    environment = {name: value for name, value in os.environ.items() if not _is_setting(name)}
    stand_ins = TOOL.exists()
    if stand_ins:
        environment |= _exports()
    engine = Engine(environment, stand_ins)
    answer = engine.run("docker", "version", "--format", "{{.Server.Version}}", check=False)
    if answer.returncode != 0:
        raise LookupError(f"no Docker engine answers: {answer.stderr.strip()}")
    return engine


def _is_setting(name: str) -> bool:
    return name.startswith(("COMPOSE_", "INITHOLD_", "OTEL_", "PYTEST_")) and name != "COMPOSE_BAKE"


def _exports() -> dict[str, str]:
    """What `engine env` exports."""
    done = subprocess.run([TOOL, "env"], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        return {}  # perhaps another engine answers
    exported = {}
    for line in done.stdout.splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        exported[name] = os.path.expandvars("".join(shlex.split(value)))
    return exported


def busy() -> float:
    """How many times longer work takes than on an idle machine: processes that want to run for each processor."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def poll(look: Callable[[], Found | None], seconds: float, what: str, every: float = 0.05) -> Found:
    """The first true answer of `look`; an error that names `what` where none came in time.

    Args:
        look: asked again and again.
        seconds: the most that it may take on an idle machine.
        what: it is about.
        every: how many seconds are between two looks.
    """
    began = time.monotonic()
    while True:
        if found := look():
            return found
        waited = time.monotonic() - began
        assert waited < seconds * busy(), f"not in {waited:.0f} s: {what}"
        time.sleep(every)
