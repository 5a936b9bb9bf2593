"""Runs the application's env.py as `alembic current` and `alembic upgrade` do."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from configparser import InterpolationError
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from inithold.errors import NotYet, Rejected, StepError, StepFailed
from inithold.process.capture import take_handlers_over
from inithold.steps.alembic import failures, leftover
from inithold.steps.alembic.driver import DRIVERS, answers
from inithold.steps.alembic.fast_check import NO_REVISION
from inithold.steps.alembic.project import PERCENT, Project
from inithold.steps.alembic.revisions import folders, named
from inithold.steps.alembic.sessions import Watch, watching
from inithold.steps.base import WorkerContext

if TYPE_CHECKING:
    from alembic.runtime.migration import MigrationContext, RevisionStep
    from sqlalchemy.engine import URL, Connection

Heads = tuple[str, ...]
_INSTALL = "is it installed here? prepend_sys_path in the ini file, or PYTHONPATH, adds folders to look in"


class Database(NamedTuple):
    """A database on which env.py called `run_migrations`.

    Attributes:
        heads: its current revisions.
        url: the URL of the engine, if there is one.
        version_table: name of Alembic's version table in it.
        schema: of that table; None for the default.
    """

    heads: Heads
    url: URL | None
    version_table: str
    schema: str | None


class Run:
    """One run of env.py."""

    def __init__(self, project: Project, context: WorkerContext) -> None:
        self._project = project
        self._context = context
        self._choose: Callable[[Database], Sequence[RevisionStep]] = lambda _: ()
        self._step: RevisionStep | None = None
        self._migration: MigrationContext | None = None
        self._databases: list[Database] = []

    def run(self, choose: Callable[[Database], Sequence[RevisionStep]] | None = None) -> tuple[Database, ...]:
        """Return the databases, with their current revisions; apply those that `choose` returns, in order.

        Without `choose`, Alembic writes nothing.
        """
        from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415 - slow

        project = self._project
        self._choose = choose or self._choose
        options = {} if choose else {"dont_mutate": True}
        environment = EnvironmentContext(
            project.config, project.script, fn=self._migrate, destination_rev=project.target, tag=None, **options
        )
        configure = environment.configure

        def configured(*arguments: Any, **options: Any) -> None:
            # env.py has configured logging before this call.
            _listen()
            configure(*arguments, **options)
            self._migration = environment.get_context()
            if choose is not None:
                # Before Alembic reads the version table.
                leftover.wait_for(self._migration, self._context)

        # Entering the context exports the methods of this object as those of `alembic.context`.
        environment.configure = configured  # type: ignore[method-assign]
        with self._context.user_code(), watching(self._context) as watch:
            try:
                with environment, _event_loop(project):
                    project.script.run_env()
            except BaseException as error:
                # env.py may raise anything: SystemExit, a cancelled task, an exception group.
                self._context.check_cancelled()
                raise self._explained(error, watch) from error
            self._context.check_cancelled()
        if not self._databases:
            raise StepFailed(
                f"{project.env} ran no migrations: it did not call context.run_migrations()",
                hint=failures.AS_ALEMBIC,
            )
        return tuple(self._databases)

    def _migrate(self, heads: Heads | str | None, migration: MigrationContext) -> Iterator[RevisionStep]:
        _listen()
        heads = (heads,) if isinstance(heads, str) else tuple(heads or ())
        url = getattr(getattr(migration.connection, "engine", None), "url", None)
        database = Database(heads, url, migration.version_table, migration.version_table_schema)
        self._databases.append(database)
        for step in self._choose(database):
            self._context.check_cancelled()
            self._step = step
            yield step
        self._step = None

    # -- what went wrong

    def _explained(self, error: BaseException, watch: Watch) -> StepError:
        if isinstance(error, StepError):
            return error
        server_error = failures.server_error(error, connecting=self._migration is None)
        if self._step is not None:
            return self._revision_failed(self._step, error, server_error)
        if server_error is None:
            hint = failures.AS_ALEMBIC
            if isinstance(error, ModuleNotFoundError):
                hint = _INSTALL
            elif isinstance(error, InterpolationError):
                hint = PERCENT
            return StepFailed(f"env.py failed: {failures.at(error, self._project.script.dir)}", hint=hint)
        address = self._project.address
        if self._migration is not None:
            message = f"{address.shown}: {server_error.words}" if address else server_error.words
            if server_error.verdict == "not yet":
                return NotYet(message)
            return StepFailed(message, hint=failures.AS_ALEMBIC)
        if address is None or watch.place not in (None, address.probe):
            place = f"{watch.place[0]}:{watch.place[1]}" if watch.place else "its database"
            return failures.connecting_failed(server_error, f"env.py's own connection to {place}", watch.place)
        try:
            # inithold's own driver gives exact reasons why it cannot connect.
            answered = answers(address, self._context)
        except (NotYet, Rejected, StepFailed) as clearer:
            return clearer
        if answered and server_error.verdict == "not yet":
            return NotYet(f"{address.shown}: {server_error.words}")
        return failures.connecting_failed(server_error, address.shown, address.probe)

    def _revision_failed(
        self, step: RevisionStep, error: BaseException, server_error: failures.ServerError | None
    ) -> StepError:
        script, title = self._project.script, f"revision {named(step.revision)}"
        if server_error is not None and server_error.verdict == "not yet":
            return NotYet(f"{title} was not finished: {server_error.words}")
        hint = "fix the revision, or the data it meets; what it did in its transaction was rolled back"
        if self._migration is not None and not self._migration.impl.transactional_ddl:
            hint = (
                "this database cannot roll back DDL: what the revision did before it failed stays; "
                "look at its tables before trying again"
            )
        if server_error is None:
            what = failures.at(error, script.dir, folders(script))
            return StepFailed(f"{title} failed: {what}", hint=hint)
        place = failures.place_of(error, script.dir, folders(script))
        return StepFailed(f"{title} failed{f' at {place}' if place else ''}: {server_error.words}", hint=hint)


def _listen() -> None:
    """Get Alembic's log lines into the step's log, however env.py has configured logging."""
    take_handlers_over()
    logger = logging.getLogger("alembic")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


@contextmanager
def _event_loop(project: Project) -> Iterator[None]:
    """Set an event loop for an env.py that calls `get_event_loop`, which works in a process's main thread."""
    if not project.asynchronous:
        yield
        return
    import asyncio  # noqa: PLC0415 - slow, and few projects need it

    with closing(asyncio.new_event_loop()) as loop:
        asyncio.set_event_loop(loop)
        try:
            yield
        finally:
            asyncio.set_event_loop(None)


