"""The connection to PostgreSQL."""

from __future__ import annotations

import os

from sqlalchemy import URL, Engine, create_engine, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from services.daemon import MissingError

LOST = (OperationalError,)


def url() -> URL:
    """`DATABASE_URL`, a plain postgresql:// address, for SQLAlchemy with psycopg 3."""
    return make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+psycopg")


def connect(*tables: str) -> Engine:
    """An engine on a database that has these tables.

    Raises: MissingError, which names all missing tables."""
    engine = create_engine(url(), pool_pre_ping=True, connect_args={"connect_timeout": 5})
    missing = sorted(set(tables) - set(inspect(engine).get_table_names()))
    if missing:
        raise MissingError(f"the database has no table {', '.join(missing)}")
    return engine
