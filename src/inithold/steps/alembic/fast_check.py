"""Which revisions are pending, found out without importing Alembic, where there is no doubt.

Importing it, SQLAlchemy and the application's models is most of what a start costs that has nothing to do, and of
a check that is made every minute. The step's `url` says which database must be at the target, so its version table
answers, whatever URL env.py would choose. There is doubt, and env.py itself is asked, where it may keep another
version table, or more than one. It is read for that, and not run.
"""

from __future__ import annotations

import ast
import configparser
import math
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from inithold.errors import NotYet, StepFailed
from inithold.steps.address import Address
from inithold.steps.base import Change, StepContext
from inithold.text.files import read_regular

if TYPE_CHECKING:
    from inithold.steps.database.driver import Session

NO_REVISION = "(empty)"
"""Where a database is that knows no revision yet, for people."""
_ONLY = "SELECT 1 FROM (SELECT count(*) AS number, min(version_num) AS revision FROM {}) AS it WHERE {}"
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
"""Of a table or schema: no server folds it or wants it quoted."""
_ID = re.compile(r"\w+", re.ASCII)
_REVISION_FILE = re.compile(r"(?!\.#|__init__).*\.py")
_ASSIGNED = re.compile(r"^(revision|down_revision|branch_labels|depends_on)\b[^=\n]*=[ \t]*(.*)$", re.MULTILINE)
_DOUBTFUL_OPTIONS = {"version_locations", "recursive_version_locations", "sourceless", "databases"}
_DOUBTFUL_PARAMETERS = {
    *("options", "service", "servicefile", "dbname", "user", "init_command", "read_default_file"),
    *("read_default_group", "uri", "vfs"),
}
"""Of the URL: what changes whom we are, or what a bare name means to the server."""
_DOUBTFUL_KEYWORDS = {"opts", "as_sql", "starting_rev"}
_TABLE_KEYWORDS = ("version_table", "version_table_schema")
"""Of `context.configure`."""
_DOUBTFUL_NAMES = re.compile(
    r"tenant|shard|search_path|schema_translate_map|default_schema_name|get_x_argument|cmd_opts|\A(?:exec|eval|runpy)\Z",
    re.I,
)
_DOUBTFUL_SQL = re.compile(r"search_path|\bset\s+(?:role|schema|session)\b|\A\s*use\s+\S+\s*;?\s*\Z", re.I)
_DOUBTFUL_CALLS = re.compile(r"alembic\.(?:command|migration|runtime\.migration|.*\bEnvironmentContext)\b")
_EXECUTES = ("execute", "exec_driver_sql", "executescript", "scalar")
_SETTINGS = ("options", "server_settings")
"""Of `connect_args`: where a search path may be set."""
_MIGRATES = re.compile(r"migrat|upgrade", re.I)
_CONNECTED = re.compile(r"(?:\w*_)?(?:conn|connection|connectable|engine|context|bind|session)", re.I)
_LIBRARIES = {"alembic", "sqlalchemy", "sqlmodel", *sys.stdlib_module_names}
_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class _Doubt(Exception):
    """Only env.py itself can tell; the message says why."""


def pending(
    file: str, section: str, target: str, address: Address, context: StepContext, *, exists: bool
) -> tuple[Change, ...] | None:
    """What there is to do, beyond doubt; None where only env.py can tell.

    Args:
        file: alembic.ini or pyproject.toml.
        section: of the ini file.
        target: what is upgraded to.
        address: of the database.
        context: of the step.
        exists: whether there is a database to ask, rather than a file that is to be made.

    Raises:
        NotYet, Rejected, StepFailed: the database cannot be reached.
    """
    from inithold.steps.database.driver import session  # noqa: PLC0415 - its drivers are slow

    try:
        table, history = _history(Path(file), section, target, address)
        in_line = not history[0].parents and all(len(revision.parents) == 1 for revision in history[1:])
        # A gate need not know which revisions are pending, and is spared Alembic's memory.
        roughly = context.only_waits
        at = ""
        if exists:
            with session(address, context) as database:
                at = _revision_of(
                    database, table, history, postgresql=address.technology == "postgresql", roughly=roughly
                )
    except _Doubt as doubt:
        context.log(f"env.py is asked for the revision: {doubt}", level="debug")
        return None
    except (OSError, ValueError, SyntaxError, LookupError, configparser.Error) as error:
        context.log(f"env.py is asked for the revision: {type(error).__name__} in its project", level="debug")
        return None
    except ImportError:
        return None  # SQLAlchemy may have a driver that is not ours
    ids = [revision.id for revision in history]
    if at == ids[-1]:
        context.log(f"at {at} by its version table", level="debug")
        return ()
    if roughly:
        return (Change("~", f"schema {'(an earlier revision)' if at else NO_REVISION} -> {target}"),)
    if not in_line:
        context.log("env.py is asked for the revision: its revisions are not one line", level="debug")
        return None
    context.log(f"at {at or 'no revision'} by its version table", level="debug")
    later = history[ids.index(at) + 1 :] if at else history
    try:
        return (change(at or NO_REVISION, [revision.shown() for revision in later], target),)
    except SyntaxError:
        return None  # Alembic says where


