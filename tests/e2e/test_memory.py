"""Memory of init while it holds, beside a bare pause process and the pattern written by hand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.engine import REPOSITORY, Engine, poll
from e2e.images import Images
from e2e.stack import Stack

MIB = 1024 * 1024
LIMIT = 3.0
"""MiB that `docker stats` may show: kernel memory of the run is in it, 2.5 MiB of names of the files it opened."""


def anonymous(engine: Engine, container: str) -> float:
    """MiB of anonymous memory of all processes of a container."""
    listed = engine.get(f"/containers/{container}/top?ps_args=-eo+pid")
    rollups = [Path(f"/proc/{row[0]}/smaps_rollup").read_text() for row in listed["Processes"]]
    return (
        sum(int(size) for rollup in rollups for size in re.findall(r"^Anonymous:\s+(\d+) kB", rollup, re.M)) / 1024
    )


def shown(engine: Engine, container: str) -> float:
    """MiB as `docker stats` shows them: the usage of the cgroup less its inactive files."""
    memory = engine.get(f"/containers/{container}/stats?stream=false&one-shot=true")["memory_stats"]
    stats = memory["stats"]
    return float(memory["usage"] - stats.get("total_inactive_file", stats.get("inactive_file", 0))) / MIB


@pytest.fixture
def bare(engine: Engine, images: Images) -> Iterator[str]:
    """A container of `catatonit -P` and nothing else."""
    container = engine.docker("run", "-d", "--no-healthcheck", "--entrypoint", "catatonit", images.inithold, "-P")
    yield container
    engine.docker("rm", "-f", container)


@pytest.fixture
def by_hand(running: Stack) -> Iterator[str]:
    """The init service of benchmarks/handwritten, on the same servers, with the environment of our own."""
    environment = [f"--env={pair}" for pair in running.inspect("init")["Config"]["Env"]]
    script = REPOSITORY / "benchmarks" / "handwritten" / "main.py"
    mounted = [
        "--network",
        f"{running.project}_game-scheduler",
        "-v",
        f"{script}:/by-hand.py:ro",
        "--tmpfs",
        "/tmp",
    ]
    container = running.engine.docker(
        "run",
        "-d",
        *mounted,
        *environment,
        "-e",
        "PYTHONPATH=/app",
        running.images.example,
        "python",
        "/by-hand.py",
    )
    marker = ("docker", "exec", container, "test", "-e", "/tmp/init-complete")
    poll(
        lambda: running.engine.run(*marker, check=False).returncode == 0, 60, "the one by hand is ready", every=0.3
    )
    yield container
    running.engine.docker("rm", "-f", container)


def test_memory_while_holding(running: Stack, bare: str, by_hand: str) -> None:
    engine = running.engine
    charged = [shown(engine, running.container("init"))]
    # The first container that reads a file is charged for its pages in the machine's page cache, which all that
    # read them later share, as the dependents do. One that comes later shows what is init's own.
    while charged[-1] > LIMIT and len(charged) < 5:
        running.compose("up", "-d", "--wait", "--force-recreate", "--no-deps", "init")
        charged.append(shown(engine, running.container("init")))
    containers = {"inithold": running.container("init"), "catatonit -P": bare, "by hand": by_hand}
    found = {name: (anonymous(engine, one), shown(engine, one)) for name, one in containers.items()}
    print(
        json.dumps({name: f"{a:.2f} MiB anonymous, {s:.2f} MiB shown" for name, (a, s) in found.items()}, indent=1)
    )
    print("shown of one init after the other:", ", ".join(f"{each:.2f} MiB" for each in charged))
    assert 0 < found["inithold"][0] <= 0.5
    assert found["inithold"][1] <= LIMIT
    assert found["inithold"][0] <= found["catatonit -P"][0] + 0.1
    assert found["by hand"][0] > 20 * found["inithold"][0]


def test_the_environment_is_empty_while_holding(running: Stack) -> None:
    assert running.exec("init", "cat", "/proc/1/environ").stdout == ""
