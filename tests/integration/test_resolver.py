"""A name that does not resolve is "not yet", whatever the resolver says of it, for every kind that connects.

The engine's DNS answers a stopped service and a misspelt one alike, so that neither can be told from one that is
about to start.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from servers.dns import Resolver
from servers.mariadb import MariaDB
from servers.postgresql import PostgreSQL
from servers.rabbitmq import RabbitMQ
from servers.redis import Redis

NAME = "service.test"
SAYS = {
    "NXDOMAIN": "the name does not resolve",
    "SERVFAIL": "the resolver has no answer at the moment",
    "REFUSED": "the resolver has no answer at the moment",
    "NODATA": "the name has no address",
}

CHECK = """
import json, sys
from inithold.errors import StepError
from inithold.steps.registry import load
from inithold.testing import check
kind, fields = sys.argv[1:]
try:
    changes = check(load(kind)(**json.loads(fields)))
    print(json.dumps({"error": None, "changes": list(map(str, changes))}))
except StepError as error:
    found = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
    print(json.dumps(found | {"probe": getattr(error, "probe", None)}))
"""

DRIVE = """
import json, sys
from inithold.steps.registry import load
from inithold.testing import drive
kind, fields, timeout = sys.argv[1:]
result = drive(load(kind)(**json.loads(fields)), timeout=float(timeout))
print(json.dumps({"outcome": result.outcome, "reason": result.reason, "hint": result.finished.hint,
    "waited_for": result.waited_for}))
"""

KINDS: dict[str, dict[str, Any]] = {
    "tcp.ready": {"address": f"{NAME}:5432"},
    "http.ready": {"url": f"https://{NAME}/health"},
    "redis.ready": {"url": f"redis://{NAME}"},
    "rabbitmq.ready": {"url": f"amqp://{NAME}"},
}
DATABASES = [f"postgresql://app:pw@{NAME}/games", f"mysql://app:pw@{NAME}/games"]
CASES = [*KINDS.items(), *(("database.ready", {"url": url}) for url in DATABASES)]


def ask(resolver: Resolver, program: str, *arguments: str, seconds: float = 60) -> dict[str, Any]:
    """Run a program of ours with this resolver and return what it prints."""
    command = [*resolver.prefix, sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("answer", SAYS)
@pytest.mark.parametrize(("kind", "fields"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_each_error_of_the_resolver_is_not_yet(
    resolver: Resolver, kind: str, fields: dict[str, Any], answer: str
) -> None:
    resolver.answers[NAME] = answer
    found = ask(resolver, CHECK, kind, json.dumps(fields))
    assert found["error"] == "NotYet", found
    assert found["message"].endswith(f": {SAYS[answer]}"), found
    assert found["message"].startswith(f"{NAME}:")
    assert found["probe"] is not None and found["probe"][0] == NAME
    assert "misspelled" in found["hint"]
    assert NAME in resolver.queries


@pytest.mark.parametrize(("kind", "fields"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_a_resolver_that_does_not_answer_is_not_yet(resolver: Resolver, kind: str, fields: dict[str, Any]) -> None:
    resolver.answers[NAME] = "NEVER"
    found = ask(resolver, CHECK, kind, json.dumps(fields))
    assert found["error"] == "NotYet", found
    assert found["message"].startswith(f"{NAME}:")
    assert "resolver" in found["message"]
    assert found["probe"][0] == NAME


def test_a_resolver_that_takes_for_ever_does_not_take_the_steps_time(resolver: Resolver) -> None:
    # As resolv.conf has it by default: two tries of 5 s.
    patient = Resolver(answers={NAME: "NEVER"}, options="timeout:5 attempts:2")
    with patient:
        began = time.monotonic()
        found = ask(patient, DRIVE, "tcp.ready", json.dumps({"address": f"{NAME}:80"}), "1.5")
        assert time.monotonic() - began < 6
    assert found["outcome"] == "failed"
    assert found["reason"].startswith("its time (1.5s) is up: ")
    assert "the resolver does not answer" in found["reason"]


def test_a_waiting_step_says_after_five_seconds_that_the_name_may_be_misspelt(resolver: Resolver) -> None:
    found = ask(resolver, DRIVE, "tcp.ready", json.dumps({"address": f"{NAME}:80"}), "5.6")
    assert found["outcome"] == "failed"
    assert "misspelled" in found["hint"]
    # Probed all the while, not asked twice.
    assert resolver.queries.count(NAME) > 20


@dataclass
class Service:
    kind: str
    fields: dict[str, Any]


@pytest.fixture
def services(
    postgresql: PostgreSQL,
    mariadb: MariaDB,
    rabbitmq: RabbitMQ,
    redis_server: Redis,
    database: str,
    mysql_database: str,
) -> Iterator[list[Service]]:
    """The real servers under a name."""

    def named(url: str) -> str:
        return url.replace("127.0.0.1", NAME).replace("localhost", NAME)

    yield [
        Service("tcp.ready", {"address": f"{NAME}:{redis_server.port}"}),
        Service("redis.ready", {"url": named(redis_server.url())}),
        Service("database.ready", {"url": named(database)}),
        Service("database.ready", {"url": named(mysql_database)}),
        Service("rabbitmq.ready", {"url": named(rabbitmq.url())}),
    ]


def test_a_name_that_resolves_later_is_noticed(
    resolver: Resolver, services: list[Service], tmp_path: Path
) -> None:
    """The same for all: at first each error in turn, then the address."""
    processes = []
    resolver.answers[NAME] = "SERVFAIL"
    for index, service in enumerate(services):
        output = (tmp_path / f"{index}.json").open("w+")
        command = [*resolver.prefix, sys.executable, "-c", DRIVE, service.kind, json.dumps(service.fields), "60"]
        processes.append((service, output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)))
    try:
        for answer in ("SERVFAIL", "NXDOMAIN", "NODATA", "REFUSED"):
            resolver.answers[NAME] = answer
            time.sleep(1)
        assert all(process.poll() is None for _, _, process in processes), "nobody gives up meanwhile"
        resolver.answers[NAME] = "127.0.0.1"
        for service, output, process in processes:
            process.wait(timeout=60)
            output.seek(0)
            text = output.read()
            with suppress(ValueError, IndexError):
                found = json.loads(text.splitlines()[-1])
                assert found["outcome"] == "unchanged", f"{service}: {found}"
                continue
            raise AssertionError(f"{service}: {text}")
    finally:
        for _, output, process in processes:
            process.kill()
            process.wait()
            output.close()
