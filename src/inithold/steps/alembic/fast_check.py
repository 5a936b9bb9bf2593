"""Finds the pending revisions without importing Alembic, unless there is doubt.

Importing Alembic, SQLAlchemy and the application's models is most of the cost of a start with nothing to do, and
of a check every minute. The database at the step's `url` must be at the target whatever URL env.py chooses, so it
is enough to read its version table. If there is doubt which table that is, env.py is run instead.
"""

from __future__ import annotations

import ast
import configparser
import os
import re
from collections.abc import Iterator, Sequence
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inithold.errors import NotYet, StepFailed
from inithold.steps.address import Address
from inithold.steps.alembic.version_table import Doubt, VersionTable, read_version_table
from inithold.steps.base import Change, StepContext
from inithold.text.files import read_regular_text

if TYPE_CHECKING:
    from inithold.steps.alembic.upgrade import Upgrade
    from inithold.steps.database.driver import Session

NO_REVISION = "(empty)"
"""What messages show as the revision of a database that has none yet."""
_ONLY = "SELECT 1 FROM (SELECT count(*) AS number, min(version_num) AS revision FROM {}) AS it WHERE {}"
_ID = re.compile(r"\w+", re.ASCII)
_REVISION_FILE = re.compile(r"(?!\.#|__init__).*\.py")
_ASSIGNED = re.compile(
    r"^[ \t\f]*(revision|down_revision|branch_labels|depends_on)\b[^=\n]*=[ \t]*(.*)$", re.MULTILINE
)
_DOUBTFUL_OPTIONS = {"version_locations", "recursive_version_locations", "sourceless", "databases"}
_DOUBTFUL_PARAMETERS = {
    *("options", "service", "servicefile", "dbname", "user", "init_command", "read_default_file"),
    *("read_default_group", "uri", "vfs"),
}
"""URL parameters that change the user, or what an unqualified name means to the server."""


def pending(step: Upgrade, address: Address, context: StepContext, *, exists: bool) -> tuple[Change, ...] | None:
    """Return the pending changes; None if only env.py can tell.

    Args:
        step: names the project's files, and the target.
        address: of the database.
        context: of the step.
        exists: whether there is a database; false for an SQLite file that has yet to be created.

    Raises:
        NotYet, Rejected, StepFailed: the database cannot be reached.
    """
    from inithold.steps.database.driver import reading  # noqa: PLC0415 - its drivers are slow

    try:
        table, history = _history(step, address)
        in_line = not history[0].parents and all(len(revision.parents) == 1 for revision in history[1:])
        # A gate need not know which revisions are pending, and saves the memory that Alembic takes.
        roughly = context.only_waits
        at = ""
        if exists:
            with reading(address, context) as database:
                at = _revision_of(
                    database, table, history, postgresql=address.technology == "postgresql", roughly=roughly
                )
    except Doubt as doubt:
        context.log(f"env.py is asked for the revision: {doubt}", level="debug")
        return None
    except (OSError, ValueError, SyntaxError, LookupError, configparser.Error) as error:
        context.log(f"env.py is asked for the revision: {type(error).__name__} in its project", level="debug")
        return None
    except ImportError:
        return None  # SQLAlchemy may use another driver.
    ids = [revision.id for revision in history]
    if at == ids[-1]:
        context.log(f"at {at} by its version table", level="debug")
        return ()
    if roughly:
        return (Change("~", f"schema {'(an earlier revision)' if at else NO_REVISION} -> {step.target}"),)
    if not in_line:
        context.log("env.py is asked for the revision: its revisions are not one line", level="debug")
        return None
    context.log(f"at {at or 'no revision'} by its version table", level="debug")
    later = history[ids.index(at) + 1 :] if at else history
    try:
        return (change(at or NO_REVISION, [revision.shown() for revision in later], step.target),)
    except SyntaxError:
        return None  # Alembic's error shows the place.


def change(at: str, pending: Sequence[str], target: str, *, of: str = "") -> Change:
    """Describe an upgrade as a change.

    Args:
        at: the revision of the database.
        pending: the revisions to run in order, as shown to users.
        target: the revision to upgrade to.
        of: which database, if there are several.
    """
    count = "1 revision" if len(pending) == 1 else f"{len(pending)} revisions"
    return Change("~", f"schema{of} {at} -> {target} ({count})", tuple(pending))


def trusts(step: Upgrade, address: Address) -> bool:
    """Whether `pending` takes for granted that env.py works on the database at the address and on no other."""
    try:
        _history(step, address)
    except (Doubt, OSError, ValueError, SyntaxError, LookupError, configparser.Error):
        return False
    return True


