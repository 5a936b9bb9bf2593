"""The example with a gate before each service, killed and started again at once; each start is witnessed.

A witness stands between the gate and the program. It writes down when it started and what it found, without
inithold. `control` is a service without a gate: what it finds, a program would have found. A probe looks all the
time, to say when the environment began to hold.
"""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from e2e.engine import poll
from e2e.images import EXAMPLE
from e2e.stack import DEPENDENTS, Stack

SERVERS = ("postgres", "rabbitmq")
WITNESSED = (*DEPENDENTS, "control")
SCRIPT = 'exec python /witness/witness.py "$$0" "$$(date +%s.%N)" "$$@"'
VOLUMES = {"/database": "postgres-data", "/broker": "rabbitmq-data"}
BOUND = 150
"""Seconds that one round may take to hold again."""
DROP_SCHEMA = """
import os, psycopg
with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
    connection.execute("drop schema public cascade")
    connection.execute("create schema public")
"""
DELETE_QUEUES = """
import json, os, pika
with pika.BlockingConnection(pika.URLParameters(os.environ["RABBITMQ_URL"])) as connection:
    for name in json.loads(os.environ["QUEUES"]):
        connection.channel().queue_delete(name)
"""


def gated(stack: Stack) -> Stack:
    """Lay the gates, the witnesses, the control and the probe over a stack that is not started."""
    plan = yaml.safe_load((EXAMPLE / "inithold.yaml").read_text())
    topology = next(step for step in plan["steps"] if step["id"] == "topology")
    queues = {"QUEUES": json.dumps([queue["name"] for queue in topology["with"]["queues"]])}
    gate = yaml.safe_load((EXAMPLE / "compose.gates.yaml").read_text())["x-gate"]
    settings = {**gate["environment"], **queues}
    mounted = {"volumes": [f"{Path(__file__).with_name('witness')}:/witness:ro", "./seen:/seen"]}

    def witness(name: str) -> list[str]:
        return ["sh", "-c", SCRIPT, f"/seen/{name}.jsonl"]

    # The engine's DNS asks the machine's for the name of a container that is down: not for long.
    quick = {"dns_opt": ["timeout:1", "attempts:1"]}
    app = {"extends": {"file": "compose.yaml", "service": "bot"}, **mounted, **quick}
    idle = {"command": ["sleep", "infinity"], "healthcheck": {"disable": True}, "environment": settings}
    services: dict[str, Any] = {
        "postgres": {"command": ["postgres", "-c", "track_commit_timestamp=on"]},
        # Nobody waits for its health in a round, and the example's own check costs more than all the rest. Nor do
        # schedulers that spin, waiting for work, help on a machine where all starts at once.
        "rabbitmq": {
            "healthcheck": {"test": ["CMD", "bash", "-c", ": </dev/tcp/127.0.0.1/5672"]},
            "environment": {
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
            },
        },
        **{
            name: {
                "entrypoint": [*gate["entrypoint"], *witness(name)],
                "environment": queues,
                # Nor for theirs, while the gates wait: a probe a second of each costs as much as a server's start.
                "healthcheck": {"start_interval": "5s"},
                **mounted,
            }
            for name in DEPENDENTS
        },
        "control": {**app, **idle, "container_name": f"{stack.project}-control", "entrypoint": witness("control")},
        "probe": {**app, **idle, "container_name": f"{stack.project}-probe"},
    }
    stack.files.append("compose.gates.yaml")
    stack.write("compose.witness.yaml", yaml.safe_dump({"services": services}))
    stack.files.append("compose.witness.yaml")
    stack.write("seen/.keep", "")
    (stack.folder / "seen").chmod(0o777)  # the containers have a user of their own
    return stack


@dataclass(frozen=True)
class Start:
    """One start of a program, as its witness wrote it down; times in seconds since 1970."""

    service: str
    started: float
    lacks: str
    found: Mapping[str, Any]


@dataclass(frozen=True)
class Round:
    """What one round showed.

    Args:
        broken: what was broken before the start.
        order: in which the containers were started.
        starts: of the gated programs.
        control: start of the one without a gate.
        since: when the database had its revision, by its own clock and account.
        missing: begin of the last look of the probe that did not find everything.
        held: end of its first that did.
        made: what init had to do, by its record: the steps that changed something.
        seconds: from the kill to the last program.
    """

    broken: str
    order: tuple[str, ...]
    starts: tuple[Start, ...]
    control: Start
    since: float
    missing: float
    held: float
    made: tuple[str, ...]
    seconds: float

    @property
    def not_before(self) -> float:
        """The environment did not hold before this instant."""
        return max(self.since, self.missing)

    def __str__(self) -> str:
        first = min(start.started for start in self.starts)
        return (
            f"{self.broken:<14} init made {', '.join(self.made) or 'nothing':<8}  first program"
            f" {first - self.not_before:+5.2f} s, without a gate {self.control.started - self.not_before:+6.2f} s"
            f"  ({self.seconds:.0f} s)"
        )


