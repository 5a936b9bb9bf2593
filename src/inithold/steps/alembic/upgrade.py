"""`alembic.upgrade`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from inithold.errors import NotYet, StepFailed
from inithold.net.dial import dial
from inithold.steps.address import Address, parse
from inithold.steps.addressed import Addressed
from inithold.steps.alembic import fast_check
from inithold.steps.alembic.driver import DRIVERS, answers, installed, preferred
from inithold.steps.base import Change, StepContext, WorkerContext
from inithold.steps.database.driver import library, load_driver

if TYPE_CHECKING:
    from alembic.runtime.migration import RevisionStep

    from inithold.steps.alembic.environment import Database, Run
    from inithold.steps.alembic.project import Command, Project

_EXTRAS = {"postgresql": "postgres", "mysql": "mysql"}
_RELATIVE = re.compile(r"(?:\A|\w|@)[+-]\d+\Z")
"""As Alembic has it: `+2`, `-1`, `3f2a+1`, `games@+1`."""
_DIAL = 0.1
"""Seconds that a start may wait for the server before it starts all the same."""
_ADDRESS = ("url", "host", "port", "user", "password", "database")


class Upgrade(Addressed, frozen=True, kw_only=True):
    """Bring a database schema to an Alembic revision.

    The check lists pending revisions by id and message. With `url`, it compares the database's version table with
    the revision files, which is several times faster than importing Alembic. It falls back to running `env.py`, as
    `alembic current` does, when `env.py` may use several version tables, the name of the table cannot be read, or
    the revisions branch (`--log-level debug` says which way it went, and why). The apply runs the revisions, as
    `alembic upgrade` does. `env.py` runs in a separate process that check and apply share. In a gate, it ends
    after each check. Alembic's log lines and the output of `env.py` go to the step's log. A revision that fails
    leaves the database as its transaction left it.

    `env.py` runs unmodified, with a plain or an async engine. Its `sqlalchemy.url` is `url`, with an installed
    driver, instead of the one in the ini file. If it connects to another database, the one at `url` does not reach
    the target, and the step fails and says so.

    Nothing is ever downgraded: a database ahead of the revision files or of the target is an error. On a timeout
    or when the run is stopped, the running statement is cancelled on the server and its transaction rolled back.
    If the code is still running 2.5 s later, it is killed and its session on the server ended. MySQL and MariaDB
    complete a statement even if the whole run was killed: the next run waits for it, or, with the plan's lock,
    ends it, before it runs the revisions.

    Args:
        config: path of alembic.ini, or of a pyproject.toml with a `tool.alembic` table.
        url: URL of the database, such as `postgresql://app:secret@db:5432/games`; if absent, `env.py` finds its
            own.
        host: name or address of the server, instead of `url`.
        port: port of the server; the default for the technology if absent.
        user: user to connect as.
        password: password of the user, not percent-encoded.
        database: name of the database.
        target: `head`, `heads` for several heads, a revision or the start of its id, or `branch@head`.
        name: section of the ini file, as in `alembic --name`.
        x: arguments that `env.py` reads with `context.get_x_argument()`, as in `alembic -x`.

    Example:
        ```yaml
        - id: migrate
          uses: alembic.upgrade
          with:
            config: alembic.ini
            url: ${DATABASE_URL}
        ```
    """

    kind = "alembic.upgrade"
    in_worker = True
    quiet_check = True
    rights = (
        "connect, and read Alembic's version table (SELECT; on PostgreSQL also USAGE on its schema), plus "
        "whatever env.py itself needs"
    )
    apply_rights = (
        "what the revisions need; INSERT, UPDATE and DELETE on the version table; to create that table, CREATE on "
        "its schema (on MySQL, on the database)"
    )

    technologies = ("postgresql", "mysql", "sqlite")

    config: str = "alembic.ini"
    target: str = "head"
    name: str = "alembic"
    x: tuple[str, ...] = ()

    def validate_address(self, address: Address) -> Iterator[tuple[str, str]]:
        if address.database == ":memory:":
            yield "url", "url is a database in memory, which is gone when Alembic hangs up"

    def validate(self) -> Iterator[tuple[str, str]]:
        if any(getattr(self, field) is not None for field in _ADDRESS):
            yield from super().validate()
        if not self.target.strip():
            yield "target", "target is empty: expected head, heads or a revision"
        elif _RELATIVE.search(self.target):
            yield "target", "a relative target cannot be checked again: expected head, heads or a revision"
        elif self.target in ("base", "current") or ":" in self.target:
            yield "target", f"target {self.target!r} is nothing to upgrade to: expected head, heads or a revision"

    def extras(self) -> Sequence[str]:
        address = self._address()
        extra = None if address is None else _EXTRAS.get(address.technology)
        if address is None or extra is None or any(installed(d.module) for d in DRIVERS[address.technology]):
            return ("alembic",)
        return ("alembic", extra)

    def preload(self) -> None:
        _import_alembic()
        import_module("inithold.steps.alembic.environment")
        # Most of what an env.py imports: nearly each has models.
        import_module("sqlalchemy.orm")
        if (address := self._address()) is not None and (driver := preferred(address.technology)) is not None:
            import_module(f"sqlalchemy.dialects.{address.technology}.{driver.name}")
            import_module(driver.module)

    def preload_for_both(self) -> None:
        address = self._address()
        driver = None if address is None else preferred(address.technology)
        if address is None or driver is None or driver.module != library(address.technology):
            return
        # If the server is not up yet, there will be time enough.
        with suppress(NotYet, StepFailed):
            if address.probe is not None:
                dial(*address.probe, timeout=_DIAL)
            load_driver(address.technology)

    def subject(self) -> str:
        try:
            address = self._address()
        except ValueError:
            address = None
        return self.config if address is None else address.shown

    def before_worker(self, context: StepContext) -> Sequence[Change] | None:
        address = self._address()
        if address is None:
            return None
        if not self.x:
            exists = not _no_file_yet(address)
            pending = fast_check.pending(self, address, context, exists=exists)
            if pending is not None:
                return pending
        if address.probe is not None:
            # The first attempt often comes before the server is up; dialing is cheaper than a worker.
            dial(*address.probe, timeout=context.remaining(5.0))
            if address.technology == "mysql":
                # MySQL's drivers wait for a greeting without limit.
                answers(address, context)
        return None

    def snapshot(self, context: StepContext, urls: Sequence[str]) -> object:
        from inithold.steps.database.driver import session  # noqa: PLC0415 - its drivers are slow

        address = self._address()
        contents: list[object] = []
        try:
            for each in [parse(url) for url in urls] if address is None else [address]:
                with session(each, context) as database:
                    contents.append(database.versions())
        except (ImportError, ValueError, StepFailed):
            return None  # SQLAlchemy may use a different driver, and env.py a different user
        except NotYet:
            if address is not None:
                raise
            return None  # env.py may not use its engine's url as it stands
        return contents or None

    def check(self, context: StepContext) -> Sequence[Change]:
        from inithold.steps.alembic import revisions  # noqa: PLC0415 - not for what needs no worker
        from inithold.steps.alembic.environment import Database, shown  # noqa: PLC0415

        context = cast("WorkerContext", context)
        project, run = self._read(context, "current")
        # Connecting would create the SQLite file, and a check must not change anything.
        databases = (Database((), None, "", None),) if _no_file_yet(project.address) else run.run()
        changes = []
        for database in databases:
            if pending := revisions.pending(project.script, self.target, database.heads):
                of = f" of {database.url.database}" if len(databases) > 1 and database.url is not None else ""
                names = [revisions.named(step.revision) for step in pending]
                changes.append(fast_check.change(shown(database.heads), names, self.target, of=of))
        if not _no_file_yet(project.address):
            self._refuse_other_database(project, databases, context)
        return changes

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:  # noqa: ARG002 - asked again inside
        from inithold.steps.alembic import revisions  # noqa: PLC0415 - as above
        from inithold.steps.alembic.environment import uses_url  # noqa: PLC0415

        context = cast("WorkerContext", context)
        project, run = self._read(context, "upgrade")

        def choose(database: Database) -> Sequence[RevisionStep]:
            pending = revisions.pending(project.script, self.target, database.heads)
            address = project.address
            if (
                pending
                and address is not None
                and not uses_url(project, database)
                and fast_check.trusts(self, address)
            ):
                # The fast check did not run env.py, so the database it uses is not yet verified.
                self._refuse_other_database(project, [database], context)
            return pending

        run.run(choose)

    def _address(self) -> Address | None:
        given = any(getattr(self, field) is not None for field in _ADDRESS)
        return self.address() if given else None

    def _read(self, context: WorkerContext, command: Command) -> tuple[Project, Run]:
        from inithold.steps.alembic.environment import Run  # noqa: PLC0415 - as above
        from inithold.steps.alembic.project import read  # noqa: PLC0415

        _import_alembic()
        project = read(self, command, self._address(), context.learn)
        if not project.script.get_heads():
            context.log(f"{project.script.dir} has no revisions", level="warning")
        return project, Run(project, context)

    def _refuse_other_database(
        self, project: Project, databases: Sequence[Database], context: WorkerContext
    ) -> None:
        from inithold.steps.alembic.environment import heads_at, shown, uses_url  # noqa: PLC0415 - as above

        if project.address is None or any(uses_url(project, database) for database in databases):
            return
        heads = heads_at(project, databases[0], context)
        if all(set(heads) != set(database.heads) for database in databases):
            raise StepFailed(
                f"{project.env} does not use the url it is given: its database is at "
                f"{shown(databases[0].heads)}, the one at {project.address.shown} at {shown(heads)}",
                hint='make env.py connect to config.get_main_option("sqlalchemy.url"), '
                "or leave url out of the step",
            )


def _import_alembic() -> None:
    # Alembic imports Mako to write new files; Mako would import all of Pygments to colour its errors.
    plugin = "mako.ext.pygmentplugin"
    free = plugin not in sys.modules and "mako" not in sys.modules
    if free:
        modules: dict[str, Any] = sys.modules
        modules[plugin] = None  # Makes its import fail.
    try:
        import_module("alembic.config")
        import_module("alembic.script")
    finally:
        if free:
            del sys.modules[plugin]


def _no_file_yet(address: Address | None) -> bool:
    if address is None or address.technology != "sqlite" or any(name == "uri" for name, _ in address.query):
        return False
    return not Path(address.database or "").exists()
