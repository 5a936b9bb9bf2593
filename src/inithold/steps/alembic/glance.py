"""Whether a database is at the target, found out without importing Alembic, where there is no doubt.

Importing it, SQLAlchemy and the application's models is most of what a start costs that has nothing to do, and of
a check that is made every minute. There is no doubt where env.py is what `alembic init` writes, with models added:
it calls nothing that could lead to another database or another version table than the usual one. With anything
else it is env.py itself that says where the database is.
"""

from __future__ import annotations

import ast
import configparser
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inithold.errors import NotYet, StepFailed
from inithold.steps.address import Address
from inithold.steps.base import StepContext

if TYPE_CHECKING:
    from inithold.steps.database.driver import Session

_TABLE = "alembic_version"
_ID = re.compile(r"\w+", re.ASCII)
_REVISION_FILE = re.compile(r"(?!\.#|__init__).*\.py")
_ASSIGNED = re.compile(r"^(revision|down_revision|branch_labels|depends_on)\b[^=\n]*=[ \t]*(.*)$", re.MULTILINE)
_OPTIONS = {"script_location", "prepend_sys_path", "path_separator", "version_path_separator", "sqlalchemy.url"}
_OF_NEW_REVISIONS = {"file_template", "timezone", "truncate_slug_length", "output_encoding"}
_SECTIONS = {
    "config.get_section(config.config_ini_section)",
    "config.get_section(config.config_ini_section, {})",
}
_ENGINES = {"engine_from_config", "async_engine_from_config"}
_CALLED = _ENGINES | {
    *("fileConfig", "logging.config.fileConfig", "logging.getLogger", "AsyncEngine", "asyncio.run"),
    *("context.is_offline_mode", "context.configure", "context.begin_transaction", "context.run_migrations"),
    *("config.get_section", "config.get_main_option"),
}
_OF_ENGINES = re.compile(r"\w+\.(?:connect|dispose|run_sync)")
_CONFIGURED = {
    *("connection", "url", "target_metadata", "literal_binds", "dialect_opts", "compare_type"),
    *("compare_server_default", "render_as_batch", "render_item", "include_object", "include_name"),
    *("include_schemas", "transaction_per_migration", "process_revision_directives", "user_module_prefix"),
}
_DOUBTFUL = (ast.For, ast.AsyncFor, ast.While, ast.comprehension, ast.Lambda, ast.ClassDef)
# What of libpq's parameters changes neither whom we are nor what a bare name means to the server.
_HARMLESS = {"sslmode", "ssl", "sslrootcert", "sslcert", "sslkey", "connect_timeout", "application_name"}


def holds(file: str, section: str, target: str, address: Address, context: StepContext) -> bool:
    """Whether the database is at the target, beyond doubt; False where it is not, or where only env.py can tell.

    Args:
        file: alembic.ini.
        section: of it.
        target: what is upgraded to.
        address: of the database.
        context: bounds the waiting.

    Raises:
        NotYet, Rejected, StepFailed: the database cannot be reached.
    """
    head = None
    if {name for name, _ in address.query} <= _HARMLESS and "PGOPTIONS" not in os.environ:
        with suppress(OSError, ValueError, SyntaxError, LookupError, configparser.Error):
            head = _head(file, section)
    if head is None or target not in ("head", "heads", head):
        return False
    from inithold.steps.database.driver import session  # noqa: PLC0415 - its drivers are slow

    try:
        with session(address, context) as asked:
            return _is_at(head, asked, every_schema=address.technology == "postgresql")
    except ImportError:
        return False  # SQLAlchemy may have a driver that is not ours


def _is_at(head: str, asked: Session, *, every_schema: bool) -> bool:
    rows = asked.catalog([_TABLE])
    # With a second one, in whatever schema, the one that is meant depends on the connection.
    tables = {(row.schema, row.table) for row in rows if row.visible or every_schema}
    if len(tables) != 1 or not any(row.visible and row.column == "version_num" for row in rows):
        return False
    only = f"SELECT count(*) AS number, min(version_num) AS revision FROM {_TABLE}"  # noqa: S608 - a constant
    try:
        return asked.ask(f"SELECT 1 FROM ({only}) AS it WHERE number = 1 AND revision = '{head}'").holds  # noqa: S608 - word characters
    except (NotYet, StepFailed):
        return False  # Alembic will meet it too, and say what it is about


