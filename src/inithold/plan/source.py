"""Where a plan comes from: a YAML file, or `module:attribute`."""

from __future__ import annotations

import importlib
import os
import sys
from abc import ABC, abstractmethod
from pathlib import Path

from inithold.errors import Fault, PlanError
from inithold.plan.load import load_file
from inithold.plan.model import CheckedPlan
from inithold.redaction.redact import SECRETS
from inithold.redaction.sanitize import sanitize

DEFAULT = "inithold.yaml"


def default() -> str:
    """The plan where the command line names none: `INITHOLD_PLAN`, or `inithold.yaml`."""
    return os.environ.get("INITHOLD_PLAN") or DEFAULT


class PlanObject(ABC):
    """A plan written in Python, which `module:attribute` may name."""

    @abstractmethod
    def checked(self, source: str = "", *, files: tuple[str, ...] = ()) -> CheckedPlan:
        """Check the plan; see `inithold.Plan.checked`."""


def load(source: str) -> CheckedPlan:
    """Load and check a plan.

    Args:
        source: path of a plan file, or `module:attribute` of a `Plan` or of a function that returns one.

    Raises:
        DocumentError: the file cannot be read.
        PlanError: it is not a plan.
    """
    module, separator, attribute = source.partition(":")
    if separator and not Path(source).exists() and _is_dotted(module) and _is_dotted(attribute):
        return _from_python(source, module, attribute)
    if source == DEFAULT and not Path(source).exists():
        raise PlanError([Fault(f"there is no {DEFAULT} here", file=None)], hint=_other_name())
    if "://" in source and not Path(source).exists():
        SECRETS.add_url(source)
        raise PlanError(
            [Fault(f"{sanitize(source)} is a URL, and a plan is wanted", file=None)],
            hint="wait for a URL with inithold wait URL, or before a command: inithold run --wait URL -- CMD",
        )
    return load_file(source)


def _other_name() -> str:
    """What to do where there is no plan by the default name; most often it is the ending that differs."""
    if Path("inithold.yml").exists():
        return "inithold.yml is here: rename it, name it as the argument, or set INITHOLD_PLAN=inithold.yml"
    return "name a plan as the argument, or set INITHOLD_PLAN; inithold new drafts one from a Compose stack"


def _is_dotted(text: str) -> bool:
    return bool(text) and all(part.isidentifier() for part in text.split("."))


def _from_python(source: str, module: str, attribute: str) -> CheckedPlan:
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = importlib.import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
        plan = found if isinstance(found, PlanObject) else found() if callable(found) else found
    except (Exception, SystemExit) as error:
        raise PlanError([Fault(f"cannot import: {_short(error)}", file=source)]) from error
    if not isinstance(plan, PlanObject):
        raise PlanError([Fault(f"is of type {type(plan).__name__}, not an inithold.Plan", file=source)])
    file = getattr(sys.modules[module], "__file__", None)
    return plan.checked(source, files=(file,) if file else ())


def _short(error: BaseException) -> str:
    import traceback  # noqa: PLC0415 - slow to import, and hardly ever needed

    frames = traceback.extract_tb(error.__traceback__)
    ours = str(Path(__file__))
    last = next(
        (frame for frame in reversed(frames) if frame.filename != ours and "importlib" not in frame.filename), None
    )
    where = f" ({last.filename}:{last.lineno})" if last else ""
    return f"{type(error).__name__}: {error}{where}"
