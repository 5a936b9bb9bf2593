"""What bounds a wait for a server, and ends what a library does that knows no bound itself."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from threading import Event, Thread, Timer
from typing import Protocol, TypeVar

from inithold.errors import NotYet, StepError

Result = TypeVar("Result")
CANCEL_WITHIN = 0.4
"""Seconds a server gets to end what is cancelled, before the connection is shut down under it."""


class Bounds(Protocol):
    """How long something may take, and whether it has been told to stop."""

    def remaining(self, most: float) -> float:
        """Seconds until the time is up, at most `most`."""

    def check_cancelled(self) -> None:
        """Raise `Interrupted` if told to stop."""

    def on_cancel(self, action: Callable[[], object]) -> AbstractContextManager[object]:
        """While the returned context is open, being told to stop calls `action`, from another thread."""


class TooSlow(OSError):
    """It took longer than it may."""


def within(seconds: float, bounds: Bounds, work: Callable[[], Result]) -> Result:
    """Wait for a library that cannot be interrupted; where it takes too long its thread is left behind.

    Args:
        work: one exchange with a server, which has an end of its own.

    Returns:
        what `work` returns; what it raises is raised.

    Raises:
        Interrupted: the step was told to stop.
        TooSlow: the time is up.
    """
    bounds.check_cancelled()
    results: list[Result] = []
    errors: list[BaseException] = []
    ended = Event()

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            errors.append(error)
        ended.set()

    Thread(target=run, daemon=True, name="inithold-exchange").start()
    with bounds.on_cancel(ended.set):
        ended.wait(seconds)
    if errors:
        raise errors[0]
    if results:
        return results[0]
    bounds.check_cancelled()
    raise TooSlow


class Until:
    """Bounds of work that nobody stops: only time ends it, at a deadline on the monotonic clock."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def remaining(self, most: float) -> float:
        return max(0.01, min(most, self._deadline - time.monotonic()))

    def check_cancelled(self) -> None:
        return

    def on_cancel(self, action: Callable[[], object]) -> AbstractContextManager[object]:  # noqa: ARG002 - the interface
        return nullcontext()


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
