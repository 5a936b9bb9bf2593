"""How a migration tool tells by itself that nothing is pending: a line a tool.

A guard is drafted only where the tool's own manual says that it exits 0 with nothing pending and otherwise with
something else. Many a `status` exits 0 whatever is pending: that guard would skip migrations for ever.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from inithold.compose.new.known import without_runner

TODO = "unless: a command that exits 0 where this is done already; without it, it runs in every run"


@dataclass(frozen=True, slots=True)
class _Tool:
    """A migration tool.

    Args:
        command: matches the whole command, words with a blank between.
        guard: the words of the guard, after the groups of `command`; None where the tool has none.
        why: why there is none, or what the guard needs.
    """

    command: str
    guard: str | None
    why: str = ""


_JS = (
    r"(?:(?:npx|bunx|pnpm(?: exec| dlx)?|yarn(?: run| dlx)?|bun x|npm exec(?: --)?)"
    r"(?: --?(?:yes|y|no-install|bun))* |\S*node_modules/\.bin/)?"
)
_PHP = r"(?:\S*php )?"
_PYTHON = r"(?:(?:poetry|uv|pipenv|pdm|hatch|rye) run )?"
_TOOLS = (
    _Tool(
        rf"(?P<run>{_JS}prisma) migrate deploy(?P<rest>(?: --(?:schema|config)[= ]\S+)*)",
        "{run} migrate status{rest}",
    ),
    _Tool(
        rf"(?P<run>{_PYTHON}(?:(?:\S*python[\d.]* )?\S*manage\.py|\S*django-admin)) migrate"
        r"(?P<rest>(?: (?:--no-?input|--skip-checks|--database[= ]\S+|--settings=\S+|-v ?\d"
        r"|--verbosity[= ]\d|[a-z_]\w*))*)",
        "{run} migrate --check{rest}",
    ),
    _Tool(
        r"(?P<run>(?:bundle exec )?\S*(?:rails|rake)) db:(?:migrate|prepare)",
        "{run} db:abort_if_pending_migrations",
    ),
    _Tool(
        r"(?P<run>\S*flyway(?: (?!-(?:target|cherryPick|ignore\w*|outOfOrder|validateOnMigrate))-\S+)*) migrate",
        "{run} validate",
    ),
    _Tool(
        rf"(?P<run>{_PHP}\S*artisan) migrate(?: (?:--force|--no-interaction|-n|--isolated))*",
        "{run} migrate:status --pending=1",
        "from Laravel 11.8 on",
    ),
    _Tool(r"(?P<run>\S*dbmate(?: --?(?!wait-timeout)\S+)*) (?:up|migrate)", "{run} status --exit-code --quiet"),
    _Tool(
        rf"(?P<run>{_PHP}\S*bin/console) doctrine:migrations:migrate(?: (?:-n|--no-interaction))*",
        "{run} doctrine:migrations:up-to-date",
    ),
    _Tool(rf"(?P<run>{_PYTHON}\S*airflow) db migrate", "{run} db check-migrations -t 0"),
    _Tool(r".*\bliquibase\b.*\bupdate\b.*", None, "`liquibase status` is none, it exits 0 whatever is pending"),
    _Tool(r".*\batlas migrate apply\b.*", None, "`atlas migrate status` is none, it exits 0 whatever is pending"),
    _Tool(r".*\bgoose\b.*\bup\b.*", None, "`goose status` is none, it exits 0 whatever is pending"),
    _Tool(r"\S*migrate\b.* -(?:source|path|database)\b.*\bup\b.*", None, "golang-migrate has none"),
    _Tool(
        r".*\bsqlx (?:migrate run|database setup)\b.*",
        None,
        "`sqlx migrate info` is none, it exits 0 whatever is pending",
    ),
    _Tool(
        r".*\bdiesel (?:migration run|setup|database setup)\b.*",
        None,
        "`diesel migration pending` is none, it exits 0 either way",
    ),
    _Tool(
        r".*\bknex\b.* ?migrate:(?:latest|up)\b.*",
        None,
        "`knex migrate:status` is none, it exits 0 whatever is pending",
    ),
    _Tool(
        r".*\bdrizzle-kit\b.*\b(?:migrate|push)\b.*",
        None,
        "`drizzle-kit check` is none, it looks at files alone",
    ),
    _Tool(r".*\becto\.migrate\b.*", None, "`mix ecto.migrations` is none, it exits 0 whatever is pending"),
    _Tool(
        r".*\bef database update\b.*", None, "`dotnet ef migrations list` is none, it exits 0 whatever is pending"
    ),
    _Tool(
        r".*\bsequelize\b.*\bdb:migrate\b.*", None, "`db:migrate:status` is none, it exits 0 whatever is pending"
    ),
    _Tool(
        r".*\bflask db upgrade\b.*",
        None,
        "`flask db check` is none, it compares models",
    ),
    _Tool(
        r".*(?:\bprisma (?:db push|migrate)|\bmigrate\b|\bdb:(?:migrate|prepare|setup)).*",
        None,
        "none is known for this form of the command",
    ),
)
_COMPILED = [(re.compile(tool.command), tool) for tool in _TOOLS]


def guard(words: Sequence[str]) -> tuple[list[str] | None, str | None]:
    """The guard of a command, and what a person has to know or do.

    Args:
        words: program and arguments.

    Returns:
        The words of `unless`, None where there is none; and a note on it, or the text of a TODO; None for no word.
    """
    if any(re.search(r"\s", word) for word in words):
        return None, TODO
    line = " ".join(words)
    for pattern, tool in _COMPILED:
        found = pattern.fullmatch(line)
        if found is not None and tool.guard is not None:
            return tool.guard.format(**found.groupdict()).split(" "), tool.why or None
        if found is not None:
            return None, f"{TODO}; {tool.why}"
    return None, TODO


def migrates(words: Sequence[str]) -> bool:
    """Does this command bring a schema up to date?"""
    line = " ".join(words)
    if "alembic" in without_runner(words)[:1] and "upgrade" in words:
        return True
    return any(pattern.fullmatch(line) for pattern, _ in _COMPILED)