def _revision_of(
    database: Session, table: VersionTable, history: Sequence[_Revision], *, postgresql: bool, roughly: bool
) -> str:
    """Return the revision of a database, or an empty string; if `roughly`, any earlier one will do."""
    if table.schema and not postgresql:
        raise Doubt("what a schema is depends on the server")
    # If the name has no schema and exists in two, which one is meant depends on the connection.
    rows = [row for row in database.catalog([table.name]) if table.schema in (None, row.schema)]
    tables = {(row.schema, row.table) for row in rows if row.visible or postgresql}
    if not tables:
        return ""
    if len(tables) != 1 or not any((row.visible or table.schema) and row.column == "version_num" for row in rows):
        raise Doubt("there are several version tables, or one that is not Alembic's")
    *earlier, head = [f"'{revision.id}'" for revision in history]

    def is_so(condition: str) -> bool:
        return database.ask(_ONLY.format(table, condition)).in_place

    try:
        if is_so(f"number = 1 AND revision = {head}"):
            return history[-1].id
        if is_so("number = 0"):
            return ""
        if earlier and is_so(f"number = 1 AND revision IN ({', '.join(earlier)})"):
            for revision in reversed(earlier):
                if roughly or is_so(f"revision = {revision}"):
                    return revision.strip("'")
    except (NotYet, StepFailed):
        pass  # Alembic will run into it, too, with a better message.
    raise Doubt("its version table does not hold one of the revisions")


def _history(step: Upgrade, address: Address) -> tuple[VersionTable, list[_Revision]]:
    """Return a project's version table and its revisions, the target last; all must lead to it."""
    parameters = {name for name, _ in address.query} & _DOUBTFUL_PARAMETERS
    if parameters or "PGOPTIONS" in os.environ:
        raise Doubt(f"the url has {', '.join(sorted(parameters)) or 'options in PGOPTIONS'}")
    folder = _script_location(Path(step.config), step.name)
    table = read_version_table(read_regular_text(str(folder / "env.py")))
    history = _in_order(list(_revisions(folder / "versions")))
    if not history:
        raise Doubt("its revisions have branches, labels or dependencies, or are not all plain files")
    if step.target not in ("head", "heads", history[-1].id):
        raise Doubt(f"target {step.target} is not the head")
    return table, history


def _script_location(file: Path, section: str) -> Path:
    options: list[dict[str, str]] = []
    toml = file if file.suffix == ".toml" else Path("pyproject.toml")
    if toml.is_file() and "tool.alembic" in (text := toml.read_text(encoding="utf-8")):
        import tomllib  # noqa: PLC0415 - few projects

        here = str(toml.absolute().parent)
        table = tomllib.loads(text)["tool"]["alembic"]
        options.append({name: str(value).replace("%(here)s", here) for name, value in table.items()})
    ini = file if file.suffix != ".toml" else file.with_name("alembic.ini")
    if ini.is_file() or ini is file:
        parser = configparser.ConfigParser({"here": str(ini.absolute().parent)})
        parser.read_string(read_regular_text(str(ini)))
        if parser.has_section(section) or not options:
            names = parser[section].keys() & {"script_location", *_DOUBTFUL_OPTIONS}
            options.append({name: parser.get(section, name) for name in names})
    set_names = {name for each in options for name, value in each.items() if value.lower() != "false"}
    doubtful = set_names & _DOUBTFUL_OPTIONS
    locations = {each["script_location"] for each in options if "script_location" in each}
    if doubtful or len(locations) != 1:
        raise Doubt(f"{file} has {', '.join(sorted(doubtful)) or 'no script_location, or two'}")
    return Path(locations.pop())


# -- revision files


class _Revision(NamedTuple):
    id: str
    parents: tuple[str, ...]
    text: str

    def shown(self) -> str:
        """The same as `revisions.named`."""
        title = (ast.get_docstring(ast.parse(self.text), clean=False) or "").strip().partition("\n")[0]
        return f"{self.id} {title}" if title else self.id


def _revisions(folder: Path) -> Iterator[_Revision | None]:
    """Yield each revision; None for a file that is not simple enough."""
    for entry in sorted(os.listdir(folder)):  # noqa: PTH208 - names are all that is needed
        if _REVISION_FILE.fullmatch(entry):
            yield _revision(read_regular_text(str(folder / entry)))
        elif entry.endswith((".pyc", ".pyo")):
            yield None


@cache
def _revision(text: str) -> _Revision | None:
    values: dict[str, object] = {}
    for name, value in _ASSIGNED.findall(text):
        if name in values:
            return None
        values[name] = ast.literal_eval(value)
    own, down = values.get("revision"), values.get("down_revision", 0)
    parents = (down,) if isinstance(down, str) else () if down is None else down
    if values.get("branch_labels") or values.get("depends_on") or not isinstance(parents, tuple):
        return None
    if not isinstance(own, str) or not _ID.fullmatch(own) or not all(isinstance(one, str) for one in parents):
        return None
    return _Revision(own, parents, text)


def _in_order(revisions: Sequence[_Revision | None]) -> list[_Revision]:
    """Sort revisions, parents first; empty if they do not all lead to one head.

    Raises:
        CycleError: a revision is among its own ancestors.
    """
    known = {revision.id: revision for revision in revisions if revision is not None}
    parents = {parent for revision in known.values() for parent in revision.parents}
    if len(known) != len(revisions) or not known.keys() >= parents or len(known.keys() - parents) != 1:
        return []
    order = TopologicalSorter({revision.id: revision.parents for revision in known.values()})
    return [known[each] for each in order.static_order()]