def change(at: str, pending: Sequence[str], target: str, *, of: str = "") -> Change:
    """The change that an upgrade is.

    Args:
        at: where the database is.
        pending: the revisions to run, first to last, as people are shown them.
        target: what is upgraded to.
        of: which database, where there are several.
    """
    count = "1 revision" if len(pending) == 1 else f"{len(pending)} revisions"
    return Change("~", f"schema{of} {at} -> {target} ({count})", tuple(pending))


def trusts(file: str, section: str, target: str, address: Address) -> bool:
    """Whether `pending` believes that env.py works on the database at the address, and on no other."""
    try:
        _history(Path(file), section, target, address)
    except (_Doubt, OSError, ValueError, SyntaxError, LookupError, configparser.Error):
        return False
    return True


def _revision_of(
    database: Session, table: _Table, history: Sequence[_Revision], *, postgresql: bool, roughly: bool
) -> str:
    """The revision of a database; empty for one without. One that is earlier may be any of those if `roughly`."""
    if table.schema and not postgresql:
        raise _Doubt("what a schema is depends on the server")
    # Without a schema, and with a second one in another schema, the one that is meant depends on the connection.
    rows = [row for row in database.catalog([table.name]) if table.schema in (None, row.schema)]
    tables = {(row.schema, row.table) for row in rows if row.visible or postgresql}
    if not tables:
        return ""
    if len(tables) != 1 or not any((row.visible or table.schema) and row.column == "version_num" for row in rows):
        raise _Doubt("there are several version tables, or one that is not Alembic's")
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
        pass  # Alembic will meet it too, and say what it is about
    raise _Doubt("its version table does not hold one of the revisions")


def _history(file: Path, section: str, target: str, address: Address) -> tuple[_Table, list[_Revision]]:
    """A project's version table, and its revisions if they all lead to the target, which is last."""
    parameters = {name for name, _ in address.query} & _DOUBTFUL_PARAMETERS
    if parameters or "PGOPTIONS" in os.environ:
        raise _Doubt(f"the url has {', '.join(sorted(parameters)) or 'options in PGOPTIONS'}")
    folder = _script_location(file, section)
    table = _read_env(read_regular(str(folder / "env.py")).decode())
    history = _in_order(list(_revisions(folder / "versions")))
    if not history:
        raise _Doubt("its revisions have branches, labels or dependencies, or are not all plain files")
    if target not in ("head", "heads", history[-1].id):
        raise _Doubt(f"target {target} is not the head")
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
        parser.read_string(read_regular(str(ini)).decode())
        if parser.has_section(section) or not options:
            names = parser[section].keys() & {"script_location", *_DOUBTFUL_OPTIONS}
            options.append({name: parser.get(section, name) for name in names})
    doubtful = {name for each in options for name in each} & _DOUBTFUL_OPTIONS
    locations = {each["script_location"] for each in options if "script_location" in each}
    if doubtful or len(locations) != 1:
        raise _Doubt(f"{file} has {', '.join(sorted(doubtful)) or 'no script_location, or two'}")
    return Path(locations.pop())


# -- env.py


