"""One run of the application's env.py, as `alembic current` and `alembic upgrade` do it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from configparser import InterpolationError
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from inithold.errors import NotYet, Rejected, StepError, StepFailed
from inithold.process.capture import take_handlers_over
from inithold.steps.alembic import failures
from inithold.steps.alembic.driver import DRIVERS, answers
from inithold.steps.alembic.fast_check import NO_REVISION
from inithold.steps.alembic.project import PERCENT, Project
from inithold.steps.alembic.revisions import named
from inithold.steps.alembic.sessions import Watch, watching
from inithold.steps.base import WorkerContext

if TYPE_CHECKING:
    from alembic.runtime.environment import EnvironmentContext
    from alembic.runtime.migration import MigrationContext, RevisionStep
    from sqlalchemy.engine import URL, Connection

Heads = tuple[str, ...]


class Seen(NamedTuple):
    """A database that env.py showed to Alembic.

    Attributes:
        heads: the revisions it is at.
        url: what the engine was made with, None where there is none.
        version_table: name of Alembic's table in it.
        schema: where that is, None for the default.
    """

    heads: Heads
    url: URL | None
    version_table: str
    schema: str | None


def _listen() -> None:
    """Alembic's lines reach the log whatever env.py has made of logging."""
    take_handlers_over()
    logger = logging.getLogger("alembic")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)


class Run:
    """One run of env.py.

    Args:
        project: whose.
        context: of the step.
    """

    def __init__(self, project: Project, context: WorkerContext) -> None:
        self._project = project
        self._context = context
        self._choose: Callable[[Seen], Sequence[RevisionStep]] = lambda _: ()
        self._step: RevisionStep | None = None
        self._migration: MigrationContext | None = None
        self._seen: list[Seen] = []

    def look(self) -> tuple[Seen, ...]:
        """Find out where the databases are; Alembic writes nothing."""
        return self._run(dont_mutate=True)

    def upgrade(self, choose: Callable[[Seen], Sequence[RevisionStep]]) -> tuple[Seen, ...]:
        """Apply revisions.

        Args:
            choose: gives them, first to last, for a database.
        """
        self._choose = choose
        return self._run()

    def _run(self, **options: Any) -> tuple[Seen, ...]:
        from alembic.runtime.environment import EnvironmentContext  # noqa: PLC0415 - slow

        project = self._project
        environment = EnvironmentContext(
            project.config, project.script, fn=self._migrate, destination_rev=project.target, tag=None, **options
        )
        with self._context.user_code(), watching(self._context) as watch:
            self._hook(environment)
            try:
                with environment, _event_loop(project):
                    project.script.run_env()
            except BaseException as error:
                # env.py may end in anything: SystemExit, a cancelled task, a group of exceptions.
                self._context.check_cancelled()
                raise self._explained(error, watch) from error
            self._context.check_cancelled()
        if not self._seen:
            raise StepFailed(
                f"{project.env} ran no migrations: it did not call context.run_migrations()",
                hint="alembic current must work in the same place with the same variables",
            )
        return tuple(self._seen)

    def _hook(self, environment: EnvironmentContext) -> None:
        """See env.py call `context.configure`: by then it has configured logging."""
        configure = environment.configure

        def configured(*arguments: Any, **options: Any) -> None:
            _listen()
            configure(*arguments, **options)
            self._migration = environment.get_context()

        # What env.py calls is looked up on this very object when it is entered.
        environment.configure = configured  # type: ignore[method-assign]

    def _migrate(self, heads: Heads | str | None, migration: MigrationContext) -> Iterator[RevisionStep]:
        _listen()
        heads = (heads,) if isinstance(heads, str) else tuple(heads or ())
        url = getattr(getattr(migration.connection, "engine", None), "url", None)
        database = Seen(heads, url, migration.version_table, migration.version_table_schema)
        self._seen.append(database)
        for step in self._choose(database):
            self._context.check_cancelled()
            self._step = step
            yield step
        self._step = None

    # -- what went wrong

    def _explained(self, error: BaseException, watch: Watch) -> StepError:
        if isinstance(error, StepError):
            return error
        told = failures.server_error(error, connecting=self._migration is None)
        if self._step is not None:
            return self._revision_failed(self._step, error, told)
        if told is not None and not self._seen and self._migration is None:
            return self._connecting_failed(told, watch)
        if told is not None:
            place = "" if self._project.address is None else f"{self._project.address.shown}: "
            if told.verdict == "not yet":
                return NotYet(f"{place}{told.words}")
            return StepFailed(f"{place}{told.words}", hint=failures.AS_ALEMBIC)
        return self._env_failed(error)

    def _revision_failed(
        self, step: RevisionStep, error: BaseException, told: failures.ServerError | None
    ) -> StepError:
        script = self._project.script
        title = f"revision {named(step.revision)}"
        if told is None:
            seen = failures.at(error, script.dir, script._version_locations)
            return StepFailed(f"{title} failed: {seen}", hint=self._left_behind())
        if told.verdict == "not yet":
            return NotYet(f"{title} was not finished: {told.words}")
        place = failures.place_of(error, script.dir, script._version_locations)
        where = f" at {place}" if place else ""
        return StepFailed(f"{title} failed{where}: {told.words}", hint=self._left_behind())

    def _left_behind(self) -> str:
        migration = self._migration
        if migration is None or migration.impl.transactional_ddl:
            return "fix the revision, or the data it meets; what it did in its transaction was rolled back"
        return (
            "this database cannot roll back DDL: what the revision did before it failed stays; "
            "look at its tables before trying again"
        )

    def _connecting_failed(self, told: failures.ServerError, watch: Watch) -> StepError:
        address = self._project.address
        if address is not None and watch.place in (None, address.probe):
            try:
                asked = answers(address, self._context)
            except (NotYet, Rejected, StepFailed) as clearer:
                return clearer
            if not asked or told.verdict != "not yet":
                return failures.connecting_failed(told, address.shown, address.probe)
            return NotYet(f"{address.shown}: {told.words}")
        place = f"{watch.place[0]}:{watch.place[1]}" if watch.place else "its database"
        return failures.connecting_failed(told, f"env.py's own connection to {place}", watch.place)

    def _env_failed(self, error: BaseException) -> StepError:
        hint = failures.AS_ALEMBIC
        if isinstance(error, ModuleNotFoundError):
            hint = "is it installed here? prepend_sys_path in the ini file, or PYTHONPATH, adds folders to look in"
        elif isinstance(error, InterpolationError):
            hint = PERCENT
        return StepFailed(f"env.py failed: {failures.at(error, self._project.script.dir)}", hint=hint)


