"""What the plan of an init service says that matters to its wiring: its time limits and its lock.

The plan is looked for where the container gets it from: a bind mount, a `configs` entry, the build context. One
that is not found or not readable says nothing here; `inithold run` will.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from inithold.compose.read.tree import Mapping, Scalar, Sequence
from inithold.compose.stack.duration import seconds
from inithold.compose.stack.roles import host_path
from inithold.errors import DocumentError
from inithold.text.yaml12 import compose, read_text

if TYPE_CHECKING:
    from yaml.nodes import Node

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
    found = None if init.command.wrapped else _plan_file(init, stack)
    if not init.command.waits:
        return found
    if found is None:
        return PlanFacts(COMMAND_LINE, _READY, False)
    return found if found.bounded else replace(found, limit=found.limit + _READY)


def _plan_file(init: Init, stack: Stack) -> PlanFacts | None:
    name = init.command.plan or "inithold.yaml"
    if "$" in name or (":" in name and not name.endswith((".yaml", ".yml"))):
        return None
    inline = _inline(init, stack, name)
    if inline is not None:
        return _parse(inline, name)
    path = _find(init, stack, name)
    return _read(path) if path is not None else None


def _find(init: Init, stack: Stack, name: str) -> Path | None:
    service = init.service
    inside = name if name.startswith("/") else f"{(service.text('working_dir') or '').rstrip('/')}/{name}"
    mounted = host_path(service, inside)
    if mounted is not None and mounted.is_file():
        return mounted
    source = _config_source(init, inside)
    if source is not None:
        entry = stack.project.top["configs"].get(source, "file") if "configs" in stack.project.top else None
        if isinstance(entry, Scalar) and "$" not in entry.filled:
            return entry.place.source.folder / entry.filled
    context = service.scalar("build", "context")
    if (
        context is not None
        and "$" not in context.filled
        and "://" not in context.filled
        and not name.startswith("/")
    ):
        built = context.place.source.folder / context.filled / name
        return built if built.is_file() else None
    return None


def _inline(init: Init, stack: Stack, name: str) -> str | None:
    inside = name if name.startswith("/") else f"{(init.service.text('working_dir') or '').rstrip('/')}/{name}"
    source = _config_source(init, inside)
    if source is None or "configs" not in stack.project.top:
        return None
    content = stack.project.top["configs"].get(source, "content")
    return content.filled if isinstance(content, Scalar) else None


def _config_source(init: Init, inside: str) -> str | None:
    configs = init.service.value("configs")
    for item in configs.items if isinstance(configs, Sequence) else []:
        if isinstance(item, Scalar) and inside in (f"/{item.filled}", item.filled):
            return item.filled
        if isinstance(item, Mapping):
            source, target = item.get("source"), item.get("target")
            if isinstance(source, Scalar) and isinstance(target, Scalar) and target.filled == inside:
                return source.filled
    return None


@lru_cache(maxsize=64)
def _read(path: Path) -> PlanFacts | None:
    try:
        return _parse(read_text(path, limit=_LARGEST), str(path))
    except DocumentError:
        return None


def _parse(text: str, file: str) -> PlanFacts | None:
    try:
        plan = _data(compose(text, file=file))
    except DocumentError:
        return None
    if not isinstance(plan, dict):
        return None
    steps = plan.get("steps")
    limit, bounded = seconds(_text(plan.get("timeout"))), True
    if limit is None:
        limit, bounded = _longest(steps if isinstance(steps, list) else []), False
    return PlanFacts(file, limit, bool(plan.get("lock")), bounded)


def _longest(steps: list[object]) -> float:
    """The longest chain of steps: without `needs` a step follows the one above it."""
    ends: dict[str, float] = {}
    above: str | None = None
    for number, step in enumerate(steps):
        if not isinstance(step, dict):
            continue
        name = _text(step.get("id")) or f"step {number}"
        needs = step.get("needs")
        before = needs if isinstance(needs, list) else [needs] if isinstance(needs, str) else [above]
        own = seconds(_text(step.get("timeout")))
        if own is None:
            own = _READY if (_text(step.get("uses")) or "").endswith(".ready") else 0.0
        ends[name] = max((ends.get(str(need), 0.0) for need in before), default=0.0) + own
        above = name
    return max(ends.values(), default=0.0)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _data(node: Node | None) -> object:
    from yaml.nodes import MappingNode, ScalarNode, SequenceNode  # noqa: PLC0415 - only where a plan is found

    if isinstance(node, MappingNode):
        return {key.value: _data(value) for key, value in node.value if isinstance(key, ScalarNode)}
    if isinstance(node, SequenceNode):
        return [_data(item) for item in node.value]
    return node.value if isinstance(node, ScalarNode) else None
