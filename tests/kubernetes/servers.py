"""The servers of the manifests, and what makes containers that find them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kubernetes.sandbox import Sandbox
from servers.postgresql import PostgreSQL
from servers.rabbitmq import RabbitMQ

Make = Callable[..., Sandbox]


@dataclass
class Servers:
    """What the StatefulSets are: each with the user, the password and the names of the manifests."""

    postgres: PostgreSQL
    rabbit: RabbitMQ

    @property
    def ports(self) -> dict[str, str]:
        """All that differs from the manifests."""
        return {
            "DATABASE_PORT": str(self.postgres.port),
            "BROKER_PORT": str(self.rabbit.port),
            "MANAGEMENT_PORT": str(self.rabbit.management_port),
        }

    def tables(self) -> set[str]:
        rows = self.postgres.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", "scheduler")
        return {row[0] for row in rows}

    def queues(self) -> set[str]:
        return {queue["name"] for queue in self.rabbit.api("GET", "/api/queues/%2F")}
