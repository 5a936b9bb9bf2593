"""The kinds for any database: PostgreSQL, MySQL, MariaDB or SQLite, depending on the URL."""

from inithold.steps.database.driver import Database
from inithold.steps.database.ready import Ready
from inithold.steps.database.sql import Sql
from inithold.steps.database.tables import Tables

__all__ = ["Database", "Ready", "Sql", "Tables"]
