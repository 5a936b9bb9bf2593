"""Ends a session on a PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from inithold.net.bounds import Until
from inithold.steps.address import parse
from inithold.steps.postgres.connection import connect

_PAUSE = 0.05
# `backend_start` tells it from a later session with the same number.
_WHICH = "FROM pg_catalog.pg_stat_activity WHERE pid = $1::int AND ($2::text IS NULL OR backend_start::text = $2)"
_END = f"SELECT pg_catalog.pg_terminate_backend(pid) {_WHICH}"


def end_session(session: Mapping[str, Any], until: float) -> None:
    """End it, and return when it has ended.

    Args:
        session: `url`, `backend`, and `since`, its start as the server writes it, or None.
        until: when to give up, on the monotonic clock.

    Raises:
        Exception: it cannot be told, for whatever reason.
    """
    address = parse(session["url"], ["postgresql"])
    which = (session["backend"], session["since"])
    with closing(connect(address, Until(until))) as connection:
        while connection.rows(_END, *which, seconds=max(0.01, until - time.monotonic())):
            time.sleep(_PAUSE)
