"""Runs a daemon: start, work until a signal, report clearly what went wrong."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

log = logging.getLogger(__name__)

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
RECONNECT_SECONDS = 1.0
# Time for the current work after SIGTERM. Then it is cut off: its transaction is rolled back, and its message
# returns to the queue.
GRACE_SECONDS = 0.5


class MissingError(Exception):
    """Something that init creates is missing. Waiting would hide that, so the service exits."""


def alive() -> None:
    """Show that the daemon makes progress: the container's health check looks at the age of this file."""
    Path(os.environ.get("ALIVE_FILE", "/tmp/alive")).touch()


def setup_logging() -> None:
    logging.basicConfig(level=os.environ.get("LOG_LEVEL", "INFO"), format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # it logs with tracebacks what it also raises
    logging.getLogger("httpx").setLevel(logging.WARNING)


def run(name: str, work: Callable[[Event], None], *, lost: tuple[type[Exception], ...]) -> int:
    """Call `work(stop)` until `stop` is set, again after a lost connection.

    Returns the exit code: 0 on a signal, 1 if something that init creates is missing."""
    setup_logging()
    stop, stopped = Event(), Event()
    # A thread takes the signals: a handler would wait for the current call, and so for a server that hangs.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    Thread(target=_wait_for_stop, args=(name, stop, stopped), daemon=True).start()
    try:
        while not stop.is_set():
            try:
                work(stop)
            except lost as error:
                reason = str(getattr(error, "orig", error)).strip() or type(error).__name__
                log.warning("%s lost its server, trying again in %g s: %s", name, RECONNECT_SECONDS, reason)
                stop.wait(RECONNECT_SECONDS)
    except MissingError as error:
        log.critical("%s cannot work: %s. See what init says: docker compose logs init", name, error)
        return 1
    finally:
        stopped.set()
    log.info("%s stopped", name)
    return 0


def _wait_for_stop(name: str, stop: Event, stopped: Event) -> None:
    signal.sigwait(STOP_SIGNALS)
    stop.set()
    if not stopped.wait(GRACE_SECONDS):
        log.warning("%s cut off its work in hand", name)
        os._exit(0)
