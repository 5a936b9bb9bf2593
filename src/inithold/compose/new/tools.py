"""Recognizes commands: waits for servers, `alembic upgrade`, and migration tools with their `unless` guards."""

from __future__ import annotations

import re
from collections.abc import Sequence
from getopt import GetoptError, getopt, gnu_getopt
from posixpath import basename
from typing import Any, NamedTuple

TODO = "unless: a command that exits 0 if this is already done; without it, the step runs every time"
_RUNNERS = re.compile(r"(?:(?:poetry|uv|pipenv|pdm|hatch|rye) run(?: --\S+)* |\S*python3? -m )*")
_TARGET = re.compile(r"(?:heads?|[0-9a-f]{3,40}|\w+@head)\Z|\$\{")
_WAITERS = re.compile(r"wait[-_]?for(?:[-_]?it)?(?:\.(?:sh|bash|py))?\Z")
_VARIABLE = r"\$\$?\{[^}]*\}|\$\$\w+"
_ADDRESS = re.compile(rf"([\w.-]+|{_VARIABLE}):(\d+|{_VARIABLE})\Z")
_URL = re.compile(rf"(https?)://([\w.-]+|{_VARIABLE})(?::(\d+|{_VARIABLE}))?(?:/\S*)?\Z")
# The known options, as getopt takes them. None changes what is waited for but host, port and curl's `fail`.
_OPTIONS: dict[str, tuple[str, list[str]]] = {
    "wait-for": ("h:p:sqt:", ["host=", "port=", "strict", "quiet", "timeout="]),
    "pg_isready": ("qh:p:U:d:t:", ["quiet", "host=", "port=", "username=", "dbname=", "timeout="]),
    "nc": ("zvnw:", []),
    "curl": ("sSfvIo:m:", ["silent", "show-error", "fail", "head", "output=", "max-time=", "connect-timeout="]),
    "wget": ("qO:T:t:", ["quiet", "spider", "no-verbose", "output-document=", "timeout=", "tries="]),
}

_NODE = (
    r"(?:npx|bunx|pnpm(?: exec| dlx)?|yarn(?: run| dlx)?|bun x|npm exec(?: --)?)(?: --?(?:yes|y|no-install|bun))*"
)
_PYTHON = r"(?:(?:poetry|uv|pipenv|pdm|hatch|rye) run )?"
_MANAGE = rf"{_PYTHON}(?:(?:\S*python[\d.]* )?\S*manage\.py|\S*django-admin)"
_DJANGO = r"--no-?input|--skip-checks|--database[= ]\S+|--settings=\S+|-v ?\d|--verbosity[= ]\d|[a-z_]\w*"
_FLYWAY = r"-(?!target|cherryPick|ignore|outOfOrder|validateOnMigrate)\S+"
# Migration tools that can tell whether anything is pending: program, command, and the arguments of the guard
# (`{rest}` is the group `rest`). A guard is listed only if the tool's manual says that it exits 0 exactly when
# nothing is pending, from the version behind `#` on. Many `status` commands always exit 0.
_GUARDS = [
    (re.compile(f"(?P<program>{program}) {command}"), guard)
    for program, command, guard in (
        (
            rf"(?:{_NODE} |\S*\.bin/)?prisma",
            r"migrate deploy(?P<rest>(?: --\w+[= ]\S+)*)",
            "migrate status{rest} # Prisma 4.3",
        ),
        (_MANAGE, rf"migrate(?P<rest>(?: (?:{_DJANGO}))*)", "migrate --check{rest} # Django 3.1"),
        (r"(?:bundle exec )?\S*(?:rails|rake)", "db:(?:migrate|prepare)", "db:abort_if_pending_migrations"),
        (rf"\S*flyway(?: {_FLYWAY})*", "migrate", "validate"),
        (
            r"(?:\S*php )?\S*artisan",
            "migrate(?: --force| --no-interaction| -n| --isolated)*",
            "migrate:status --pending=1 # Laravel 11.8",
        ),
        (r"\S*dbmate(?: --?(?!wait-timeout)\S+)*", "(?:up|migrate)", "status --exit-code --quiet"),
        (
            r"(?:\S*php )?\S*console",
            "doctrine:migrations:migrate(?: -n| --no-interaction)*",
            "doctrine:migrations:up-to-date",
        ),
        (rf"{_PYTHON}\S*airflow", "db migrate", "db check-migrations -t 1 # Airflow 2.0"),
    )
]
# Tools without a guard, and the command that looks like one but whose exit code does not show what is pending.
_NO_GUARD = [
    (re.compile(command), status)
    for command, status in (
        (r"\bliquibase\b.*\bupdate\b", "liquibase status"),
        (r"\batlas migrate apply\b", "atlas migrate status"),
        (r"\bgoose\b.*\bup\b", "goose status"),
        (r"^\S*migrate\b.* -(?:source|path|database)\b.*\bup\b", "golang-migrate's migrate version"),
        (r"\bsqlx (?:migrate run|database setup)\b", "sqlx migrate info"),
        (r"\bdiesel (?:migration run|setup|database setup)\b", "diesel migration pending"),
        (r"\bknex\b.* ?migrate:(?:latest|up)\b", "knex migrate:status"),
        (r"\bdrizzle-kit\b.*\b(?:migrate|push)\b", "drizzle-kit check"),
        (r"\becto\.migrate\b", "mix ecto.migrations"),
        (r"\bef database update\b", "dotnet ef migrations list"),
        (r"\bsequelize\b.*\bdb:migrate\b", "sequelize db:migrate:status"),
        (r"\bflask db upgrade\b", "flask db check"),
    )
]
_MIGRATIONS = [
    *(pattern for pattern, _ in (*_GUARDS, *_NO_GUARD)),
    re.compile(r"\bprisma (?:db push|migrate)|\bmigrate\b|\bdb:(?:migrate|prepare|setup)"),
]


