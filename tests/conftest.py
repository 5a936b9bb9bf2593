"""Fixtures: real servers, shared by the workers of a run, and inithold as a process.

A test gets a database or a virtual host of its own on a shared server. One that stops or kills a server starts its
own: `with PostgreSQL() as server:`.
"""

from __future__ import annotations

import gc
import os
import platform
import signal
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inithold.redaction.redact import SECRETS
from servers import dns
from servers.inithold import Inithold
from servers.mariadb import MariaDB
from servers.otlp import Collector
from servers.postgresql import PostgreSQL
from servers.programs import MissingProgram
from servers.rabbitmq import RabbitMQ
from servers.redis import Redis
from servers.run import end_run, run_folder
from servers.seaweedfs import SeaweedFS
from servers.sharing import shared

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def pytest_configure(config: pytest.Config) -> None:
    """Make the run's folder before workers start: they inherit its name.

    Started by nohup, or in the background of a script, they ignore these signals, and what tests start would, too.
    """
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    run_folder()


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect the tests' own garbage alone: looking through all that was collected takes each worker seconds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the shared servers; in a worker this does nothing."""
    end_run()


@dataclass(frozen=True)
class Vhost:
    """An empty virtual host of a test's own."""

    name: str
    url: str
    """amqp://..."""
    management_url: str
    """http://... of the whole broker, with user and password"""
    server: RabbitMQ


@pytest.fixture(scope="session")
def postgresql() -> PostgreSQL:
    """The run's PostgreSQL, shared: not to be stopped."""
    return replace(shared(PostgreSQL), is_shared=True)


@pytest.fixture
def database(postgresql: PostgreSQL) -> Iterator[str]:
    """The URL of an empty PostgreSQL database of the test's own, as its superuser."""
    dsn = postgresql.create_database()
    yield dsn
    postgresql.drop_database(dsn.rpartition("/")[2])


@pytest.fixture(scope="session")
def rabbitmq() -> RabbitMQ:
    """The run's RabbitMQ, shared: not to be stopped."""
    return shared(RabbitMQ)


@pytest.fixture
def vhost(rabbitmq: RabbitMQ) -> Iterator[Vhost]:
    """An empty virtual host of the test's own."""
    name = rabbitmq.create_vhost()
    yield Vhost(name, rabbitmq.url(name), rabbitmq.management_url(), rabbitmq)
    rabbitmq.delete_vhost(name)


@pytest.fixture(scope="session")
def mariadb() -> MariaDB:
    """The run's MariaDB, shared: not to be stopped."""
    return shared(MariaDB)


@pytest.fixture
def no_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """No certificates of authorities: PyMySQL reads the system's for each connection, 25 ms of processor time."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)


@pytest.fixture
def mysql_database(mariadb: MariaDB, no_authorities: None) -> Iterator[str]:
    """The URL of an empty MariaDB database of the test's own."""
    url = mariadb.create_database()
    yield url
    mariadb.drop_database(url.rpartition("/")[2])


@pytest.fixture(scope="session")
def redis_server() -> Redis:
    """The run's Redis, shared: not to be stopped."""
    return shared(Redis)


@pytest.fixture(scope="session")
def seaweedfs() -> SeaweedFS:
    """The run's server of the S3 API, shared: not to be stopped."""
    return shared(SeaweedFS)


@pytest.fixture
def otlp() -> Iterator[Collector]:
    """An OTLP collector of the test's own, over http/protobuf and gRPC."""
    with Collector() as collector:
        yield collector


@pytest.fixture
def resolver() -> Iterator[dns.Resolver]:
    """A DNS server of the test's own; needs root on Linux."""
    if not dns.available():
        pytest.skip("a resolver of a process's own needs root, and leave to mount, on Linux")
    with dns.Resolver() as own:
        yield own


@pytest.fixture
def run_inithold(tmp_path: Path) -> Iterator[Inithold]:
    """Runs inithold as a process in `tmp_path`, in a clean environment; what is left after the test is ended."""
    runner = Inithold(tmp_path)
    yield runner
    runner.end_all()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium, without a window."""
    from servers import chromium  # Playwright is not in every environment that runs tests

    try:
        path = chromium.executable()
    except MissingProgram:
        # On Debian tests/install-servers brings it; Ubuntu has it as a snap only, which no container can run.
        if platform.system() == "Linux" and platform.freedesktop_os_release()["ID"] == "debian":
            raise
        pytest.skip("no Chromium or Chrome is installed")
    with chromium.chromium(path) as running:
        yield running


@pytest.fixture(autouse=True)
def _secrets_of_this_test_alone() -> Iterator[None]:
    """Forget afterwards what a test gave as secrets: they would be masked in the texts of the next."""
    values, public = set(SECRETS._values), set(SECRETS._public)
    yield
    SECRETS._values, SECRETS._public, SECRETS._stale = values, public, True


@pytest.fixture(autouse=True)
def _environment_without_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the settings of whoever runs the tests out of them."""
    for name in os.environ:
        if name.startswith(("INITHOLD_", "OTEL_")) and not name.startswith("INITHOLD_TEST_"):
            monkeypatch.delenv(name)
