"""Reads from the source of env.py, without running it, which version table it uses.

There is doubt if env.py may use several tables, if the name cannot be read, or if it may work on a database or
schema other than the one that an unqualified name means.
"""

from __future__ import annotations

import ast
import math
import re
import sys
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

_NAME = re.compile(r"[a-z_][a-z0-9_]*")
"""A table or schema name that no server folds and none needs quoted."""
_TABLE_KEYWORDS = ("version_table", "version_table_schema")
_DOUBTFUL_KEYWORDS = {"opts", "as_sql", "starting_rev"}
"""Keywords of `context.configure`."""
_DOUBTFUL_NAMES = re.compile(
    r"tenant|shard|search_path|schema_translate_map|default_schema_name|get_x_argument|cmd_opts|version_locations"
    r"|\A(?:exec|eval|runpy)\Z",
    re.I,
)
_DOUBTFUL_SQL = re.compile(
    r"search_path|\bset\s+(?:local\s+)?(?:role|schema|session)\b|\A\s*use\s+\S*\s*;?\s*\Z", re.I
)
"""An f-string leaves `USE ` of `USE {name}`."""
_DOUBTFUL_CALLS = re.compile(r"alembic\.(?:command|migration|runtime\.migration|.*\bEnvironmentContext)\b")
_EXECUTES = ("execute", "exec_driver_sql", "executescript", "scalar")
_SETTINGS = ("options", "server_settings")
"""Keys of `connect_args` that may set a search path."""
_MAKES_ENGINE = re.compile(r"create_engine|create_async_engine|(?:async_)?engine_from_config")
_MIGRATES = re.compile(r"migrat|upgrade", re.I)
_CONNECTED = re.compile(r"(?:\w*_)?(?:conn|connection|connectable|engine|context|bind|session)", re.I)
_LIBRARIES = {"alembic", "sqlalchemy", "sqlmodel", *sys.stdlib_module_names}
_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Doubt(Exception):
    """The version table is uncertain without running env.py; the message says why."""


class VersionTable(NamedTuple):
    """A version table as env.py names it; without a schema, the server resolves the name."""

    name: str
    schema: str | None

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@cache
def read_version_table(text: str) -> VersionTable:
    """Find the version table that env.py uses.

    Args:
        text: of env.py.

    Raises:
        Doubt: it cannot be determined, or there may be several.
        SyntaxError: it is not Python.
    """
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    imported = _imports(nodes)
    docstrings = [node.value for node in nodes if isinstance(node, ast.Expr)]
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    autogenerate = [_asked_for_autogenerate(node) for node in nodes]
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr == "configure" and node not in called:
            raise Doubt(f"env.py line {node.lineno} hands context.configure on")
        if isinstance(node, ast.Dict) and any(
            isinstance(key, ast.Constant) and key.value in _SETTINGS and not _literals(value)
            for key, value in zip(node.keys, node.values, strict=True)
        ):
            raise Doubt(f"env.py line {node.lineno} connects with settings that cannot be read")
        for field in () if node in autogenerate else ("id", "attr", "arg"):
            if _DOUBTFUL_NAMES.search(getattr(node, field, None) or ""):
                raise Doubt(f"env.py line {getattr(node, 'lineno', 0)} has {getattr(node, field)}")
        if isinstance(node, ast.Call):
            _read_call(node, imported)
        elif isinstance(node, ast.Constant) and node not in docstrings and _DOUBTFUL_SQL.search(str(node.value)):
            raise Doubt(f"env.py line {node.lineno} changes what a bare name means")
    configured = _Configured(tree, imported)
    if configured.often != 1:
        raise Doubt(
            "env.py configures several times"
            if configured.often
            else "env.py does not call context.configure itself"
        )
    tables: set[VersionTable] = set()
    for call in configured.calls:
        names: dict[str, str | None] = dict.fromkeys(_TABLE_KEYWORDS)
        for keyword in call.keywords:
            if keyword.arg not in names:
                continue
            value = keyword.value.value if isinstance(keyword.value, ast.Constant) else ...
            if value is not None and not (isinstance(value, str) and _NAME.fullmatch(value)):
                raise Doubt(f"env.py line {call.lineno} configures with {keyword.arg}, which cannot be read")
            names[keyword.arg] = value
        name, schema = names.values()
        tables.add(VersionTable(name or "alembic_version", schema))
    if len(tables) != 1:
        raise Doubt("env.py configures several version tables")
    return tables.pop()