class Rounds:
    """Kills and starts everything, again and again.

    Args:
        stack: as `gated` made it, up and healthy.
        seed: of what is random.
    """

    def __init__(self, stack: Stack, seed: int) -> None:
        self._stack = stack
        self._random = random.Random(seed)
        self._kinds: list[str] = []
        self._ids = {name: stack.container(name) for name in stack.containers() if name != "probe"}
        self.expected: dict[str, Any] = json.loads(self._in_probe("import environment, json\n" + _LOOK))

    def play(self) -> Round:
        """One round: kill, break, start, and wait until every program has started."""
        broken, order = self._next_kind(), self._shuffled()
        began = time.time()
        self._kill(broken)
        for file in (self._stack.folder / "seen").glob("*.jsonl"):
            file.unlink()
        with self._probe() as probe:
            assert probe.stdout
            there = json.loads(probe.stdout.readline() or "{}")
            assert there == {"there": []}, "nothing is there before the start"
            self._start(order)
            output, _ = probe.communicate(timeout=BOUND)
            assert probe.returncode == 0, output
        held = json.loads(output)
        poll(lambda: all(self._seen(name) for name in WITNESSED), BOUND, "every program has started")
        seconds = time.time() - began
        record = poll(self._record_since(began), 60, "init is done", every=0.3)
        starts = tuple(start for name in DEPENDENTS for start in self._seen(name))
        return Round(
            broken,
            order,
            starts,
            self._seen("control")[0],
            since=max(start.found.get("since", 0.0) for start in starts),
            missing=held["missing"],
            held=held["held"],
            made=tuple(step["id"] for step in record["steps"] if step["state"] == "changed"),
            seconds=seconds,
        )

    def _next_kind(self) -> str:
        if not self._kinds:
            self._kinds = list(BREAKS)
            self._random.shuffle(self._kinds)
        return self._kinds.pop()

    def _shuffled(self) -> tuple[str, ...]:
        order = list(self._ids)
        self._random.shuffle(order)
        return tuple(order)

    def _kill(self, broken: str) -> None:
        """Everything at once; where something is dropped that only a server can drop, the servers last."""
        code, folders = BREAKS[broken]
        if code:
            self._end([name for name in self._ids if name not in SERVERS])
            self._in_probe(code)
            self._end(SERVERS)
        else:
            self._end(self._ids)
        if folders:
            mounts = [word for at in folders for word in ("-v", f"{self._stack.project}_{VOLUMES[at]}:{at}")]
            empty = f"find {' '.join(folders)} -mindepth 1 -delete"
            run = ("run", "--rm", "--user", "0", "--network", "none", *mounts, "--entrypoint", "sh")
            self._stack.engine.docker(*run, self._stack.images.example, "-c", empty)

    def _end(self, names: Any) -> None:
        ids = [self._ids[name] for name in names]
        self._stack.engine.docker("kill", *ids)
        poll(lambda: not any(self._stack.state(name)["Running"] for name in names), 30, "all are dead")

    def _start(self, order: tuple[str, ...]) -> None:
        environment = dict(self._stack.engine.environment)
        calls = [
            subprocess.Popen(
                ["env", "docker", "start", self._ids[name]], env=environment, stdout=subprocess.DEVNULL
            )
            for name in order
        ]
        assert [call.wait(60) for call in calls] == [0] * len(order)

    def _probe(self) -> subprocess.Popen[str]:
        words = ["docker", "exec", self._stack.container("probe"), "python", "/witness/probe.py"]
        return subprocess.Popen(
            ["env", *words, json.dumps(self.expected)],
            env=dict(self._stack.engine.environment),
            stdout=subprocess.PIPE,
            text=True,
        )

    def _in_probe(self, code: str) -> str:
        in_folder = ("env", "PYTHONPATH=/witness", "python", "-c", code)
        return self._stack.exec("probe", *in_folder).stdout

    def _seen(self, name: str) -> list[Start]:
        file = self._stack.folder / "seen" / f"{name}.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        return [Start(name, found["started"], found["lacks"], found) for found in lines]

    def _record_since(self, began: float) -> Callable[[], dict[str, Any] | None]:
        def look() -> dict[str, Any] | None:
            done = self._stack.exec("init", "cat", "/tmp/init-complete.record.json", check=False)
            record: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
            return record if record.get("outcome") == "ready" and record["started"] > began else None

        return look


_LOOK = "print(json.dumps(environment.of_database() | environment.of_broker()))"
# Code to run while the servers are still up, and folders to empty when all is down.
BREAKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "nothing": ("", ()),
    "empty database": ("", ("/database",)),
    "empty broker": ("", ("/broker",)),
    "schema dropped": (DROP_SCHEMA, ()),
    "queues deleted": (DELETE_QUEUES, ()),
}
