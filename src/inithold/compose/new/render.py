"""Writes a draft as commented YAML, and its summary for standard error."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from inithold.compose.edit.render import block, flow, item_lines, scalar
from inithold.errors import UsageError
from inithold.version import PLAN_SCHEMA

if TYPE_CHECKING:
    from inithold.compose.new.draft import Draft
    from inithold.compose.new.work import Step

STANDARD_OUTPUT = "-"
_WIDTH = 110
_TOP = (
    "Drafted by `inithold new` from the service {service} in {files}. Nothing here has been tested: each step "
    "says what it was guessed from, and TODO marks what could not be determined. ${{VAR}} is a variable of "
    "{service}, ${{secret:NAME}} its file /run/secrets/NAME."
)
_EXTRAS = {"alembic.upgrade": "alembic", "rabbitmq.ready": "rabbitmq", "redis.ready": "redis"}


def plan_text(draft: Draft) -> str:
    """Return the text of the plan file."""
    lines = [f"# yaml-language-server: $schema={PLAN_SCHEMA}"]
    lines += _comment(_TOP.format(service=draft.service, files=", ".join(draft.files)), "")
    lines += ["version: 1", f"name: {scalar(draft.name)}"]
    if draft.lock:
        lines += ["# Replicas that start together do the work once.", f"lock: {scalar(draft.lock)}"]
    lines.append("steps:")
    for number, step in enumerate(draft.steps):
        lines += ["", *_step(step)] if number else _step(step)
    return "\n".join(lines) + "\n"


def _step(step: Step) -> Iterator[str]:
    yield from _comment("; ".join(step.why), "  ")
    yield f"  - id: {scalar(step.id)}"
    yield f"    uses: {step.uses}"
    if step.needs is not None:
        yield f"    needs: [{', '.join(map(scalar, step.needs))}]"
    line = f"    with: {flow(step.fields)}"
    if len(line) <= _WIDTH and len(step.fields) <= 3 and not step.todo and "env" not in step.fields:
        yield line
        return
    yield "    with:"
    for key, value in step.fields.items():
        lines = block({key: value}, "      ", "  ")
        if isinstance(value, list) and len(lines[0]) > _WIDTH:
            lines = [f"      {key}:", *(line for item in value for line in item_lines(item, "        ", "  "))]
        yield from lines
    for todo in step.todo:
        yield from _comment(f"TODO {todo}", "      ")


def _comment(text: str, indent: str) -> list[str]:
    width = _WIDTH - len(indent) - 2
    lines = textwrap.wrap(" ".join(text.split()), width, break_long_words=False, break_on_hyphens=False)
    return [f"{indent}# {line}" for line in lines]


def summary(draft: Draft, target: str, given: Sequence[str]) -> str:
    """Return the summary for standard error: what was guessed, what is unknown, and what to do next.

    Args:
        draft: the draft.
        target: the file it was written to; `-` is standard output.
        given: the files given with -f.
    """
    name, plan = ("the draft", "inithold.yaml") if target == STANDARD_OUTPUT else (target, target)
    lines = [f"{name}: {len(draft.steps)} {'step' if len(draft.steps) == 1 else 'steps'}"]
    guessed = [f"{step.id} ({step.uses}): {'; '.join(step.why)}" for step in draft.steps]
    for title, messages in (
        ("init service", draft.chosen),
        ("guessed", [*guessed, *(f"left out {each}" for each in draft.dropped)]),
        ("could not determine", draft.unknown),
        (f"give to {'init' if draft.hooks else draft.service}", draft.needed),
    ):
        if messages:
            lines += ["", f"{title}:", *(f"  {' '.join(each.split())}" for each in dict.fromkeys(messages))]
    return "\n".join([*lines, "", "next:", *(f"  {line}" for line in _next(draft, plan, given))])


def _next(draft: Draft, plan: str, given: Sequence[str]) -> Iterator[str]:
    service = "init" if draft.hooks else draft.service
    argument = f" {plan}" if plan != "inithold.yaml" else ""
    extras = {_EXTRAS[step.uses] for step in draft.steps if step.uses in _EXTRAS}
    for why in (" ".join(step.why) for step in draft.steps if step.uses == "database.ready"):
        extras.add("mysql" if any(name in why for name in ("mysql", "mariadb", "percona")) else "postgres")
    package = f"'inithold[{','.join(sorted(extras))}]'" if extras else "inithold"
    files = "".join(f" -f {file}" for file in given)
    yield f"read {plan}: check each guess and complete each TODO"
    if draft.hooks:
        yield f"add a service init with its image, with the environment, networks and mounts of {draft.service}"
        yield f"remove pre_start from {draft.service}, and make it wait for init (condition: service_healthy)"
    yield f"put inithold and the plan into the image of {service}: pip install {package}"
    if draft.entrypoint or draft.hooks:
        listed = ", ".join(["inithold", "run", *([plan] if argument else [])])
        why = "the entrypoint would get it as an argument"
        yield f"set entrypoint: [{listed}] in {service} and remove its command ({why})"
    else:
        yield f"give {service} the command: inithold run{argument}"
    # --entrypoint, because the service's own might be the old script.
    run = f"docker compose{files} run --rm --entrypoint inithold"
    yield f"{run} {service} plan{argument}   # shows what a run would change"
    yield f"inithold compose fix{files}   # fixes the healthcheck of {service}, and the services that wait for it"
    if draft.wrap:
        yield f"or without a plan: inithold compose fix{files} {draft.wrap}"


def refuse_existing(target: str) -> None:
    """Refuse a target that exists, even as a dangling link.

    Raises:
        UsageError: the target exists or is empty.
    """
    if not target:
        raise UsageError("-o needs the name of a file")
    if target != STANDARD_OUTPUT and os.path.lexists(target):
        hint = "name another file with -o, or - to print the draft"
        raise UsageError(f"{target} already exists; nothing was written", hint=hint)


def write_new(target: str, text: str) -> None:
    """Create a file atomically.

    Raises:
        UsageError: the file exists by now or cannot be written; nothing was written.
    """
    path = Path(target)
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        with suppress(OSError):
            # Unlike a rename, a link never replaces a file that appeared meanwhile.
            path.hardlink_to(temporary)
            return
        # The target exists by now, or the file system has no hard links.
        refuse_existing(target)
        temporary.rename(path)
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror or error}; nothing was written") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
