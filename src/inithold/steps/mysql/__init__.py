"""MySQL and MariaDB: the connection and the kinds of their own."""

from inithold.steps.mysql.database import Database

__all__ = ["Database"]
