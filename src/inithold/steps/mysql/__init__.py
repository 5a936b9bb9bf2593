"""MySQL and MariaDB: connections and step kinds."""

from inithold.steps.mysql.database import Database

__all__ = ["Database"]
