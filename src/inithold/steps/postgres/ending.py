"""Ends a session on a PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from inithold.steps.address import parse
from inithold.steps.database.conninfo import parameters

_PAUSE = 0.05
# `backend_start` tells it from a later session with the same number.
_WHICH = "pid = %(backend)s AND (%(since)s::text IS NULL OR backend_start::text = %(since)s)"
_END = f"SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE {_WHICH}"  # noqa: S608
_LEFT = f"SELECT 1 FROM pg_catalog.pg_stat_activity WHERE {_WHICH}"  # noqa: S608


def end_session(session: Mapping[str, Any], until: float) -> None:
    """End it, and return when it has ended.

    Args:
        session: `url`, `backend`, and `since`, its start as the server writes it, or None.
        until: when to give up, on the monotonic clock.

    Raises:
        Exception: it cannot be told, for whatever reason.
    """
    import psycopg  # noqa: PLC0415 - heavy, and seldom needed here

    given = parameters(parse(session["url"], ["postgresql"]), "inithold ends what it left behind")
    # libpq takes a shorter one for two seconds, and whoever waits for this does not wait longer.
    given["connect_timeout"] = "2"
    which = {"backend": session["backend"], "since": session["since"]}
    with psycopg.connect(**given, autocommit=True) as connection:  # type: ignore[arg-type] # libpq's are texts
        connection.execute("SET client_encoding TO 'UTF8'")
        connection.execute(_END, which)
        while connection.execute(_LEFT, which).fetchone():
            if time.monotonic() > until:
                raise TimeoutError
            time.sleep(_PAUSE)
