"""Small Alembic projects, as applications have them: the env.py files are those that `alembic init` writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inithold.steps.alembic import Upgrade
from inithold.testing import drive
from servers.postgresql import PostgreSQL

LOGGING = """
[loggers]
keys = root,sqlalchemy,alembic

[handlers]
keys = console

[formatters]
keys = generic

[logger_root]
level = WARNING
handlers = console
qualname =

[logger_sqlalchemy]
level = WARNING
handlers =
qualname = sqlalchemy.engine

[logger_alembic]
level = INFO
handlers =
qualname = alembic

[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic

[formatter_generic]
format = %(levelname)-5.5s [%(name)s] %(message)s
datefmt = %H:%M:%S
"""
INI = f"""[alembic]
script_location = %(here)s/migrations
prepend_sys_path = %(here)s
path_separator = os
sqlalchemy.url = driver://user:pass@localhost/dbname
{LOGGING}"""

_TOP = """
from logging.config import fileConfig

from alembic import context
from sqlalchemy import create_engine, engine_from_config, pool

config = context.config
if config.config_file_name is not None:
    fileConfig(config.config_file_name)
"""
SYNC_ENV = f"""{_TOP}
connectable = engine_from_config(
    config.get_section(config.config_ini_section, {{}}), prefix="sqlalchemy.", poolclass=pool.NullPool
)
with connectable.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
ASYNC_ENV = f"""
import asyncio
{_TOP}
from sqlalchemy.ext.asyncio import async_engine_from_config


def do_run_migrations(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()


async def run_async_migrations():
    connectable = async_engine_from_config(
        config.get_section(config.config_ini_section, {{}}), prefix="sqlalchemy.", poolclass=pool.NullPool
    )
    async with connectable.connect() as connection:
        await connection.run_sync(do_run_migrations)
    await connectable.dispose()


asyncio.run(run_async_migrations())
"""
OWN_URL_ENV = f"""{_TOP}
import os

with create_engine(os.environ["TEST_OWN_URL"], poolclass=pool.NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""


class AlembicProject:
    """A project in a folder.

    Args:
        folder: where alembic.ini goes.
        env: text of env.py.
        ini: text of alembic.ini.
    """

    def __init__(self, folder: Path, env: str = SYNC_ENV, ini: str = INI) -> None:
        self.folder = folder
        self.versions = folder / "migrations" / "versions"
        self.versions.mkdir(parents=True)
        self.ini = folder / "alembic.ini"
        self.ini.write_text(ini)
        self.env = folder / "migrations" / "env.py"
        self.env.write_text(env)
        self._last: str | None = None

    def revision(
        self,
        revision: str,
        message: str,
        *upgrade: str,
        down: str | tuple[str, ...] | None = None,
        **variables: Any,
    ) -> Path:
        """Add a revision after the one added before, or after `down`; `upgrade` are lines of Python."""
        down = down if down is not None else self._last
        self._last = revision
        body = "\n".join(f"    {line}" for line in upgrade or ("pass",))
        more = "\n".join(f"{name} = {value!r}" for name, value in variables.items())
        file = self.versions / f"{revision}_{message.replace(' ', '_')}.py"
        file.write_text(
            f'"""{message}"""\n\nimport sqlalchemy as sa\nfrom alembic import op\n\n'
            f"revision = {revision!r}\ndown_revision = {down!r}\n{more}\n\ndef upgrade():\n{body}\n"
        )
        return file

    def tables(self, *names: str) -> None:
        """Add a revision for each table: 0001 add users, 0002 add games."""
        for number, name in enumerate(names, 1):
            self.revision(f"000{number}", f"add {name}", table(name))

    def upgrade(self, url: str | None = None, **fields: Any) -> Upgrade:
        """The step."""
        return Upgrade(config=str(self.ini), url=url, **fields)


def table(name: str) -> str:
    """A line that makes a table."""
    return f'op.create_table("{name}", sa.Column("id", sa.Integer, primary_key=True))'


def tables_in(postgresql: PostgreSQL, url: str) -> set[str]:
    """The tables of a database, in whatever schema."""
    rows = postgresql.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
        name_of(url),
    )
    return {row[0] for row in rows}


def name_of(url: str) -> str:
    """The database that a URL names."""
    return url.partition("?")[0].rpartition("/")[2]


def failure(step: Upgrade) -> tuple[str, str | None]:
    """Message and hint of a step that fails."""
    driven = drive(step)
    assert driven.outcome == "failed", driven.finished
    return driven.reason, driven.finished.hint