def _imports(nodes: Sequence[ast.AST]) -> dict[str, str]:
    """Map each imported name to what it refers to: `{"context": "alembic.context"}`."""
    imported: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            imported.update({each.asname or each.name.partition(".")[0]: each.name for each in node.names})
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            imported.update({each.asname or each.name: f"{module}.{each.name}" for each in node.names})
    return imported


def _asked_for_autogenerate(node: ast.AST) -> ast.AST | None:
    """Return the `config.cmd_opts` that is only asked for `autogenerate`, which concerns no upgrade."""
    if isinstance(node, ast.Attribute) and node.attr == "autogenerate":
        return node.value
    if isinstance(node, ast.Call) and re.match(r"(get|has)attr\([\w.]+, 'autogenerate'", ast.unparse(node)):
        return node.args[0]
    return None


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
            raise Doubt(f"env.py line {call.lineno} configures with keywords that cannot be read")
        constants = [
            (word.arg, word.value.value) for word in call.keywords if isinstance(word.value, ast.Constant)
        ]
        defaults = {name for name, value in constants if value is None or value is False}
        own = keywords & _DOUBTFUL_KEYWORDS - defaults
        if own:
            raise Doubt(f"env.py line {call.lineno} configures with {', '.join(sorted(filter(None, own)))}")
        return
    root = _root(call.func)
    if root in imported and _DOUBTFUL_CALLS.search(f"{imported[root]} {ast.unparse(call.func)}"):
        raise Doubt(f"env.py line {call.lineno} runs Alembic by itself")
    foreign = _is_foreign(root, imported)
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    if foreign and (
        _MIGRATES.search(ast.unparse(call.func).rpartition(".")[2])
        or any(isinstance(value, ast.Name) and _CONNECTED.fullmatch(value.id) for value in arguments)
    ):
        raise Doubt(f"env.py line {call.lineno} lets other code work on the database")
    settings = [word.value for word in call.keywords if word.arg in (None, "connect_args")]
    if _MAKES_ENGINE.fullmatch(ast.unparse(call.func).rpartition(".")[2]) and any(
        isinstance(part, ast.Name) and _is_foreign(part.id, imported)
        for value in settings
        for part in ast.walk(value)
    ):
        raise Doubt(f"env.py line {call.lineno} connects with settings that cannot be read")
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if method in _EXECUTES and call.args and not _literals(call.args[0]):
        raise Doubt(f"env.py line {call.lineno} executes what cannot be read")
    if isinstance(call.func, ast.Name) and call.func.id == "getattr" and _root(call.args[0]) == "context":
        raise Doubt(f"env.py line {call.lineno} looks something up in context")


def _is_foreign(name: str, imported: dict[str, str]) -> bool:
    return name in imported and imported[name].partition(".")[0] not in _LIBRARIES


def _literals(node: ast.AST) -> list[str]:
    """Return the string constants in an expression."""
    return [
        part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)
    ]


class _Configured:
    """Finds the calls of `context.configure`, and their maximum number in an online run: infinite in a loop."""

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
            # A function counts where it is called; a decorator may call it any number of times.
            return math.inf if node.decorator_list and self._of(node.body) else 0
        if isinstance(node, ast.Name):
            return self._function(node.id)
        if isinstance(node, ast.If | ast.IfExp):
            body = self._of(node.body if isinstance(node, ast.If) else [node.body])
            other = self._of(node.orelse if isinstance(node, ast.If) else [node.orelse])
            if offline := re.fullmatch(r"(not )?[\w.]*\bis_offline_mode\(\)", ast.unparse(node.test)):
                return body if offline[1] else other
            return self._in(node.test) + max(body, other)
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

    def _function(self, name: str) -> float:
        if name not in self._functions:
            return 0
        if name in self._open:
            self._recursive.add(name)
            return 0
        if name not in self._known:
            self._open.add(name)
            often = max(self._of(_nested(function.body)) for function in self._functions[name])
            self._open.remove(name)
            self._known[name] = math.inf if often and name in self._recursive else often
        return self._known[name]


def _nested(body: Sequence[ast.stmt]) -> Sequence[ast.stmt]:
    """Move what follows an `if` that leaves a function into its `else`: only one of them runs."""
    for index, node in enumerate(body):
        if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Return | ast.Raise):
            other = [*node.orelse, *_nested(body[index + 1 :])]
            return [*body[:index], ast.If(node.test, node.body, other)]
    return body
