"""PostgreSQL: connections to it, what it says, and its own kinds, each imported when it is first used."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from inithold.steps.postgres.database import Database, Extension
    from inithold.steps.postgres.model import DefaultPrivileges, Grant, Role
    from inithold.steps.postgres.roles import Roles

_HOMES = {
    "Database": "database",
    "DefaultPrivileges": "model",
    "Extension": "database",
    "Grant": "model",
    "Role": "model",
    "Roles": "roles",
}

__all__ = ["Database", "DefaultPrivileges", "Extension", "Grant", "Role", "Roles"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - the point of this function

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
