"""MinIO's client `mc`: the buckets that it makes."""

from __future__ import annotations

from collections.abc import Sequence

from inithold.compose.new.commands.context import Place, program
from inithold.compose.new.model import DraftStep, Item
from inithold.compose.new.script import Call


def read(call: Call, words: Sequence[str], place: Place) -> list[Item] | None:  # noqa: ARG001 - as all readers
    """`mc mb` with a guard, and `mc alias set`, which is safe to repeat; None for the rest."""
    if program(words) != "mc":
        return None
    own = [word for word in words[1:] if not word.startswith("-")]
    if own[:1] == ["mb"] and len(own) == 2 and call.plain:
        bucket = own[1].rstrip("/")
        fields = {"run": list(words), "unless": [words[0], "ls", bucket]}
        return [DraftStep(f"bucket-{bucket.rpartition('/')[2]}", "command.run", fields, [f"runs `{call.raw}`"])]
    if own[:2] == ["alias", "set"] or own[:3] == ["config", "host", "add"]:
        run: object = list(words) if call.plain else call.raw
        why = [f"tells mc how to reach {own[2] if own[0] == 'alias' else own[3]}; safe to repeat"]
        return [DraftStep("alias", "command.run", {"run": run}, why)]
    return None
