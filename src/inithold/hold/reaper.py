"""As PID 1: a child does the run, while this process reaps orphans and passes signals on.

If the run itself reaped every child, it would steal exit codes from the libraries that wait for their commands. So
the run is a child, forked before anything is imported. When the child says so, this process, whose pid the marker
names, becomes the holder.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress

from inithold.hold.limits import Limits

TYPE_CHECKING = False
"""`typing` takes as long to import as everything else here."""
if TYPE_CHECKING:
    from typing import NoReturn

    from inithold.hold.holder import Orders

_HOLD, _AGAIN = b"hold", b"again"
"""The run's last message: hold; or hold and run the plan again at once, because a SIGHUP came."""
_PASSED_ON = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_FROM_KERNEL = 0x80
"""`si_code` SI_KERNEL of <bits/siginfo-consts.h>: from the terminal, which has signalled the child, too."""


class Reaper:
    """The run's connection to PID 1, if PID 1 is our reaper."""

    def __init__(self) -> None:
        self._line: int | None = None

    @property
    def holding_pid(self) -> int:
        """The process that will hold, and that the marker names."""
        return os.getpid() if self._line is None else os.getppid()

    def announce(self, orders: Orders) -> None:
        """In the child: give PID 1 its orders for the hold; from now on, it keeps a SIGHUP until then."""
        if self._line is not None:
            os.write(self._line, orders.encode())

    def limit(self, line: bytes) -> None:
        """In the child: send PID 1 a line about limits (`inithold.hold.limits`)."""
        if self._line is not None:
            os.write(self._line, line)
            # Wake PID 1, which sleeps until a signal comes.
            os.kill(os.getppid(), signal.SIGCHLD)

    def hand_over(self, *, asked: bool) -> None:
        """In the child: tell PID 1 to hold (if `asked`, to run again), and exit; elsewhere, just return."""
        if self._line is not None:
            os.write(self._line, _AGAIN if asked else _HOLD)
            os._exit(0)

    def split(self) -> None:
        """If this is PID 1, fork, and return only in the child; elsewhere, return at once."""
        if self._line is not None:
            return
        taken = {*_PASSED_ON, signal.SIGCHLD}
        if os.getpid() != 1 or threading.active_count() > 1:
            # A verifying hold execs a rerun with these signals blocked.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, taken)
            return
        listening, speaking = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, taken)
        child = os.fork()
        if child == 0:
            os.close(listening)
            self._line = speaking
            signal.pthread_sigmask(signal.SIG_UNBLOCK, taken)
            return
        os.close(speaking)
        # A verifying hold ignores SIGHUP until this point.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        _reap_until(child, listening)


REAPER = Reaper()


def _reap_until(child: int, listening: int) -> NoReturn:
    """Pass signals on and reap until the child has ended; then hold, or exit as it did.

    The child writes lines about limits, at most one line of orders, and finally `_HOLD` or `_AGAIN`.
    """
    os.set_blocking(listening, False)
    limits = Limits()
    received = orders = b""
    ending = asked = False

    def listen() -> None:
        nonlocal received, orders
        with suppress(BlockingIOError):
            while data := os.read(listening, 65536):
                received += data
        *lines, received = received.split(b"\n")
        for line in lines:
            if line.startswith(b"["):
                orders = line
            else:
                limits.feed(line + b"\n")

    waited = {*_PASSED_ON, signal.SIGCHLD}
    while True:
        listen()
        seconds = limits.seconds
        caught = signal.sigwaitinfo(waited) if seconds is None else signal.sigtimedwait(waited, seconds)
        listen()
        if caught is None:
            _kill(child, limits)
        elif caught.si_signo == signal.SIGCHLD:
            code = _reap(child)
            if code is None:
                continue
            listen()
            # Do not hold after SIGTERM or SIGINT, even if they came too late for the child.
            if code == 0 and received.endswith((_HOLD, _AGAIN)) and not ending:
                _hold(orders, asked or received.endswith(_AGAIN))
            if code < 0:
                hint = " (out of memory?)" if -code == signal.SIGKILL else ""
                message = f"the run was killed by signal {-code}{hint}"
                from inithold.hold.verifier import say  # noqa: PLC0415 - rarely needed
                from inithold.process import termination_log  # noqa: PLC0415 - rarely needed

                say(message)
                termination_log.write(f"inithold: {message}")
            os._exit(code if code >= 0 else 128 - code)
        elif caught.si_signo == signal.SIGHUP and orders:
            asked = True
        else:
            ending = ending or caught.si_signo in (signal.SIGTERM, signal.SIGINT)
            if caught.si_signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                limits.tell(signal.Signals(caught.si_signo).name)
            if not (caught.si_signo == signal.SIGINT and caught.si_code == _FROM_KERNEL):
                os.kill(child, caught.si_signo)


def _kill(child: int, limits: Limits) -> NoReturn:
    """Kill a run whose code does not stop, have its record completed, and exit."""
    from inithold.process.satellite import launch  # noqa: PLC0415 - rarely needed

    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    speaker = launch("watchdog")
    os.write(speaker.input, b"dead %s %s\n" % (limits.stop_signal.encode() or b"-", limits.facts))
    os.close(speaker.input)
    os.waitpid(speaker.pid, 0)
    os._exit(128 + signal.Signals[limits.stop_signal] if limits.stop_signal else 1)


def _reap(child: int) -> int | None:
    """Reap every ended child; returns the exit code of `child` if it is among them, negative for a signal."""
    code: int | None = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == child:
                code = os.waitstatus_to_exitcode(status)
    return code


def _hold(orders: bytes, asked: bool) -> NoReturn:
    from inithold.hold import holder  # noqa: PLC0415 - not needed during the run

    if not orders:
        holder.become_holder()
    holder.become_verifier(holder.Orders.decode(orders), lambda: (signal.SIGHUP,) if asked else ())