class _Table(NamedTuple):
    """A version table, as env.py names it; without a schema, wherever its name leads."""

    name: str
    schema: str | None

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


def _read_env(text: str) -> _Table:
    """The version table that env.py keeps; raises where that cannot be read, or there may be several."""
    tree = ast.parse(text)
    imported = _imports(tree)
    docstrings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "configure" and node not in called:
            raise _Doubt(f"env.py line {node.lineno} hands context.configure on")
        if isinstance(node, ast.Dict) and any(
            isinstance(key, ast.Constant) and key.value in _SETTINGS and not _literals(value)
            for key, value in zip(node.keys, node.values, strict=True)
        ):
            raise _Doubt(f"env.py line {node.lineno} connects with settings that cannot be read")
        for field in ("id", "attr", "arg"):
            if _DOUBTFUL_NAMES.search(getattr(node, field, None) or ""):
                raise _Doubt(f"env.py line {getattr(node, 'lineno', 0)} has {getattr(node, field)}")
        if isinstance(node, ast.Call):
            _read_call(node, imported)
        elif isinstance(node, ast.Constant) and node not in docstrings and _DOUBTFUL_SQL.search(str(node.value)):
            raise _Doubt(f"env.py line {node.lineno} changes what a bare name means")
    configured = _Configured(tree, imported)
    if configured.often != 1:
        raise _Doubt(
            "env.py configures several times"
            if configured.often
            else "env.py does not call context.configure itself"
        )
    tables = {_table(call) for call in configured.calls}
    if len(tables) != 1:
        raise _Doubt("env.py configures several version tables")
    return tables.pop()


def _table(call: ast.Call) -> _Table:
    names: dict[str, str | None] = dict.fromkeys(_TABLE_KEYWORDS)
    for keyword in call.keywords:
        if keyword.arg in names and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is None):
            value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
            if not isinstance(value, str) or not _NAME.fullmatch(value):
                raise _Doubt(f"env.py line {call.lineno} configures with {keyword.arg}, which cannot be read")
            names[keyword.arg] = value
    name, schema = names.values()
    return _Table(name or "alembic_version", schema)


def _imports(tree: ast.AST) -> dict[str, str]:
    """What each imported name stands for: `{"context": "alembic.context"}`."""
    imported: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update({each.asname or each.name.partition(".")[0]: each.name for each in node.names})
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            imported.update({each.asname or each.name: f"{module}.{each.name}" for each in node.names})
    return imported


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute | ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _is_configure(call: ast.Call, imported: dict[str, str]) -> bool:
    if isinstance(call.func, ast.Name):
        return imported.get(call.func.id, "").startswith("alembic.") and call.func.id == "configure"
    if not isinstance(call.func, ast.Attribute) or call.func.attr != "configure":
        return False
    module = imported.get(_root(call.func))
    return module is None or module.partition(".")[0] == "alembic"


def _read_call(call: ast.Call, imported: dict[str, str]) -> None:
    if _is_configure(call, imported):
        keywords = {keyword.arg for keyword in call.keywords}
        if call.args or None in keywords:
            raise _Doubt(f"env.py line {call.lineno} configures with keywords that cannot be read")
        own = keywords & _DOUBTFUL_KEYWORDS - {keyword.arg for keyword in call.keywords if _is_default(keyword)}
        if own:
            raise _Doubt(f"env.py line {call.lineno} configures with {', '.join(sorted(filter(None, own)))}")
        return
    root = _root(call.func)
    if _DOUBTFUL_CALLS.match(imported.get(root, "")):
        raise _Doubt(f"env.py line {call.lineno} runs Alembic by itself")
    foreign = root in imported and imported[root].partition(".")[0] not in _LIBRARIES
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    if foreign and (
        _MIGRATES.search(ast.unparse(call.func).rpartition(".")[2])
        or any(isinstance(value, ast.Name) and _CONNECTED.fullmatch(value.id) for value in arguments)
    ):
        raise _Doubt(f"env.py line {call.lineno} lets other code work on the database")
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if method in _EXECUTES and call.args and not _literals(call.args[0]):
        raise _Doubt(f"env.py line {call.lineno} executes what cannot be read")
    if isinstance(call.func, ast.Name) and call.func.id == "getattr" and _root(call.args[0]) == "context":
        raise _Doubt(f"env.py line {call.lineno} looks something up in context")