@contextmanager
def _event_loop(project: Project) -> Iterator[None]:
    """Give an env.py that asks for the event loop one, as the main thread of a process has it."""
    if not project.asynchronous:
        yield
        return
    import asyncio  # noqa: PLC0415 - slow, and few projects need it

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def shown(heads: Heads) -> str:
    """Where a database is, for people."""
    return ", ".join(sorted(heads)) or NO_REVISION


def heads_at(project: Project, seen: Seen, context: WorkerContext) -> Heads:
    """Read, over a connection of our own, where the database at the project's URL is.

    Raises:
        NotYet, Rejected, StepFailed: it cannot be reached.
    """
    from sqlalchemy import create_engine, make_url, pool  # noqa: PLC0415 - slow

    url = make_url(project.url or "")
    drivers = {driver.name: driver for driver in DRIVERS[url.get_backend_name()]}
    with watching(context):
        try:
            if (driver := drivers.get(url.get_driver_name())) is None or driver.blocking:
                with create_engine(url, poolclass=pool.NullPool).connect() as connection:
                    return _heads(connection, seen)
            return _heads_asynchronously(url, seen)
        except Exception as error:
            context.check_cancelled()
            told = failures.server_error(error, connecting=True)
            if told is None or project.address is None:
                raise
            raise failures.connecting_failed(told, project.address.shown, project.address.probe) from error


def _heads_asynchronously(url: URL, seen: Seen) -> Heads:
    import asyncio  # noqa: PLC0415 - slow, and few projects need it
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    from sqlalchemy import pool  # noqa: PLC0415 - slow
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415 - slow

    async def ask() -> Heads:
        async with create_async_engine(url, poolclass=pool.NullPool).connect() as connection:
            return await connection.run_sync(_heads, seen)

    # In a thread: env.py may be running a loop in this one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, ask()).result()


def _heads(connection: Connection, seen: Seen) -> Heads:
    from alembic.runtime.migration import MigrationContext  # noqa: PLC0415 - slow

    options = {"version_table": seen.version_table, "version_table_schema": seen.schema}
    return tuple(MigrationContext.configure(connection, opts=options).get_current_heads())


def uses_url(project: Project, seen: Seen) -> bool:
    """Whether an engine was made with the very URL that env.py was given, so that there is no doubt."""
    from sqlalchemy import make_url  # noqa: PLC0415 - slow

    return seen.url is not None and project.url is not None and _place(seen.url) == _place(make_url(project.url))


def _place(url: URL) -> tuple[object, ...]:
    query = tuple(url.query.get(name) for name in ("host", "port", "unix_socket", "options"))
    return url.get_backend_name(), url.host, url.port, url.database, query
