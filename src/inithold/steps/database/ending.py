"""Ends what a worker that was killed was doing on a server.

A server need not notice that its client is gone: PostgreSQL looks between statements, MySQL when it has something
to send. What is ended is the very session that the worker reported, by the server's number of it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from threading import Thread
from typing import Any

from inithold.redaction.redact import scrub

_TECHNOLOGIES = {
    "postgresql": "inithold.steps.postgres.ending",
    "mysql": "inithold.steps.mysql.ending",
}


def end_sessions(sessions: Sequence[Mapping[str, Any]], seconds: float) -> str:
    """End sessions of a process that has ended, and wait until the server no longer has them.

    Args:
        sessions: as the worker reported them: `technology`, `url`, the server's number `backend`, and `since`
        where
            the server tells when it began.
        seconds: how long that may take in all.

    Returns:
        the addresses of the servers that did not confirm it, for people; empty where all did.
    """
    until = time.monotonic() + seconds
    confirmed: dict[int, bool] = {}

    def end(number: int, session: Mapping[str, Any]) -> None:
        module = import_module(_TECHNOLOGIES[session["technology"]])
        try:
            module.end_session(session, until)
            confirmed[number] = True
        except Exception:  # noqa: BLE001 - of any driver: it is not confirmed
            confirmed[number] = False

    # A server that has gone silent must not keep the others from being asked.
    threads = [
        Thread(target=end, args=(number, session), daemon=True)
        for number, session in enumerate(sessions)
        if session["technology"] in _TECHNOLOGIES
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    left = {session["shown"] for number, session in enumerate(sessions) if not confirmed.get(number)}
    return scrub(", ".join(sorted(left)))
