"""The example on Docker Swarm: a swarm of one node while a test needs it, and stack.yaml deployed on it."""

from __future__ import annotations

import fcntl
import json
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from e2e.engine import Engine, poll
from e2e.stack import Stack


@contextmanager
def swarm_mode(engine: Engine) -> Iterator[None]:
    """Make the engine a swarm of itself, where it is in none. One test at a time: an engine is in one swarm.

    The test engine stays in it until it is stopped: `docker swarm leave` takes name resolution from every running
    container (Engine 26, measured), and other tests have some.
    """
    with (Path(tempfile.gettempdir()) / "inithold-e2e-swarm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        was = engine.docker("info", "--format", "{{.Swarm.LocalNodeState}}")
        if was != "active":
            engine.docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377")
        try:
            yield
        finally:
            if was != "active" and not engine.stand_ins and not engine.docker("ps", "-q"):
                engine.docker("swarm", "leave", "--force")


class SwarmStack:
    """stack.yaml under a name that nobody else has.

    Args:
        source: whose folder and variables it takes.
    """

    def __init__(self, source: Stack) -> None:
        self.name = f"ihe2e-{uuid.uuid4().hex[:10]}"
        self.engine = source.engine
        self._source = source

    def deploy(self, *files: str) -> None:
        """`docker stack deploy -c FILE...`; an engine without a registry need not look for newer images."""
        named = [word for file in files for word in ("-c", file)]
        command = ["docker", "stack", "deploy", "--detach=true", "--resolve-image", "never", *named, self.name]
        self.engine.run(*command, cwd=self._source.folder, environment=self._source.variables)

    def remove(self) -> None:
        """Remove the stack and its volumes, when its containers are gone."""
        self.engine.docker("stack", "rm", self.name)
        query = quote(json.dumps({"label": [f"com.docker.stack.namespace={self.name}"]}))
        listed = f"/containers/json?all=1&filters={query}"
        self.engine.docker("kill", *(one["Id"] for one in self.engine.get(listed)), check=False)
        poll(lambda: not self.engine.get(listed), 60, "all containers are gone")
        volumes = self.engine.docker("volume", "ls", "-q", "-f", f"label=com.docker.stack.namespace={self.name}")
        for volume in volumes.split():
            poll(lambda: self._gone(volume), 30, f"{volume} is removed")  # noqa: B023

    def _gone(self, volume: str) -> bool:
        self.engine.docker("volume", "rm", "-f", volume, check=False)
        return volume not in self.engine.docker("volume", "ls", "-q").split()

    def tasks(self, service: str) -> list[dict[str, Any]]:
        """Every task that Swarm has made for a service, the eldest first."""
        query = quote(json.dumps({"service": [f"{self.name}_{service}"]}))
        found: list[dict[str, Any]] = self.engine.get(f"/tasks?filters={query}")
        return sorted(found, key=lambda task: str(task["CreatedAt"]))

    def container(self, service: str) -> str:
        """The id of the container of the service's running task; empty while there is none."""
        wanted = [task for task in self.tasks(service) if task["DesiredState"] == "running"]
        return str(wanted[-1]["Status"].get("ContainerStatus", {}).get("ContainerID", "")) if wanted else ""

    def health(self, service: str) -> str:
        """`starting`, `healthy`, `unhealthy`; the status without a healthcheck; empty without a container."""
        container = self.container(service)
        state = ((self.engine.inspect(container) if container else None) or {}).get("State", {})
        return str(state.get("Health", {}).get("Status", state.get("Status", "")))

    def exec(self, service: str, *command: str) -> str:
        """What a command prints in the service's container."""
        return self.engine.docker("exec", self.container(service), *command)

    def logs(self, service: str) -> str:
        """What the service's container has logged."""
        return "".join(self.engine.logs(self.container(service)))
