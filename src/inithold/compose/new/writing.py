"""Writes a draft as YAML with comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, TypeGuard

from inithold.compose.edit.render import scalar
from inithold.compose.new.model import Draft, DraftStep

_WIDTH = 110
_TOP = (
    "Drafted by `inithold new` from the service {service} of {files}. Nothing here was tried: each step says what "
    "it was guessed from, and what could not be told is marked TODO. ${{VAR}} is a variable of {service}, "
    "${{secret:NAME}} its file /run/secrets/NAME."
)


def text(draft: Draft) -> str:
    """The draft as a plan file."""
    lines = [*_comment(_TOP.format(service=draft.service, files=", ".join(draft.files)), "")]
    lines += ["version: 1", f"name: {scalar(draft.name)}"]
    if draft.lock:
        lines += ["# Replicas that start together do the work once.", f"lock: {scalar(draft.lock)}"]
    lines.append("steps:")
    for number, step in enumerate(draft.steps):
        lines += ["", *_step(step)] if number else _step(step)
    if draft.later:
        lines += ["", *(f"  # {line}" for line in draft.later)]
    return "\n".join(lines) + "\n"


def _step(step: DraftStep) -> Iterator[str]:
    yield from _comment("; ".join(step.why), "  ")
    yield f"  - id: {scalar(step.id)}"
    yield f"    uses: {step.uses}"
    if step.needs is not None:
        yield f"    needs: [{', '.join(map(scalar, step.needs))}]"
    if step.on_failure:
        yield f"    on_failure: {step.on_failure}"
    if step.retry:
        yield f"    retry: {_flow(step.retry)}"
    yield from _with(step.fields, block=bool(step.todo))
    for todo in step.todo:
        yield from _comment(f"TODO {todo}", "      ")


def _with(fields: dict[str, Any], *, block: bool) -> Iterator[str]:
    line = f"    with: {_flow(fields)}"
    block = block or len(line) > _WIDTH or len(fields) > 3
    if not block and not any(_is_block(value) for value in fields.values()):
        yield line
        return
    yield "    with:"
    for key, value in fields.items():
        yield from _field(key, value)


def _field(key: str, value: Any) -> Iterator[str]:
    line = f"      {key}: {_flow(value)}"
    if _is_lines(value):
        # An indentation of its own, for scripts that begin with blanks.
        yield f"      {key}: |2-"
        yield from (f"        {each}".rstrip() for each in value.split("\n"))
    elif isinstance(value, list) and (len(line) > _WIDTH or _is_block(value)):
        yield f"      {key}:"
        for item in value:
            if _is_lines(item):
                yield "        - |2-"
                yield from (f"          {each}".rstrip() for each in item.split("\n"))
            else:
                yield f"        - {_flow(item)}"
    else:
        yield line


def _is_block(value: Any) -> bool:
    if isinstance(value, list):
        return any(_is_block(each) or isinstance(each, dict) for each in value)
    return _is_lines(value)


def _is_lines(value: Any) -> TypeGuard[str]:
    """Several lines that can stand as they are: YAML takes no control characters there."""
    return isinstance(value, str) and "\n" in value and all(each.isprintable() or each in "\n\t" for each in value)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(each) for each in value) + "]"
    return scalar(value)


def _comment(said: str, indent: str) -> list[str]:
    one_line = " ".join(said.split())
    return textwrap.wrap(
        one_line,
        _WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
