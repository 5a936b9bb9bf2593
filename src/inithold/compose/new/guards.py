"""How a migration tool tells by itself that nothing is pending: a line a tool.

A guard is drafted only where the tool's own manual says that it exits 0 with nothing pending and otherwise with
something else. Many a `status` exits 0 whatever is pending: that guard would skip migrations forever.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from inithold.compose.new.known import without_runner

TODO = "unless: a command that exits 0 where this is done already; without it, it runs in every run"
_NODE = (
    r"(?:npx|bunx|pnpm(?: exec| dlx)?|yarn(?: run| dlx)?|bun x|npm exec(?: --)?)(?: --?(?:yes|y|no-install|bun))*"
)
_PHP, _PYTHON = r"(?:\S*php )?", r"(?:(?:poetry|uv|pipenv|pdm|hatch|rye) run )?"
_DJANGO = r"--no-?input|--skip-checks|--database[= ]\S+|--settings=\S+|-v ?\d|--verbosity[= ]\d|[a-z_]\w*"
_FLYWAY = r"-(?!target|cherryPick|ignore|outOfOrder|validateOnMigrate)\S+"
# The whole command, words with a blank between, and its guard: `{run}` and `{rest}` are groups of the command.
_GUARDS = [
    (re.compile(command), guard)
    for command, guard in (
        (
            rf"(?P<run>(?:{_NODE} |\S*\.bin/)?prisma) migrate deploy(?P<rest>(?: --\w+[= ]\S+)*)",
            "{run} migrate status{rest}",
        ),
        (
            rf"(?P<run>{_PYTHON}(?:\S*python[\d.]* )?\S*manage\.py) migrate(?P<rest>(?: (?:{_DJANGO}))*)",
            "{run} migrate --check{rest}",
        ),
        (
            rf"(?P<run>{_PYTHON}\S*django-admin) migrate(?P<rest>(?: (?:{_DJANGO}))*)",
            "{run} migrate --check{rest}",
        ),
        (
            r"(?P<run>(?:bundle exec )?\S*(?:rails|rake)) db:(?:migrate|prepare)",
            "{run} db:abort_if_pending_migrations",
        ),
        (rf"(?P<run>\S*flyway(?: {_FLYWAY})*) migrate", "{run} validate"),
        # The exit code is an argument from Laravel 11.8 on.
        (
            rf"(?P<run>{_PHP}\S*artisan) migrate(?: --force| --no-interaction| -n| --isolated)*",
            "{run} migrate:status --pending=1",
        ),
        (r"(?P<run>\S*dbmate(?: --?(?!wait-timeout)\S+)*) (?:up|migrate)", "{run} status --exit-code --quiet"),
        (
            rf"(?P<run>{_PHP}\S*console) doctrine:migrations:migrate(?: -n| --no-interaction)*",
            "{run} doctrine:migrations:up-to-date",
        ),
        (rf"(?P<run>{_PYTHON}\S*airflow) db migrate", "{run} db check-migrations -t 0"),
    )
]
# Tools without one, and what might be taken for it: its exit code does not tell what is pending.
_NONE = (
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
_OTHER_FORMS = re.compile(r"\bprisma (?:db push|migrate)|\bmigrate\b|\bdb:(?:migrate|prepare|setup)")


def guard(words: Sequence[str]) -> tuple[list[str] | None, str]:
    """The guard of a command.

    Args:
        words: program and arguments.

    Returns:
        The words of `unless`, None where there is none; and then the text of a TODO.
    """
    line = " ".join(words)
    for pattern, text in _GUARDS if line.count(" ") == len(words) - 1 else ():
        if match := pattern.fullmatch(line):
            return text.format(**match.groupdict()).split(" "), ""
    none = next((name for pattern, name in _NONE if re.search(pattern, line)), None)
    return None, TODO if none is None else f"{TODO}; the exit code of `{none}` does not tell what is pending"


def migrates(words: Sequence[str]) -> bool:
    """Does this command bring a schema up to date?"""
    if "alembic" in without_runner(words)[:1] and "upgrade" in words:
        return True
    line = " ".join(words)
    patterns = [*(pattern for pattern, _ in _GUARDS), *(re.compile(pattern) for pattern, _ in _NONE), _OTHER_FORMS]
    return any(pattern.search(line) for pattern in patterns)
