"""Writes a draft: as YAML with comments, and what is said of it for people."""

from __future__ import annotations

import os
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from inithold.compose.edit.render import scalar
from inithold.errors import UsageError
from inithold.version import PLAN_SCHEMA

if TYPE_CHECKING:
    from inithold.compose.new.draft import Draft
    from inithold.compose.new.work import Step

STANDARD_OUTPUT = "-"
_WIDTH = 110
_TOP = (
    "Drafted by `inithold new` from the service {service} of {files}. Nothing here was tried: each step says what "
    "it was guessed from, and what could not be told is marked TODO. ${{VAR}} is a variable of {service}, "
    "${{secret:NAME}} its file /run/secrets/NAME."
)
_EXTRAS = {"alembic.upgrade": "alembic", "rabbitmq.ready": "rabbitmq", "redis.ready": "redis"}


def plan_text(draft: Draft) -> str:
    """The draft as a plan file."""
    lines = [f"# yaml-language-server: $schema={PLAN_SCHEMA}"]
    lines += _comment(_TOP.format(service=draft.service, files=", ".join(draft.files)), "")
    lines += ["version: 1", f"name: {scalar(draft.name)}"]
    if draft.lock:
        lines += ["# Replicas that start together do the work once.", f"lock: {scalar(draft.lock)}"]
    lines.append("steps:")
    for number, step in enumerate(draft.steps):
        lines += ["", *_step(step)] if number else _step(step)
    return "\n".join(lines) + "\n"


def summary(draft: Draft, target: str, given: Sequence[str]) -> str:
    """What was guessed, what could not be told, and what to do next: the lines for standard error.

    Args:
        draft: the draft.
        target: the file it was written to, `-` for standard output.
        given: the files that `-f` named.
    """
    name = "the draft" if target == STANDARD_OUTPUT else target
    lines = [f"{name}: {len(draft.steps)} {'step' if len(draft.steps) == 1 else 'steps'}"]
    guessed = [f"{step.id} ({step.uses}): {'; '.join(step.why)}" for step in draft.steps]
    for title, messages in (
        ("taken", draft.chosen),
        ("guessed", [*guessed, *(f"left out {each}" for each in draft.dropped)]),
        ("could not tell", draft.unknown),
        (f"give to {'init' if draft.hooks else draft.service}", draft.needed),
    ):
        if messages:
            lines += ["", f"{title}:", *(f"  {' '.join(each.split())}" for each in dict.fromkeys(messages))]
    plan = "inithold.yaml" if target == STANDARD_OUTPUT else target
    return "\n".join([*lines, "", "next:", *(f"  {line}" for line in _next(draft, plan, given))])


def _next(draft: Draft, plan: str, given: Sequence[str]) -> Iterator[str]:
    service = "init" if draft.hooks else draft.service
    argument = "" if plan == "inithold.yaml" else f" {plan}"
    listed = f", {plan}" if argument else ""
    extras = ",".join(sorted(set(_extras(draft))))
    package = f"'inithold[{extras}]'" if extras else "inithold"
    files = "".join(f" -f {file}" for file in given)
    yield f"read {plan}: is each guess right? fill in what is marked TODO"
    if draft.hooks:
        yield f"make a service init of its image, with the environment, networks and mounts of {draft.service}"
        yield f"take pre_start from {draft.service}, and let it wait for init: condition: service_healthy"
    yield f"put inithold and the plan into the image of {service}: pip install {package}"
    if draft.entrypoint or draft.hooks:
        yield f"give {service} entrypoint: [inithold, run{listed}] and no command: another would come first"
    else:
        yield f"give {service} the command: inithold run{argument}"
    # Whatever the service's own entrypoint is: it might be the old script.
    run = f"docker compose{files} run --rm --entrypoint inithold"
    yield f"{run} {service} plan{argument}   # what a run would change"
    yield f"inithold compose fix{files}   # the healthcheck of {service}, and who waits for it"
    if not draft.hooks:
        wrap = f"inithold compose fix{files} --wrap inithold"
        yield f"or without a plan: {wrap}   # the command as it is, then a hold"


