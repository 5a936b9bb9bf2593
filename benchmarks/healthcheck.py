"""Wirings of init's health check on a real Docker engine: how soon dependents start, and what the probing costs.

    PYTHONPATH=tests python -m benchmarks.healthcheck [ROUNDS] [WINDOW]

Each wiring has an init container whose one step takes some seconds, and a dependent on `service_healthy`. In
ROUNDS (5) rounds of `docker compose up -d`, every init is ready at a moment of its own, 2 s later in each round.
Measured is the time from its marker until the engine knows a successful probe (`healthy`) and until the dependent
runs (`dependent`). Then, over WINDOW (120; 0 leaves it out) seconds with all inits still running and again with
all holding, the processor time of the container and of its shim, which runs the probes: per minute, less that of
an init without a health check. What dockerd and containerd themselves spend on probes is not in it.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from e2e.engine import Engine, find
from e2e.images import Images, built
from e2e.moments import moment
from e2e.stack import MARKER, Stack

HEALTH, FILE = ["inithold", "health"], ["test", "-f", MARKER]
BLOCKING = ["inithold", "health", "--wait=25s"]
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Wiring:
    """A health check: what is run, and how often."""

    name: str
    probe: Sequence[str]
    interval: str
    start_interval: str | None = None

    def healthcheck(self) -> dict[str, Any]:
        """As a Compose file has it."""
        if not self.probe:
            return {"disable": True}
        check = {"test": ["CMD", *self.probe], "interval": self.interval, "timeout": "30s", "start_period": "15m"}
        # Engine 25 takes 5 s for one that is not given, or the image's own: older engines know the interval alone.
        return check | {"start_interval": self.start_interval or self.interval}


WIRINGS = (
    Wiring("none", (), ""),
    Wiring("test -f, interval 10s", FILE, "10s"),
    *(Wiring(f"test -f, start_interval {each}", FILE, "30s", each) for each in ("100ms", "250ms", "500ms", "1s")),
    *(Wiring(f"health, start_interval {each}", HEALTH, "30s", each) for each in ("100ms", "250ms", "500ms", "1s")),
    Wiring("health --wait=25s, start_interval 250ms", BLOCKING, "30s", "250ms"),
    Wiring("health --wait=25s, start_interval 1s", BLOCKING, "30s", "1s"),
    Wiring("health, interval 1s", HEALTH, "1s"),
    Wiring("health, interval 2s", HEALTH, "2s"),
    Wiring("health --wait=25s, interval 2s", BLOCKING, "2s"),
    Wiring("health --wait=25s, interval 5s", BLOCKING, "5s"),
)


@dataclass
class Measured:
    """Of one wiring: seconds from the marker, a value for each round; milliseconds of processor time a minute."""

    healthy: list[float]
    dependent: list[float]
    running: float = 0.0
    holding: float = 0.0


def measure(engine: Engine, images: Images, rounds: int, window: float) -> dict[str, Measured]:
    """All wirings, in one project."""
    found = {wiring.name: Measured([], []) for wiring in WIRINGS}
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(engine, images, Path(folder), "compose.wirings.yaml")
        try:
            for number in range(rounds):
                _write(stack, images, [6 + (0.63 * place + 2 * number) % 10 for place in range(len(WIRINGS))])
                with _watched(stack) as healthy:
                    stack.compose("up", "-d")
                for place, wiring in enumerate(WIRINGS[1:], 1):
                    ready = float(stack.exec(f"init-{place}", "stat", "-c", "%.9Y", MARKER).stdout)
                    dependent = moment(stack.state(f"dependent-{place}")["StartedAt"])
                    found[wiring.name].healthy.append(healthy[f"{stack.project}-init-{place}"] - ready)
                    found[wiring.name].dependent.append(dependent - ready)
                stack.compose("down", "-v", "--timeout", "1")
            for phase, delay in (("running", 3600.0), ("holding", 1.0)) if window else ():
                _write(stack, images, [delay] * len(WIRINGS))
                stack.compose("up", "-d", "--no-deps", *(f"init-{place}" for place in range(len(WIRINGS))))
                time.sleep(15)
                for wiring, cost in zip(WIRINGS, _costs(stack, window), strict=True):
                    setattr(found[wiring.name], phase, cost)
                stack.compose("down", "-v", "--timeout", "1")
        finally:
            stack.down()
    return found


def _write(stack: Stack, images: Images, delays: list[float]) -> None:
    services: dict[str, Any] = {}
    for place, (wiring, delay) in enumerate(zip(WIRINGS, delays, strict=True)):
        services[f"init-{place}"] = {
            "image": images.inithold,
            "pull_policy": "never",
            "container_name": f"{stack.project}-init-{place}",
            "command": ["run", "--", "sleep", f"{delay:.2f}"],
            "tmpfs": ["/tmp"],
            "healthcheck": wiring.healthcheck(),
        }
        if wiring.probe:
            services[f"dependent-{place}"] = {
                "image": images.base,
                "pull_policy": "never",
                "container_name": f"{stack.project}-dependent-{place}",
                "command": ["sleep", "3600"],
                "depends_on": {f"init-{place}": {"condition": "service_healthy"}},
            }
    stack.write("compose.wirings.yaml", yaml.safe_dump({"services": services}))


@contextmanager
def _watched(stack: Stack) -> Iterator[dict[str, float]]:
    """When each container became healthy, filled at the end of the block: the engine keeps five probes only."""
    events = ("docker", "events", "--filter", "event=health_status: healthy", "--format", "{{json .}}")
    watching = subprocess.Popen(["env", *events], env=dict(stack.engine.environment), stdout=subprocess.PIPE)
    healthy: dict[str, float] = {}
    yield healthy
    time.sleep(1)
    watching.terminate()
    for line in watching.communicate()[0].splitlines():
        event = json.loads(line)
        healthy.setdefault(event["Actor"]["Attributes"]["name"], event["timeNano"] / 1e9)


def _costs(stack: Stack, window: float) -> list[float]:
    before = [_processor_time(stack, place) for place in range(len(WIRINGS))]
    time.sleep(window)
    after = [_processor_time(stack, place) for place in range(len(WIRINGS))]
    a_minute = [(late - early) * 60_000 / window for early, late in zip(before, after, strict=True)]
    return [cost - a_minute[0] for cost in a_minute]


def _processor_time(stack: Stack, place: int) -> float:
    """Seconds of processor time of the container and of its shim with all the shim has run."""
    stats = stack.engine.get(f"/containers/{stack.project}-init-{place}/stats?stream=false&one-shot=true")
    shim = int(_stat(stack.pid(f"init-{place}"))[1])
    return float(stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9 + sum(map(int, _stat(shim)[11:15])) / TICKS)


def _stat(pid: int) -> list[str]:
    """The fields of proc_pid_stat(5) from the third on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def main(rounds: int = 5, window: float = 120) -> None:
    """Measure and print a table."""
    engine = find()
    with built(engine) as images:
        found = measure(engine, images, rounds, window)
    print("| wiring | healthy, median (worst) | dependent, median (worst) | running, ms/min | holding, ms/min |")
    print("| --- | --- | --- | --- | --- |")
    for name, one in found.items():
        if one.healthy:
            times = [
                f"{statistics.median(each):.2f} s ({max(each):.2f} s)" for each in (one.healthy, one.dependent)
            ]
            print(f"| {name} | {times[0]} | {times[1]} | {one.running:.0f} | {one.holding:.0f} |")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
