"""Where a plan comes from: a YAML file, or `module:attribute`."""

from __future__ import annotations

import importlib
import os
import re
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any

from inithold.errors import Fault, PlanError
from inithold.plan.load import load_file
from inithold.plan.model import CheckedPlan
from inithold.redaction.redact import SECRETS
from inithold.redaction.sanitize import sanitize
from inithold.text import platform
from inithold.text.suggest import did_you_mean

DEFAULT = "inithold.yaml"


def default() -> str:
    """The default plan: `INITHOLD_PLAN`, or `inithold.yaml`."""
    return os.environ.get("INITHOLD_PLAN") or DEFAULT


class PlanObject(ABC):
    """A plan written in Python, which `module:attribute` can name."""

    @abstractmethod
    def checked(self, source: str = "", *, files: tuple[str, ...] = ()) -> CheckedPlan:
        """Validate the plan; see `inithold.Plan.checked`."""


def load(source: str) -> CheckedPlan:
    """Load and check a plan.

    Args:
        source: path of a plan file, or `module:attribute` of a `Plan` or of a function that returns one.

    Raises:
        DocumentError: the file cannot be read.
        PlanError: the plan is invalid.
    """
    if not _is_missing(source):
        return load_file(source)
    if re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*", source):
        return _from_python(source)
    if source == DEFAULT:
        # The most common mistake is the extension.
        hint = (
            "inithold.yml is here: rename it, name it as the argument, or set INITHOLD_PLAN=inithold.yml"
            if Path("inithold.yml").exists()
            else "put or mount one there, or name a plan as the argument or in INITHOLD_PLAN; "
            + platform.other_ways_to_a_plan()
        )
        raise PlanError([Fault(f"there is no {DEFAULT} in {sanitize(str(Path.cwd()))}")], hint=hint)
    if "://" in source:
        SECRETS.add_url(source)
        raise PlanError(
            [Fault(f"{sanitize(source)} is a URL, not a plan")],
            hint="wait for a URL with inithold wait URL, or before a command: inithold run --wait URL -- CMD",
        )
    names: list[str] = []
    with suppress(OSError):
        names = [name for name in os.listdir(Path(source).parent) if name.endswith((".yaml", ".yml"))]  # noqa: PTH208
    near = did_you_mean(Path(source).name, names)
    hint = "name a plan file or module:attribute; inithold wait takes URLs such as tcp://db:5432, too"
    fault = Fault(f"cannot read: No such file or directory{near}", file=source)
    raise PlanError([fault], hint=None if near else hint)


def _is_missing(path: str) -> bool:
    try:
        os.stat(path)  # noqa: PTH116 - unlike Path.exists, raises if access is denied: that is not missing
    except OSError as error:
        return isinstance(error, FileNotFoundError | NotADirectoryError)
    return False


def _from_python(source: str) -> CheckedPlan:
    module, _, attribute = source.partition(":")
    if sys.path[:1] != [str(Path.cwd())]:  # python -m has put it there
        sys.path.insert(0, str(Path.cwd()))
    try:
        plan: Any = importlib.import_module(module)
        for name in attribute.split("."):
            plan = getattr(plan, name)
        if callable(plan) and not isinstance(plan, PlanObject):
            plan = plan()
    except (Exception, SystemExit) as error:
        import traceback  # noqa: PLC0415 - slow to import, and hardly ever needed

        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename != str(Path(__file__)) and "importlib" not in frame.filename
        ]
        where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
        raise PlanError([Fault(f"cannot import: {type(error).__name__}: {error}{where}", file=source)]) from error
    if not isinstance(plan, PlanObject):
        raise PlanError([Fault(f"is of type {type(plan).__name__}, not an inithold.Plan", file=source)])
    file = getattr(sys.modules[module], "__file__", None)
    return plan.checked(source, files=(file,) if file else ())
