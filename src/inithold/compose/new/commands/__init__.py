"""What the commands of init services mean in a plan. One technology, one file; each is asked in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inithold.compose.new.commands import alembic, kafka, migrations, minio, other, rabbitmq, waits
from inithold.compose.new.commands.context import Place
from inithold.compose.new.model import Item
from inithold.compose.new.script import Call

READERS: tuple[Callable[[Call, Sequence[str], Place], list[Item] | None], ...] = (
    waits.read,
    other.read,
    alembic.read,
    rabbitmq.read,
    minio.read,
    kafka.read,
    migrations.read,
)
"""Each is given a call, its words without `exec`, `poetry run` and the like, and where it runs."""
