"""inithold: the init service of a container stack.

The public names. Each is imported on first use, because health checks import this package, too.
"""

from __future__ import annotations

from inithold.version import __version__

TYPE_CHECKING = False
"""`typing` takes as long to import as the rest of a health check."""
if TYPE_CHECKING:
    from inithold.errors import InitholdError, NotYet, PlanError, Rejected, StepFailed, UsageError
    from inithold.lifecycle.python_plan import Plan
    from inithold.lifecycle.settings import Settings
    from inithold.plan.model import Hold, Retry
    from inithold.steps.addressed import Addressed
    from inithold.steps.base import Change, Step, StepContext

_HOMES = {
    "Addressed": "inithold.steps.addressed",
    "Change": "inithold.steps.base",
    "Hold": "inithold.plan.model",
    "InitholdError": "inithold.errors",
    "NotYet": "inithold.errors",
    "Plan": "inithold.lifecycle.python_plan",
    "PlanError": "inithold.errors",
    "Rejected": "inithold.errors",
    "Retry": "inithold.plan.model",
    "Settings": "inithold.lifecycle.settings",
    "Step": "inithold.steps.base",
    "StepContext": "inithold.steps.base",
    "StepFailed": "inithold.errors",
    "UsageError": "inithold.errors",
}

__all__ = [
    "Addressed",
    "Change",
    "Hold",
    "InitholdError",
    "NotYet",
    "Plan",
    "PlanError",
    "Rejected",
    "Retry",
    "Settings",
    "Step",
    "StepContext",
    "StepFailed",
    "UsageError",
    "__version__",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'inithold' has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - the point of this function

    return getattr(import_module(home), name)
