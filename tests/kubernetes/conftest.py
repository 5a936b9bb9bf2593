"""A PostgreSQL and a RabbitMQ as the manifests name them, and containers of the manifests on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

import pytest
from kubernetes_validate import utils

from kubernetes.manifests import PASSWORDS, Manifests
from kubernetes.sandbox import Sandbox
from kubernetes.servers import Make, Servers
from servers.inithold import Inithold
from servers.postgresql import PostgreSQL
from servers.rabbitmq import RabbitMQ

# It reads all definitions of a version again, megabytes, for each document.
utils.schema_contents = cache(utils.schema_contents)


@pytest.fixture(scope="package")
def started() -> Iterator[Servers]:
    user, database, broker = "scheduler", PASSWORDS["database-password"], PASSWORDS["rabbitmq-password"]
    with PostgreSQL(user=user, password=database) as postgres, RabbitMQ(user=user, password=broker) as rabbit:
        yield Servers(postgres, rabbit)


@pytest.fixture
def servers(started: Servers) -> Servers:
    """As they are when the StatefulSets have just come up: an empty database, an empty broker."""
    started.postgres.drop_database("scheduler")
    started.postgres.create_database("scheduler")
    started.rabbit.delete_vhost("/")
    started.rabbit.create_vhost("/")
    return started


@pytest.fixture
def make(run_inithold: Inithold, servers: Servers) -> Make:
    def sandbox(
        manifests: Manifests,
        name: str,
        passwords: Mapping[str, str] = PASSWORDS,
        *,
        shared: bool = False,
        **variables: str,
    ) -> Sandbox:
        pod, given = manifests.pod(name), servers.ports | variables
        return Sandbox(run_inithold, manifests, pod, given, passwords, shared=shared)

    return sandbox
