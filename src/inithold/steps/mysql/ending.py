"""Ends a session on a MySQL or MariaDB."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

from inithold.net.bounds import Until
from inithold.steps.address import parse
from inithold.steps.base import StepContext
from inithold.steps.mysql.driver import open_session

_PAUSE = 0.05
_LEFT = "SELECT 1 FROM information_schema.processlist WHERE id = %s"


def end_session(session: Mapping[str, Any], until: float) -> None:
    """End it, and return when it has ended; see `inithold.steps.postgres.ending`."""
    number = str(int(session["backend"]))
    asking = open_session(parse(session["url"], ["mysql"]), cast("StepContext", Until(until)), create=False)
    try:
        if asking.rows(_LEFT, number):
            asking.rows(f"KILL {number}")
        while asking.rows(_LEFT, number):
            if time.monotonic() > until:
                raise TimeoutError
            time.sleep(_PAUSE)
    finally:
        asking.close()
