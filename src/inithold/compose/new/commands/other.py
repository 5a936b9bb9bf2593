"""Commands that are known by no technology: what a plan does not need, and what it runs as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from inithold.compose.new.commands.context import Place, program
from inithold.compose.new.model import DraftStep, Dropped, Item
from inithold.compose.new.naming import step_id
from inithold.compose.new.script import Call

UNLESS = "unless: a command that exits 0 where this is done already; without it, it runs in every run"
_HOLDS = "inithold holds by itself"
_WAITS = "the ready steps wait for as long as it takes, and no longer"
_SERVERS = re.compile(
    r"(?:^|\s|/)(?:uvicorn|gunicorn|hypercorn|daphne|waitress-serve|puma|unicorn|sidekiq|nginx|php-fpm"
    r"|apache2-foreground|supervisord|pm2-runtime|catalina\.sh)(?:\s|\Z)"
    r"|\b(?:runserver|rails s(?:erver)?|fastapi (?:run|dev)|flask run|celery .*\b(?:worker|beat)|java .*-jar"
    r"|php artisan (?:serve|queue:work|octane:start))(?:\s|\Z)"
    r"|\b(?:npm|yarn|pnpm|bun) (?:run )?(?:start|serve|dev)(?::\w+)?\Z"
    r"|\bnode \S*(?:server|main|index|app)\.[cm]?js\Z"
)
_QUIET = (
    "echo",
    "printf",
    "true",
    ":",
    "set",
    "trap",
    "date",
    "exit",
    "ulimit",
    "umask",
    "id",
    "whoami",
    "pwd",
    "env",
    "printenv",
)
_MARKER = re.compile(r"(?:touch\s+|>\s*)['\"]?/(?:tmp|dev/shm|run|var/run)/\S+")


def read(call: Call, words: Sequence[str], place: Place) -> list[Item] | None:  # noqa: ARG001 - as all readers
    """Nothing, for what only talks, pauses, stays up or says that all is done; None for what has to run."""
    name = program(words)
    if name == "sleep":
        endless = len(words) > 1 and not re.fullmatch(r"\d{1,4}(?:\.\d+)?[sm]?", words[1])
        return [Dropped(call.raw, _HOLDS if endless else _WAITS)]
    if name == "tail" and "/dev/null" in words:
        return [Dropped(call.raw, _HOLDS)]
    if _MARKER.search(call.raw) and name in ("touch", "echo", "date", ":", "true", ""):
        return [Dropped(call.raw, "inithold publishes a marker of its own")]
    if name in _QUIET and (call.plain or ">" not in call.raw) and "|" not in call.raw:
        return []
    if _SERVERS.search(" ".join(words)):
        return [Dropped(call.raw, "it looks like a service's own program: give it a service of its own")]
    return None


def command(call: Call, words: Sequence[str], place: Place) -> DraftStep:
    """`command.run` as it is written.

    Args:
        call: the command.
        words: its words without `exec`, `poetry run` and the like.
        place: where it runs.
    """
    if call.plain:
        run = list(call.words[1:] if call.words[0] == "exec" else call.words)
        step = _step({"run": run}, f"runs `{call.raw}`", place)
    else:
        step = shell(call.raw, "a line of the script", place)
    step.id = step_id(words)
    if call.ignored:
        step.on_failure = "continue"
        step.why.append("the script goes on without it, and so does the run")
    return step


def shell(text: str, why: str, place: Place) -> DraftStep:
    """`command.run` of a piece of script, by the shell that it is written for."""
    plain = place.shell in ("sh", "ash", "dash")
    return _step({"run": text if plain else [place.shell, "-c", text]}, why, place)


def _step(fields: dict[str, object], why: str, place: Place) -> DraftStep:
    if place.folder:
        fields["cwd"] = place.folder
    return DraftStep("script", "command.run", fields, [why], [UNLESS])
