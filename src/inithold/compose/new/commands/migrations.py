"""Migration tools that have a command which tells whether anything is pending: it becomes the step's guard."""

from __future__ import annotations

from collections.abc import Sequence

from inithold.compose.new.commands.context import Place, program
from inithold.compose.new.model import DraftStep, Item
from inithold.compose.new.script import Call


def read(call: Call, words: Sequence[str], place: Place) -> list[Item] | None:
    """`command.run` with a guard; None for a tool that is not known here, or has none."""
    guard = _guard(words)
    if guard is None or not call.plain:
        return None
    before = list(call.words[: len(call.words) - len(words)])
    before = before[1:] if before[:1] == ["exec"] else before
    fields: dict[str, object] = {"run": [*before, *words], "unless": [*before, *guard[0]]}
    if place.folder:
        fields["cwd"] = place.folder
    why = [f"runs `{call.raw}`; `unless` asks it whether anything is pending{guard[1]}"]
    step = DraftStep("migrate", "command.run", fields, why)
    step.on_failure = "continue" if call.ignored else None
    return [step]


def _guard(words: Sequence[str]) -> tuple[list[str], str] | None:
    """The command that exits 0 where nothing is pending, and since when there is one."""
    manage = next((at for at, word in enumerate(words) if word.rpartition("/")[2] in _MANAGE), None)
    if manage is not None and words[manage + 1 : manage + 2] == ["migrate"]:
        return [*words[: manage + 2], "--check", *_django(words[manage + 2 :])], ", from Django 3.1 on"
    found = next((found for tool in _TOOLS if (found := tool(program(words), list(words))) is not None), None)
    return None if found is None else (found, "")


def _django(words: Sequence[str]) -> list[str]:
    """The options of `migrate` that say where; those that say what it does would not fit a check."""
    found: list[str] = []
    for at, word in enumerate(words):
        if word.startswith(("--database", "--settings")):
            found += [word] if "=" in word else words[at : at + 2]
    return found


def _rails(name: str, words: list[str]) -> list[str] | None:
    known = name in ("rails", "rake") and words[1:2] in (["db:migrate"], ["db:prepare"])
    return [words[0], "db:abort_if_pending_migrations"] if known else None


def _prisma(name: str, words: list[str]) -> list[str] | None:
    known = name == "prisma" and words[1:3] == ["migrate", "deploy"]
    return [words[0], "migrate", "status", *words[3:]] if known else None


def _flyway(name: str, words: list[str]) -> list[str] | None:
    # What is not applied yet makes `validate` fail, as does what was changed afterwards.
    known = name == "flyway" and "migrate" in words
    return ["validate" if word == "migrate" else word for word in words] if known else None


def _dbmate(name: str, words: list[str]) -> list[str] | None:
    known = name == "dbmate" and words[-1] in ("up", "migrate")
    return [*words[:-1], "status", "--exit-code", "--quiet"] if known else None


def _doctrine(name: str, words: list[str]) -> list[str] | None:  # noqa: ARG001 - as all tools
    if "doctrine:migrations:migrate" not in words:
        return None
    return [*words[: words.index("doctrine:migrations:migrate")], "doctrine:migrations:up-to-date"]


def _airflow(name: str, words: list[str]) -> list[str] | None:
    known = name == "airflow" and words[1:3] in (["db", "migrate"], ["db", "upgrade"])
    return [words[0], "db", "check-migrations", "-t", "0"] if known else None


_MANAGE = ("manage.py", "django-admin")
_TOOLS = (_rails, _prisma, _flyway, _dbmate, _doctrine, _airflow)
