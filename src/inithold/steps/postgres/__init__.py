"""PostgreSQL from the inside: a database with its extensions, and roles with what they may do."""

from inithold.steps.postgres.database import Database, Extension
from inithold.steps.postgres.roles import Roles
from inithold.steps.postgres.wanted import DefaultPrivileges, Grant, Role

__all__ = ["Database", "DefaultPrivileges", "Extension", "Grant", "Role", "Roles"]
