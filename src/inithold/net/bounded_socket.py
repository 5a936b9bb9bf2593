"""Ends what a driver does with its socket, where it takes too long or is no longer wanted."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Timer

from inithold.errors import NotYet, StepError
from inithold.net.bounds import Bounds

CANCEL_WITHIN = 0.4
"""Seconds a server gets to end what is cancelled, before the connection is shut down under it."""


class BoundedSocket:
    """Bounds what a driver does with its socket; shutting that down ends whatever waits on it, in any thread.

    Args:
        fd: the socket. A duplicate is kept: the driver may close its own, whose number is then another's.
        bounds: of the step.
        where: the server, for people.
    """

    def __init__(self, fd: int, bounds: Bounds, where: str) -> None:
        self._socket = socket.socket(fileno=os.dup(fd))
        self._bounds = bounds
        self._where = where

    @contextmanager
    def bounded(
        self, seconds: float | None, cancel: Callable[[], object], *, late: str = "does not answer"
    ) -> Iterator[None]:
        """Bound what is done while the context is open.

        Args:
            seconds: after which the connection is shut down; None for never.
            cancel: called where the step is told to stop; the connection is shut down if that ends nothing.
            late: what is said where the time is up.

        Raises:
            Interrupted: the step was told to stop.
            NotYet: the time is up.
        """
        ended, expired = Event(), Event()

        def stop() -> None:
            with suppress(Exception):  # whatever fails here, the connection is shut down below
                cancel()
            if not ended.wait(CANCEL_WITHIN):
                self._shut_down()

        def expire() -> None:
            expired.set()
            self._shut_down()

        self._bounds.check_cancelled()
        timer = Timer(self._bounds.remaining(seconds or 0.0), expire)
        timer.daemon = True
        if seconds is not None:
            timer.start()
        try:
            with self._bounds.on_cancel(stop):
                yield
        except StepError:
            raise
        except Exception as error:
            self._bounds.check_cancelled()
            if expired.is_set():
                raise NotYet(f"{self._where}: {late}") from error
            raise
        finally:
            ended.set()
            timer.cancel()

    def close(self) -> None:
        """Give the duplicate up."""
        self._socket.close()

    def _shut_down(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
