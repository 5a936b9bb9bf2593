"""Databases: PostgreSQL, MySQL and MariaDB, SQLite, as the URL says."""

from inithold.steps.database.driver import Database
from inithold.steps.database.ready import Ready
from inithold.steps.database.sql import Sql
from inithold.steps.database.tables import Tables

__all__ = ["Database", "Ready", "Sql", "Tables"]