def shown(heads: Heads) -> str:
    """Return the current revisions of a database for messages."""
    return ", ".join(sorted(heads)) or NO_REVISION


def heads_at(project: Project, database: Database, context: WorkerContext) -> Heads:
    """Read the current revisions of the database at the project's URL over a connection of our own.

    Args:
        project: whose env.py connected to another database.
        database: that other database; its version table's name is used.
        context: of the step.

    Raises:
        NotYet, Rejected, StepFailed: it cannot be reached.
    """
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - slow
    from sqlalchemy import create_engine, make_url, pool  # noqa: PLC0415 - slow

    url = make_url(project.url or "")
    options = {"version_table": database.version_table, "version_table_schema": database.schema}

    def heads(connection: Connection) -> Heads:
        return tuple(MigrationContext.configure(connection, opts=options).get_current_heads())

    async def ask() -> Heads:
        from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - slow

        async with create_async_engine(url, poolclass=pool.NullPool).connect() as connection:
            return await connection.run_sync(heads)

    blocking = {driver.name: driver.blocking for driver in DRIVERS[url.get_backend_name()]}
    with watching(context):
        try:
            if not blocking.get(url.get_driver_name(), True):
                import asyncio  # noqa: PLC0415 - slow, and few projects need it
                from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

                # In a thread, because env.py may be running an event loop in this one.
                with ThreadPoolExecutor(1) as thread:
                    return thread.submit(asyncio.run, ask()).result()
            with create_engine(url, poolclass=pool.NullPool).connect() as connection:
                return heads(connection)
        except Exception as error:
            context.check_cancelled()
            server_error = failures.server_error(error, connecting=True)
            if server_error is None or project.address is None:
                raise
            raise failures.connecting_failed(server_error, project.address.shown, project.address.probe) from error


def uses_url(project: Project, database: Database) -> bool:
    """Whether env.py's engine certainly uses the URL it was given."""
    from sqlalchemy import make_url  # noqa: PLC0415 - slow

    def place(url: URL) -> tuple[object, ...]:
        query = tuple(url.query.get(name) for name in ("host", "port", "unix_socket", "options"))
        return url.get_backend_name(), url.host, url.port, url.database, query

    if database.url is None or project.url is None:
        return False
    return place(database.url) == place(make_url(project.url))
