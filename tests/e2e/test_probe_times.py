"""When the engine probes, what a failed probe does, and what a restart leaves: one stack for all of it."""

from __future__ import annotations

import itertools
import os
import re
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from e2e.engine import Engine, busy, poll
from e2e.moments import moment
from e2e.project import COMPOSE_5, Project, project

SERVICE = """\
x-service: &service
  {image: "standin/busybox:1", pull_policy: never, network_mode: none, init: true, command: sleep 600}
services:
"""
LATE = "command: [sh, -c, 'sleep 6; touch /tmp/ready; exec sleep 600']"
SOON = "command: [sh, -c, 'sleep 1.2; touch /tmp/ready; exec sleep 600']"
# The old marker is there for two seconds, not for some milliseconds, so that it can be seen.
SLOW = "command: [sh, -c, 'sleep 2; rm -f {0}; sleep 1; touch {0}; exec sleep 600']"
READY = "test -f /tmp/ready"
MARKERS = {"layer": "/tmp/ready", "tmpfs": "/run/ready", "shm": "/dev/shm/ready"}
SERVICES = {
    "interval": "healthcheck: {test: 'true', interval: 4s, start_period: 60s}",
    "often": f"{SOON}, healthcheck: {{test: {READY}, interval: 4s, start_period: 60s, start_interval: 500ms}}",
    "ended": "healthcheck: {test: 'false', interval: 4s, start_period: 1600ms, start_interval: 500ms}",
    "covered": f"{LATE}, healthcheck: {{test: {READY}, interval: 1s, retries: 2, start_period: 60s}}",
    "after-covered": "depends_on: {covered: {condition: service_healthy}}",
    "late": f"{LATE}, healthcheck: {{test: {READY}, interval: 1s, retries: 2}}",
    "after-late": "depends_on: {late: {condition: service_healthy}}",
    "endless": "image: 'standin/python:3.13', restart: unless-stopped, "
    """command: [python, -c, 'import time; time.sleep(float("inf"))']""",
    "busy": "volumes: ['./data:/data'], healthcheck: {test: 'echo >> /data/probes', interval: 200ms}",
    **{
        name: f"{SLOW.format(marker)}, tmpfs: [/run], healthcheck: {{test: 'test -f {marker}', interval: 30s, "
        "start_period: 60s, start_interval: 200ms}"
        for name, marker in MARKERS.items()
    },
}
LATER = ("often", "ended", "late", "after-late", "busy")
STACK = SERVICE + "".join(f"  {name}: {{<<: *service, {own}}}\n" for name, own in SERVICES.items())