def _literals(node: ast.AST) -> list[str]:
    """The text constants in an expression."""
    return [
        part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]


def _is_default(keyword: ast.keyword) -> bool:
    value = keyword.value.value if isinstance(keyword.value, ast.Constant) else ...
    return value is None or value is False


class _Configured:
    """How often env.py configures when it is run online, at most; infinitely often in a loop. And where."""

    def __init__(self, tree: ast.Module, imported: dict[str, str]) -> None:
        self._imported = imported
        self.calls: list[ast.Call] = []
        self._functions: dict[str, list[ast.FunctionDef | ast.AsyncFunctionDef]] = {}
        self._known: dict[str, float] = {}
        self._open: set[str] = set()
        self._recursive: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._functions.setdefault(node.name, []).append(node)
        self.often = self._of(tree.body)

    def _of(self, nodes: Sequence[ast.AST]) -> float:
        return sum(map(self._in, nodes))

    def _in(self, node: ast.AST) -> float:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # Counted where it is named. What wraps it may call it as often as it likes.
            return math.inf if node.decorator_list and self._of(node.body) else 0
        if isinstance(node, ast.Name):
            return self._function(node.id)
        if isinstance(node, ast.If | ast.IfExp):
            return self._branches(node)
        if isinstance(node, ast.Match):
            return self._in(node.subject) + max(self._of(case.body) for case in node.cases)
        often = self._of(list(ast.iter_child_nodes(node)))
        if isinstance(node, (*_LOOPS, ast.ClassDef)):
            return math.inf if often else 0
        if isinstance(node, ast.Call):
            if _is_configure(node, self._imported):
                self.calls.append(node)
                return often + 1
            if ast.unparse(node.func).rpartition(".")[2] in ("map", "starmap"):
                return math.inf if often else 0
        return often

    def _branches(self, node: ast.If | ast.IfExp) -> float:
        body = self._of(node.body if isinstance(node, ast.If) else [node.body])
        other = self._of(node.orelse if isinstance(node, ast.If) else [node.orelse])
        test = ast.unparse(node.test)
        if re.fullmatch(r"[\w.]*\bis_offline_mode\(\)", test):
            return other
        if re.fullmatch(r"not [\w.]*\bis_offline_mode\(\)", test):
            return body
        return self._in(node.test) + max(body, other)

    def _function(self, name: str) -> float:
        if name not in self._functions:
            return 0
        if name in self._open:
            self._recursive.add(name)
            return 0
        if name not in self._known:
            self._open.add(name)
            often = max(self._of(function.body) for function in self._functions[name])
            self._open.remove(name)
            self._known[name] = math.inf if often and name in self._recursive else often
        return self._known[name]


# -- revision files


class _Revision(NamedTuple):
    id: str
    parents: tuple[str, ...]
    text: str

    def shown(self) -> str:
        """As `revisions.named` has it."""
        title = (ast.get_docstring(ast.parse(self.text), clean=False) or "").strip().partition("\n")[0]
        return f"{self.id} {title}" if title else self.id


def _revisions(folder: Path) -> Iterator[_Revision | None]:
    """Each revision file; None for one of which more must be known."""
    for entry in sorted(os.listdir(folder)):  # noqa: PTH208 - names are all that is needed
        if _REVISION_FILE.fullmatch(entry):
            yield _revision(read_regular(str(folder / entry)).decode())
        elif entry.endswith((".pyc", ".pyo")):
            yield None


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
    """Revisions that all lead to one head, parents first; none for anything else."""
    known = {revision.id: revision for revision in revisions if revision is not None}
    heads = known.keys() - {parent for revision in known.values() for parent in revision.parents}
    if len(known) != len(revisions) or len(heads) != 1:
        return []
    order = [known[heads.pop()]]
    for revision in order:  # which grows meanwhile
        if not known.keys() >= set(revision.parents):
            return []
        order += [known[parent] for parent in revision.parents if known[parent] not in order]
    return order[::-1] if len(order) == len(known) else []