def _extras(draft: Draft) -> Iterator[str]:
    for step in draft.steps:
        if step.uses in _EXTRAS:
            yield _EXTRAS[step.uses]
        if step.uses == "database.ready":
            why = " ".join(step.why)
            yield "mysql" if any(name in why for name in ("mysql", "mariadb", "percona")) else "postgres"


def _step(step: Step) -> Iterator[str]:
    yield from _comment("; ".join(step.why), "  ")
    yield f"  - id: {scalar(step.id)}"
    yield f"    uses: {step.uses}"
    if step.needs is not None:
        yield f"    needs: [{', '.join(map(scalar, step.needs))}]"
    line = f"    with: {_flow(step.fields)}"
    if step.todo or len(line) > _WIDTH or len(step.fields) > 3 or any(map(_is_block, step.fields.values())):
        yield "    with:"
        for key, value in step.fields.items():
            yield from _field(key, value)
    else:
        yield line
    for todo in step.todo:
        yield from _comment(f"TODO {todo}", "      ")


def _field(key: str, value: Any) -> Iterator[str]:
    line = f"      {key}: {_flow(value)}"
    if isinstance(value, list) and (len(line) > _WIDTH or _is_block(value)):
        yield f"      {key}:"
        for item in value:
            yield from _literal(item) if _is_lines(item) else [f"        - {_flow(item)}"]
    elif isinstance(value, dict):
        yield f"      {key}:"
        yield from (f"        {scalar(name)}: {_flow(each)}" for name, each in value.items())
    else:
        yield line


def _literal(text: str) -> Iterator[str]:
    """A text of several lines as it stands: indented by a known width, with as many line ends as it has."""
    body = text.rstrip("\n")
    ends = len(text) - len(body)
    yield f"        - |2{'-' if not ends else '' if ends == 1 else '+'}"
    yield from (f"          {line}" if line else "" for line in body.split("\n"))
    yield from [""] * (ends - 1)


def _is_block(value: Any) -> bool:
    if isinstance(value, list):
        return any(_is_block(each) or isinstance(each, dict) for each in value)
    return isinstance(value, dict) or _is_lines(value)


def _is_lines(value: Any) -> TypeGuard[str]:
    """Several lines that can stand as they are: no control characters, and no line of blanks alone."""
    if not isinstance(value, str) or "\n" not in value.rstrip("\n"):
        return False
    printable = all(each.isprintable() or each in "\n\t" for each in value)
    return printable and not any(line and not line.strip() for line in value.split("\n"))


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(each) for each in value) + "]"
    return scalar(value)


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()),
        _WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def refuse_existing(target: str) -> None:
    """Refuse to write over anything, be it a link that leads nowhere.

    Raises:
        UsageError: something of that name is there.
    """
    if target != STANDARD_OUTPUT and os.path.lexists(target):
        raise _exists(target)


def write_new(target: str, text: str) -> None:
    """Write a file that was not there, whole or not at all.

    Args:
        target: its path.
        text: its content.

    Raises:
        UsageError: something of that name is there by now, or it cannot be written; nothing was.
    """
    path = Path(target)
    mask = os.umask(0)
    os.umask(mask)
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile("wb", prefix=f".{path.name}.", dir=path.parent, delete=False) as stream:
            temporary = Path(stream.name)
            stream.write(text.encode())
            stream.flush()
            os.fsync(stream.fileno())
            os.fchmod(stream.fileno(), 0o644 & ~mask)
        try:
            # Unlike a rename it never replaces what somebody else put there meanwhile.
            path.hardlink_to(temporary)
        except FileExistsError:
            raise
        except OSError:
            # Not every file system has links.
            refuse_existing(target)
            temporary.rename(path)
    except FileExistsError:
        raise _exists(target) from None
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror or error}; nothing was written") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _exists(target: str) -> UsageError:
    return UsageError(
        f"{target} is there already; nothing was written",
        hint="name another file with -o, or - to print the draft",
    )