@pytest.fixture(scope="module")
def made(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    with project(engine, tmp_path_factory.mktemp("probes"), {"compose.yaml": STACK}, COMPOSE_5) as made:
        made.compose("up", "-d", *(name for name in SERVICES if name not in LATER))
        yield made


def inspect(engine: Engine, made: Project, service: str) -> dict[str, Any]:
    found = engine.inspect(f"{made.name}-{service}-1")
    assert found
    return found


def probes(engine: Engine, made: Project, service: str) -> list[tuple[float, int]]:
    """Seconds from the start of the container, and the exit code."""
    state = inspect(engine, made, service)["State"]
    since = [
        (moment(one["Start"]) - moment(state["StartedAt"]), one["ExitCode"]) for one in state["Health"]["Log"]
    ]
    return [probe for probe in since if probe[0] > 0]


def test_the_first_probe_comes_after_one_interval(engine: Engine, made: Project) -> None:
    """slow-start-probe."""
    found = poll(lambda: (p := probes(engine, made, "interval"))[1:] and p, 30, "two probes", every=0.5)
    assert 3.9 < found[0][0] < 4 + busy()
    assert 3.9 < found[1][0] - found[0][0] < 4 + busy()


def test_start_interval_ends_with_the_start(engine: Engine, made: Project) -> None:
    """slow-start-probe, busy-probe: it is gone once init is healthy, or when start_period is over."""
    made.compose("up", "-d", "often", "ended")  # the engine keeps five probes: the failed ones are soon forgotten
    found = poll(
        lambda: (p := probes(engine, made, "often")) and p[-1][1] == 0 != p[0][1] and p, 30, "healthy", every=0.2
    )
    assert found[0][0] < 0.5 * (1 + busy()), "the first one does not wait for the interval"
    for name in ("often", "ended"):
        found = poll(
            lambda name=name: (p := probes(engine, made, name))[1:] and p[-1][0] - p[-2][0] > 3.9 and p,  # type: ignore[misc]
            30,
            f"{name}: an interval without a probe",
            every=0.5,
        )
        assert found[-2][0] < 3 * busy()


def test_a_failed_probe_counts_outside_the_start_period(engine: Engine, made: Project) -> None:
    """short-start-period."""
    covered, after = (inspect(engine, made, name)["State"] for name in ("covered", "after-covered"))
    taken = moment(after["StartedAt"]) - moment(covered["StartedAt"])
    assert 6 < taken < 6 + 3 * busy(), "more seconds than its retries, and fewer than its start_period"
    failed = made.compose("up", "-d", "after-late", check=False)
    assert failed.returncode == 1
    assert "late-1 is unhealthy" in failed.stderr
    assert not inspect(engine, made, "after-late")["State"]["Running"]
    health = lambda: inspect(engine, made, "late")["State"]["Health"]["Status"] == "healthy"  # noqa: E731
    assert not health(), "it gave up while init was still working"
    poll(health, 30, "init has finished", every=0.5)


def test_compose_asks_for_the_health_of_a_dependency_every_500_ms(made: Project, tmp_path: Path) -> None:
    """life-of-a-run."""
    made.compose("rm", "--stop", "--force", "covered", "after-covered")
    host, path = made.environment["DOCKER_HOST"], tmp_path / "docker.sock"
    with asked(host, path) as times:
        made.run("env", f"DOCKER_HOST=unix://{path}", "docker", "compose", "up", "-d", "after-covered")
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len([gap for gap in gaps if gap > 0.4]) >= 8, gaps
    assert 0.48 < statistics.median(gap for gap in gaps if gap > 0.1) < 0.5 + 0.1 * busy(), gaps


@contextmanager
def asked(host: str, path: Path) -> Iterator[list[float]]:
    """Another socket for the engine, and the moments at which a container's state is asked for through it."""
    times: list[float] = []

    def pass_on(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if re.match(rb"GET /\S*/containers/\w{64}/json ", data):
                    times.append(time.monotonic())
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, engine = listener.accept()[0], socket.socket(socket.AF_UNIX)
                engine.connect(host.removeprefix("unix://"))
                for ends in ((client, engine), (engine, client)):
                    threading.Thread(target=pass_on, args=ends, daemon=True).start()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        threading.Thread(target=serve, daemon=True).start()
        yield times
        listener.shutdown(socket.SHUT_RDWR)


def test_a_restart_keeps_the_writable_layer_alone(engine: Engine, made: Project) -> None:
    """fast-marker-probe."""
    for name in MARKERS:
        poll(lambda: 0 in [code for _, code in probes(engine, made, name)], 30, "healthy", every=0.2)  # noqa: B023
    made.run("docker", "restart", *(f"{made.name}-{name}-1" for name in MARKERS))
    first = {
        name: poll(lambda: probes(engine, made, name), 30, "a probe", every=0.05)[0][1]  # noqa: B023
        for name in MARKERS
    }
    assert first == {"layer": 0, "tmpfs": 1, "shm": 1}


def test_an_endless_sleep_ends_at_once(engine: Engine, made: Project) -> None:
    """endless-sleep-overflow."""
    poll(lambda: inspect(engine, made, "endless")["RestartCount"] > 1, 60, "it is restarted again", every=0.5)
    assert inspect(engine, made, "endless")["State"]["ExitCode"] == 1
    log = made.run("docker", "logs", f"{made.name}-endless-1").stderr
    assert log.count("OverflowError: timestamp") > 1


def test_a_probe_costs_far_more_than_its_command(engine: Engine, made: Project) -> None:
    """busy-probe."""
    made.compose("up", "-d", "busy")
    shim = int(_stat(inspect(engine, made, "busy")["State"]["Pid"])[1])

    def used() -> tuple[int, float]:
        """How many probes there were, and seconds of processor time of the container and of its shim."""
        stats = engine.get(f"/containers/{made.name}-busy-1/stats?stream=false&one-shot=true")
        ticks = sum(map(int, _stat(shim)[11:15])) / os.sysconf("SC_CLK_TCK")
        probes = made.folder / "data" / "probes"
        number = len(probes.read_text()) if probes.exists() else 0
        return number, stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9 + ticks

    before, cost = used()
    poll(lambda: used()[0] - before >= 30, 60, "thirty probes", every=0.5)
    after, costs = used()
    probe = (costs - cost) / (after - before)
    made.compose("stop", "--timeout", "0", "busy")

    loop = "i=0; while [ $i -lt 300 ]; do sh -c 'echo >> /tmp/probes'; i=$((i + 1)); done; times"
    times = made.run("docker", "exec", f"{made.name}-interval-1", "sh", "-c", loop).stdout
    minutes = re.findall(r"(\d+)m([\d.]+)s", times)
    command = sum(60 * int(minute) + float(second) for minute, second in minutes) / 300
    assert probe > 10 * command, f"{1000 * probe:.1f} ms, the command {1000 * command:.1f} ms"


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