class Wait(NamedTuple):
    """A server that a command waits for; host and port as the script has them, possibly variables."""

    host: str
    port: str
    tool: str
    url: str | None = None  # Set if the command waits for an HTTP success, not just for an open port.


def alembic(words: Sequence[str]) -> dict[str, Any] | None:
    """Return the fields of `alembic.upgrade` for a command; None if it is not one or has other options."""
    own = _without_runner(words)
    if not own or basename(own[0]) != "alembic" or "$$" in " ".join(own):
        return None
    try:
        options, rest = getopt(own[1:], "c:n:x:", ["config=", "name="])
    except GetoptError:
        return None
    if len(rest) != 2 or rest[0] != "upgrade" or not _TARGET.match(rest[1]):
        return None
    named = {name.lstrip("-")[0]: value for name, value in options}
    fields: dict[str, Any] = {"config": named.get("c", "alembic.ini")}
    fields |= {"target": rest[1]} if rest[1] != "head" else {}
    fields |= {"name": named["n"]} if "n" in named else {}
    extra = [value for name, value in options if name == "-x"]
    return {**fields, "x": extra} if extra else fields


def wait_for_it(words: Sequence[str]) -> tuple[list[Wait], list[str]] | None:
    """Return what `wait-for-it` waits for and the command it runs then; None for another program."""
    name, own, behind = basename(words[0]), list(words[1:]), list[str]()
    if "--" in own:
        own, behind = own[: own.index("--")], own[own.index("--") + 1 :]
    parsed = _parsed("wait-for", own) if _WAITERS.match(name) else None
    if parsed is None:
        return None
    options, targets = parsed
    host, port = options.get("h") or options.get("host"), options.get("p") or options.get("port")
    matches = [_ADDRESS.match(each) for each in [*targets, *([f"{host}:{port}"] if host and port else [])]]
    waits = [Wait(each[1], each[2], name) for each in matches if each is not None]
    return (waits, behind) if waits and len(waits) == len(matches) else None


def wait_loop(words: Sequence[str], environment_host: str = "") -> Wait | None:
    """Return the server that a loop with this condition waits for; None if it waits for anything more.

    Args:
        words: the loop's condition.
        environment_host: the variable PGHOST, which `pg_isready` uses.
    """
    name = basename(words[0])
    parsed = _parsed("nc" if name in ("ncat", "netcat") else name, words[1:])
    if parsed is None or name == "wait-for":
        return None
    options, rest = parsed
    if name == "pg_isready":
        host = options.get("h") or options.get("host") or environment_host
        return Wait(host, options.get("p") or options.get("port") or "5432", name) if host and not rest else None
    if name not in ("curl", "wget"):
        return Wait(rest[0], rest[1], name) if "z" in options and len(rest) == 2 else None
    url = _URL.match(rest[0]) if len(rest) == 1 else None
    if url is None:
        return None
    # Without `-f`, curl accepts any response, also an error, so it only waits for an open port.
    strict = name == "wget" or options.keys() & {"f", "fail"}
    port = url[3] or ("80" if url[1] == "http" else "443")
    return None if strict and "$$" in rest[0] else Wait(url[2], port, name, rest[0] if strict else None)


def guard(words: Sequence[str]) -> tuple[list[str] | None, str]:
    """Return a command's `unless` and the tool version it needs, or None and the text of a TODO."""
    line = " ".join(words)
    for pattern, text in _GUARDS if line.count(" ") == len(words) - 1 else ():
        if match := pattern.fullmatch(line):
            asks, _, version = text.format(**match.groupdict()).partition(" # ")
            return f"{match['program']} {asks}".split(" "), version
    status = next((name for pattern, name in _NO_GUARD if pattern.search(line)), None)
    return None, TODO if status is None else f"{TODO}; before you use `{status}`, check that its exit code tells"


def migrates(words: Sequence[str]) -> bool:
    """Whether this command migrates a schema."""
    if "alembic" in _without_runner(words)[:1] and "upgrade" in words:
        return True
    return any(pattern.search(" ".join(words)) for pattern in _MIGRATIONS)


def _without_runner(words: Sequence[str]) -> list[str]:
    """Strip `poetry run`, `uv run --no-dev`, `python -m` and the like from a command."""
    prefix = _RUNNERS.match(" ".join(words))
    return list(words[prefix[0].count(" ") :]) if prefix else list(words)


def _parsed(tool: str, words: Sequence[str]) -> tuple[dict[str, str], list[str]] | None:
    """Return the options, without hyphens, and the other arguments; None if an option is unknown."""
    try:
        options, rest = gnu_getopt(list(words), *_OPTIONS[tool])
    except (GetoptError, KeyError):
        return None
    return {name.lstrip("-"): value for name, value in options}, rest
