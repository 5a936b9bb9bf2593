"""A stack of containers of a test's own: the game-scheduler example under a name that nobody else has.

    def test_something(stack: Stack) -> None:          # fixture: a copy of the example, not started
        stack.up("init")                               # docker compose up -d --wait init
        assert stack.health("init") == "healthy"       # from the engine's socket
        assert stack.record()["outcome"] == "ready"    # of init
        assert stack.sql("select count(*) from users") == "0"
        assert "bot_events" in stack.queues()
        stack.write("compose.test.yaml", text)         # a file beside the example's; also plans, migrations
        stack.files.append("compose.test.yaml")        # -f for every command from here on
        stack.variables["SEED_DATA"] = "true"          # instead of .env
        stack.compose("restart", "bot")                # any command, with check=False for one that fails

Everything is removed afterwards, volumes too, and the logs of a failed test are in its report. Tests that leave
the stack up and healthy share one: the fixture `running`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from e2e.engine import Engine, poll
from e2e.images import EXAMPLE, Images
from e2e.sharing import shared
from servers.run import new_folder

MARKER = "/tmp/init-complete"
DEPENDENTS = ("api", "bot", "notification-daemon", "status-transition-daemon", "retry")


class Stack:
    """A Compose project in a copy of the example.

    Args:
        engine: where it runs.
        images: what it runs.
        folder: of the test's own; the example is copied into it.
        files: Compose files, as with `-f`.
    """

    def __init__(self, engine: Engine, images: Images, folder: Path, *files: str) -> None:
        self.engine = engine
        self.images = images
        self.project = f"ihe2e-{uuid.uuid4().hex[:10]}"
        self.folder = folder / self.project
        self.files = list(files or ("compose.yaml",))
        self.variables = {
            **images.variables(),
            "POSTGRES_PASSWORD": "pg-secret-of-the-test",
            "RABBITMQ_PASSWORD": "mq-secret-of-the-test",
            "COMPOSE_PROJECT_NAME": self.project,
            "CONTAINER_PREFIX": self.project,
        }
        shutil.copytree(EXAMPLE, self.folder, ignore=shutil.ignore_patterns(".*", "__pycache__", "wheels"))

    # -- what a person does

    def compose(
        self, *arguments: str, check: bool = True, timeout: float = 180
    ) -> subprocess.CompletedProcess[str]:
        """`docker compose -f FILE... ARGUMENTS`."""
        return self.engine.run(
            *self.command(*arguments),
            cwd=self.folder,
            environment=self.variables,
            check=check,
            timeout=timeout,
        )

    def command(self, *arguments: str) -> list[str]:
        """The words of `docker compose -f FILE... ARGUMENTS`, for tests that start it themselves."""
        return ["docker", "compose", *(word for file in self.files for word in ("-f", file)), *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `docker compose ARGUMENTS` and go on."""
        return subprocess.Popen(
            ["env", *self.command(*arguments)],
            cwd=self.folder,
            env={**self.engine.environment, **self.variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def up(self, *services: str, timeout: float = 180) -> float:
        """`up -d --wait SERVICES`; the seconds it took."""
        began = time.monotonic()
        self.compose("up", "-d", "--wait", *services, timeout=timeout)
        return time.monotonic() - began

    def write(self, name: str, text: str) -> None:
        """Put a file into the folder of the Compose files."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def override(self, **services: dict[str, Any]) -> None:
        """Lay settings of services over what the files say, as one more file. `_` in a name stands for `-`."""
        name = f"compose.override-{len(self.files)}.yaml"
        content = {"services": {service.replace("_", "-"): keys for service, keys in services.items()}}
        self.write(name, yaml.safe_dump(content))
        self.files.append(name)

    def down(self) -> None:
        """Remove containers, volumes and networks."""
        self.compose("--profile", "*", "down", "-v", "--remove-orphans", "--timeout", "0", check=False)

    # -- what the engine says

    def container(self, service: str) -> str:
        """Name or id of the service's container; of the first where it has several."""
        found = self.inspect(service)
        assert found, f"{service} has no container"
        return str(found["Id"])

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine knows of the service's container; empty if there is none."""
        if found := self.engine.inspect(f"{self.project}-{service}"):
            return found
        ids = self.ids(service)
        return (self.engine.inspect(ids[0]) or {}) if ids else {}

    def ids(self, service: str) -> list[str]:
        """The containers of a service, also those that ended, the eldest first."""
        labels = [f"com.docker.compose.project={self.project}", f"com.docker.compose.service={service}"]
        query = quote(json.dumps({"label": labels}))
        listed = self.engine.get(f"/containers/json?all=1&filters={query}")
        return [one["Id"] for one in sorted(listed, key=lambda one: int(one["Created"]))]

    def state(self, service: str) -> dict[str, Any]:
        """Status, Pid, ExitCode, StartedAt, OOMKilled, Health and so on; empty if there is no container."""
        return dict(self.inspect(service).get("State", {}))

    def health(self, service: str) -> str:
        """`starting`, `healthy`, `unhealthy`, or the status of a container that does not run; `none`."""
        state = self.state(service)
        if state.get("Status") != "running":
            return str(state.get("Status", "none"))
        return str(state.get("Health", {}).get("Status", "none"))

    def wait_health(self, service: str, wanted: str, seconds: float = 60) -> None:
        """Wait until `health` says `wanted`."""
        poll(lambda: self.health(service) == wanted, seconds, f"{service} is {wanted}")

    def containers(self) -> dict[str, dict[str, Any]]:
        """State of every container of the project, also of those that ended, by name without the prefix."""
        query = quote(json.dumps({"label": [f"com.docker.compose.project={self.project}"]}))
        found = {}
        for listed in self.engine.get(f"/containers/json?all=1&filters={query}"):
            if inspected := self.engine.inspect(listed["Id"]):
                found[inspected["Name"].lstrip("/").removeprefix(f"{self.project}-")] = inspected["State"]
        return found

    def pid(self, service: str) -> int:
        """The first process of the container, as this machine numbers it; 0 while it does not run."""
        return int(self.state(service).get("Pid", 0))

    def logs(self, service: str) -> str:
        """All that the service has logged, standard output and error."""
        return "".join(self.engine.logs(self.container(service)))

    # -- what is inside

    def exec(self, service: str, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`docker exec CONTAINER COMMAND`."""
        return self.engine.run("docker", "exec", self.container(service), *command, check=check)

    def python(self, service: str, code: str) -> str:
        """What a piece of Python prints in a container of the application's image: for HTTP to `api`, say."""
        return self.exec(service, "python", "-c", code).stdout.strip()

    def record(self, service: str = "init", earlier: int = 0) -> dict[str, Any]:
        """The account of init's run, or of an earlier one: 1 is the one before."""
        part = f".{earlier}" if earlier else ""
        record: dict[str, Any] = json.loads(self.exec(service, "cat", f"{MARKER}.record{part}.json").stdout)
        return record

    def marker(self) -> dict[str, Any] | None:
        """The marker's content; None without one."""
        done = self.exec("init", "cat", MARKER, check=False)
        content: dict[str, Any] | None = json.loads(done.stdout) if done.returncode == 0 else None
        return content

    def sql(self, query: str) -> str:
        """The answer of the database, as psql prints it: rows in lines, columns with | between them."""
        words = ["psql", "-h", "127.0.0.1", "-U", "scheduler", "-d", "scheduler", "-v", "ON_ERROR_STOP=1", "-tAc"]
        password = f"PGPASSWORD={self.variables['POSTGRES_PASSWORD']}"
        return self.exec("postgres", "env", password, *words, query).stdout.strip()

    def queues(self) -> dict[str, int]:
        """The broker's queues and how many messages are in each (takes a second or two)."""
        done = self.exec("rabbitmq", "rabbitmqctl", "-q", "list_queues", "--formatter", "json", "name", "messages")
        return {row["name"]: row["messages"] for row in json.loads(done.stdout)}

    def story(self) -> str:
        """States and logs of all containers, for the report of a failed test."""
        parts = []
        for name, state in self.containers().items():
            shown = {key: state.get(key) for key in ("Status", "ExitCode", "OOMKilled", "Error")}
            probes = state.get("Health", {})
            shown["Health"] = (probes.get("Status"), [probe["Output"] for probe in probes.get("Log") or []][-2:])
            logs = self.engine.run("docker", "logs", "--tail", "60", "-t", f"{self.project}-{name}", check=False)
            parts.append(f"--- {name} {shown}\n{logs.stdout}{logs.stderr}")
        return "\n".join(parts)


@contextmanager
def started(
    engine: Engine,
    images: Images,
    folder: Path,
    *files: str,
    prepare: Callable[[Stack], None] | None = None,
    wait: bool = True,
    services: tuple[str, ...] = (),
) -> Iterator[Stack]:
    """A stack with everything up, for several tests; shows its story where it does not come up.

    Args:
        engine, images, folder, files: as `Stack` takes them.
        prepare: changes the files before they are used.
        wait: with `up --wait`, which fails where a container is meant to end.
        services: these and what they need; all if empty.
    """
    stack = Stack(engine, images, folder, *files)
    if prepare:
        prepare(stack)
    try:
        _up(stack, *(["--wait"] if wait else []), *services)
        yield stack
    finally:
        with suppress(subprocess.TimeoutExpired):
            stack.down()


@contextmanager
def started_once(engine: Engine, images: Images, name: str, *services: str) -> Iterator[Stack]:
    """A stack of these services and what they need, all if none is named; one for all workers of a run."""

    def start() -> Stack:
        stack = Stack(engine, images, new_folder(name))
        try:
            _up(stack, "--wait", *services)
        except AssertionError:
            stack.down()
            raise
        return stack

    with shared(name, start, Stack.down) as stack:
        yield stack


def _up(stack: Stack, *words: str) -> None:
    try:
        stack.compose("up", "-d", *words, timeout=240)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        raise AssertionError(f"{error}\n{stack.story()}") from error