def _head(file: str, section: str) -> str | None:
    """The head of a project without any peculiarity; None for others."""
    folder = _script_location(Path(file), section)
    if folder is None or not _is_usual((folder / "env.py").read_text(encoding="utf-8")):
        return None
    return _only_head(list(_revisions(folder / "versions")))


def _script_location(file: Path, section: str) -> Path | None:
    if file.suffix != ".ini" or (Path("pyproject.toml").is_file() and "tool.alembic" in _text("pyproject.toml")):
        return None
    parser = configparser.ConfigParser({"here": str(file.absolute().parent)})
    parser.read_string(file.read_text(encoding="utf-8"))
    given = {name for name in parser[section] if name != "here"}
    if given - _OPTIONS - _OF_NEW_REVISIONS:
        return None
    location = Path(parser.get(section, "script_location"))
    return location if location.is_dir() else None


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")


# -- env.py


def _is_usual(text: str) -> bool:
    """Whether env.py connects to the URL it is given, and leaves the version table and its place as they are."""
    parts = list(_parts(ast.parse(text)))
    own = {part.name for part in parts if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)}
    calls = [part for part in parts if isinstance(part, ast.Call)]
    called = [ast.unparse(call.func) for call in calls]
    return (
        not any(isinstance(part, _DOUBTFUL) or getattr(part, "decorator_list", ()) for part in parts)
        and not any(isinstance(part, ast.Assign | ast.AugAssign) and _writes_into(part) for part in parts)
        and all(name in _CALLED | own or _OF_ENGINES.fullmatch(name) for name in called)
        and all(map(_is_harmless, calls))
        and {"context.configure", "context.run_migrations"} <= {*called}
        and sum(name in _ENGINES for name in called) == 1
    )


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """Every part of a syntax tree but what is done only without a URL."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "not config.get_main_option('sqlalchemy.url')":
            for other in child.orelse:
                yield from _parts(other)
        else:
            yield from _parts(child)


def _is_harmless(call: ast.Call) -> bool:
    name, keywords = ast.unparse(call.func), {keyword.arg for keyword in call.keywords}
    if name == "context.configure":
        return not call.args and keywords <= _CONFIGURED
    if name in _ENGINES:
        section = ast.unparse(call.args[0]) if len(call.args) == 1 else ""
        return section in _SECTIONS and keywords <= {"prefix", "poolclass", "future"}
    # With arguments it may be a driver's, and lead anywhere.
    return not name.endswith(".connect") or not (call.args or call.keywords)


def _writes_into(assignment: ast.Assign | ast.AugAssign) -> bool:
    """Whether something is put into an object, such as `section["sqlalchemy.url"] = ...`."""
    targets = assignment.targets if isinstance(assignment, ast.Assign) else [assignment.target]
    return not all(isinstance(target, ast.Name) for target in targets)


# -- revision files


class _Revision(NamedTuple):
    id: str
    parents: tuple[str, ...]


def _revisions(folder: Path) -> Iterator[_Revision | None]:
    """Each revision file; None for one of which more must be known."""
    for entry in sorted(os.listdir(folder)):  # noqa: PTH208 - names are all that is wanted
        if _REVISION_FILE.fullmatch(entry):
            yield _revision((folder / entry).read_text(encoding="utf-8"))
        elif entry.endswith((".pyc", ".pyo")):
            yield None


def _revision(text: str) -> _Revision | None:
    found: dict[str, object] = {}
    for name, value in _ASSIGNED.findall(text):
        if name in found:
            return None
        found[name] = ast.literal_eval(value)
    own, down = found.get("revision"), found.get("down_revision", 0)
    parents = (down,) if isinstance(down, str) else () if down is None else down
    if found.get("branch_labels") or found.get("depends_on") or not isinstance(parents, tuple):
        return None
    if not isinstance(own, str) or not _ID.fullmatch(own) or not all(isinstance(one, str) for one in parents):
        return None
    return _Revision(own, parents)


def _only_head(revisions: Sequence[_Revision | None]) -> str | None:
    """The one head of revisions that all lead to it; None for anything else."""
    known = {revision.id: revision.parents for revision in revisions if revision is not None}
    heads = known.keys() - {parent for parents in known.values() for parent in parents}
    if len(known) != len(revisions) or len(heads) != 1:
        return None
    todo, seen = list(heads), set(heads)
    while todo:
        for parent in known.get(todo.pop(), ()):
            if parent not in seen:
                seen.add(parent)
                todo.append(parent)
    return heads.pop() if seen == known.keys() else None
