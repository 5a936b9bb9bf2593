"""PostgreSQL: connections, verdicts on errors, and the step kinds, each imported on first use."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from inithold.steps.postgres.database import Database, Extension
    from inithold.steps.postgres.grants import DefaultPrivileges, Grant
    from inithold.steps.postgres.roles import Role, Roles

__all__ = ["Database", "DefaultPrivileges", "Extension", "Grant", "Role", "Roles"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - the point of this function

    home = "database" if name in ("Database", "Extension") else "roles"
    return getattr(import_module(f"{__name__}.{home}"), name)
