"""What the plan of an init service says that matters to its wiring: its time limits and its lock.

The plan is looked for where the container gets it from: a bind mount, a `configs` entry, the build context. One
that is not found or not readable says nothing here; `inithold run` will.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml

from inithold.compose.read.tree import Mapping, Scalar, Sequence
from inithold.compose.stack.duration import seconds
from inithold.compose.stack.roles import host_path
from inithold.errors import DocumentError
from inithold.text.yaml12 import read_text

if TYPE_CHECKING:
    from inithold.compose.stack.roles import Init, Stack

COMMAND_LINE = "the command line"
_LARGEST = 1024 * 1024
_READY = 600.0  # a `*.ready` step's own limit where it names none


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """What a plan says.

    Args:
        file: where it was found; COMMAND_LINE where that is all that is known.
        limit: the longest the run may take, in seconds, as far as its steps say; 0 where they say nothing.
        locked: it has a `lock`.
        bounded: the limit is the plan's own `timeout`, which bounds its waits as well.
    """

    file: str
    limit: float
    locked: bool
    bounded: bool = False


def read_plan(init: Init, stack: Stack) -> PlanFacts | None:
    """The plan that `init` runs; None where it cannot be found or read here.

    With `--wait` it is as long again as its waits may take, which are side by side.
    """
    if not init.command.inithold:
        return None
    facts = None if init.command.wrapped else _facts(init, stack)
    if not init.command.waits:
        return facts
    if facts is None:
        return PlanFacts(COMMAND_LINE, _READY, False)
    return facts if facts.bounded else replace(facts, limit=facts.limit + _READY)


def _facts(init: Init, stack: Stack) -> PlanFacts | None:
    name = init.command.plan or "inithold.yaml"
    if "$" in name or (":" in name and not name.endswith((".yaml", ".yml"))):
        return None
    try:
        file, text = _plan_file(init, stack, name)
        plan = yaml.safe_load(text)
    except (LookupError, DocumentError, yaml.YAMLError, ValueError, RecursionError):
        return None
    if not isinstance(plan, dict):
        return None
    limit = seconds(str(plan.get("timeout") or ""))
    longest = limit if limit is not None else _longest(plan.get("steps"))
    return PlanFacts(file, longest, bool(plan.get("lock")), limit is not None)


def _plan_file(init: Init, stack: Stack, name: str) -> tuple[str, str]:
    """Name and content of the plan's file; LookupError where it is not found."""
    service = init.service
    inside = name if name.startswith("/") else f"{(service.text('working_dir') or '').rstrip('/')}/{name}"
    configs, given = stack.project.top.get("configs"), service.value("configs")
    source: str | None = None
    for item in given.items if isinstance(given, Sequence) else ():
        if isinstance(item, Scalar) and inside in (f"/{item.filled}", item.filled):
            source = item.filled
        if isinstance(item, Mapping):
            named, target = item.get("source"), item.get("target")
            if isinstance(named, Scalar) and isinstance(target, Scalar) and target.filled == inside:
                source = named.filled
    content = configs.get(source, "content") if configs is not None and source is not None else None
    if isinstance(content, Scalar):
        return name, content.filled
    paths = [host_path(service, inside)]
    file = configs.get(source, "file") if configs is not None and source is not None else None
    if isinstance(file, Scalar) and "$" not in file.filled:
        paths.append(file.place.source.folder / file.filled)
    context = stack.images.build_context(service)
    if context is not None and not name.startswith("/"):
        paths.append(context / name)
    for path in paths:
        if path is not None and path.is_file():
            return str(path), read_text(path, limit=_LARGEST)
    raise LookupError(name)


def _longest(steps: Any) -> float:
    """The longest chain of steps: without `needs` a step follows the one above it."""
    ends: dict[str, float] = {}
    above = ""
    for number, step in enumerate(steps if isinstance(steps, list) else []):
        if not isinstance(step, dict):
            continue
        needs = step.get("needs")
        before = needs if isinstance(needs, list) else [needs] if isinstance(needs, str) else [above]
        own = seconds(str(step.get("timeout") or ""))
        if own is None:
            own = _READY if str(step.get("uses")).endswith(".ready") else 0.0
        above = str(step.get("id") or f"step {number}")
        ends[above] = max((ends.get(str(need), 0.0) for need in before), default=0.0) + own
    return max(ends.values(), default=0.0)
