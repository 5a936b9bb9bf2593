"""`kafka-topics --create` with a guard."""

from __future__ import annotations

from collections.abc import Sequence

from inithold.compose.new.commands.context import Place, option, program
from inithold.compose.new.model import DraftStep, Dropped, Item
from inithold.compose.new.naming import slug
from inithold.compose.new.script import Call


def read(call: Call, words: Sequence[str], place: Place) -> list[Item] | None:  # noqa: ARG001 - as all readers
    """`command.run` that makes a topic unless it is described; `--list` only looks, and is left out."""
    if program(words) not in ("kafka-topics", "kafka-topics.sh") or not call.plain:
        return None
    if "--list" in words:
        return [Dropped(call.raw, "it only looks")]
    topic, server = option(words, "--topic"), option(words, "--bootstrap-server")
    if "--create" not in words or topic is None or server is None:
        return None
    guard = [words[0], "--bootstrap-server", server, "--describe", "--topic", topic]
    if configuration := option(words, "--command-config"):
        guard += ["--command-config", configuration]
    fields = {"run": list(words), "unless": guard}
    return [DraftStep(f"topic-{slug(topic)}", "command.run", fields, ["makes a topic unless it is there"])]
