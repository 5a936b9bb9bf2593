"""As PID 1: a child does the run, while this process reaps orphans and passes signals on.

Reaping every child in the process that also runs commands would steal their exit codes from the libraries
that wait for them. So the work is done in a child, forked before anything is imported; when the child says that
it is time to hold, this process, which vouches for the marker, becomes the holder.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from inithold.hold.limits import Limits

TYPE_CHECKING = False
"""As in `typing`, which takes as long to import as the rest."""
if TYPE_CHECKING:
    from inithold.hold.orders import Orders

_HOLD, _AGAIN = b"hold", b"again"
"""It is time to hold; it is, and somebody has asked meanwhile for another run."""
_PASSED_ON = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_FROM_KERNEL = 0x80
"""`si_code` SI_KERNEL of <bits/siginfo-consts.h>: the terminal sent it, and to the child, too."""


class Reaper:
    """Whether this process is the child of a reaping PID 1, and its line to it."""

    def __init__(self) -> None:
        self._line: int | None = None

    @property
    def holding_pid(self) -> int:
        """The process that will hold, and so vouches for the marker."""
        return os.getpid() if self._line is None else os.getppid()

    def announce(self, orders: Orders) -> None:
        """In the child: tell PID 1 how it will have to hold, so that a SIGHUP from now on waits until it does."""
        if self._line is not None:
            os.write(self._line, orders.encode())

    def limit(self, line: bytes) -> None:
        """In the child: tell PID 1 what it has to know of limits (`inithold.hold.limits`)."""
        if self._line is not None:
            os.write(self._line, line)
            # It sleeps until a signal comes.
            os.kill(os.getppid(), signal.SIGCHLD)

    def hand_over(self, *, asked: bool) -> None:
        """In the child: tell PID 1 to hold, and end. Returns where there is no such PID 1.

        Args:
            asked: whether the plan is to be run again at once.
        """
        if self._line is not None:
            os.write(self._line, _AGAIN if asked else _HOLD)
            os._exit(0)

    def split(self) -> None:
        """If this is PID 1, fork: returns in the child only. Elsewhere returns at once."""
        if self._line is not None:
            return
        if os.getpid() != 1 or threading.active_count() > 1:
            # A hold that verifies runs the plan again with its signals blocked.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {*_PASSED_ON, signal.SIGCHLD})
            return
        listening, speaking = os.pipe()
        signal.pthread_sigmask(signal.SIG_BLOCK, {*_PASSED_ON, signal.SIGCHLD})
        child = os.fork()
        if child == 0:
            os.close(listening)
            self._line = speaking
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {*_PASSED_ON, signal.SIGCHLD})
            return
        os.close(speaking)
        # A hold that verifies ignores it until here.
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        _reap_until(child, listening)


REAPER = Reaper()


class _Line:
    """What the child says: lines about limits, at most one line of orders, then that it is time to hold.

    Args:
        descriptor: of the pipe.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._received = b""
        self._orders = b""
        self.limits = Limits()

    @property
    def orders(self) -> bytes:
        """The line of orders; empty where there is none (yet)."""
        self.listen()
        return self._orders

    @property
    def hold(self) -> bool:
        """Whether it is time to hold."""
        self.listen()
        return self._received.endswith((_HOLD, _AGAIN))

    @property
    def again(self) -> bool:
        """Whether the plan is to be run again at once."""
        return self._received.endswith(_AGAIN)

    def listen(self) -> None:
        """Take what has come."""
        try:
            while data := os.read(self._descriptor, 65536):
                self._received += data
        except BlockingIOError:
            pass
        *lines, self._received = self._received.split(b"\n")
        for line in lines:
            if line.startswith(b"["):
                self._orders = line
            else:
                self.limits.feed(line + b"\n")


def _reap_until(child: int, listening: int) -> None:
    waited = {*_PASSED_ON, signal.SIGCHLD}
    line = _Line(listening)
    ending = asked = False
    while True:
        line.listen()
        caught = _wait(waited, line.limits.seconds)
        if caught is None:
            _kill(child, line.limits)
        elif caught.si_signo == signal.SIGCHLD:
            status = _reap(child)
            if status is not None:
                _after(status, line, ending, asked)
        elif caught.si_signo == signal.SIGHUP and line.orders:
            asked = True
        else:
            ending = ending or caught.si_signo in (signal.SIGTERM, signal.SIGINT)
            if caught.si_signo in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                line.limits.tell(signal.Signals(caught.si_signo).name)
            if not (caught.si_signo == signal.SIGINT and caught.si_code == _FROM_KERNEL):
                os.kill(child, caught.si_signo)


def _wait(waited: set[signal.Signals], seconds: float | None) -> signal.struct_siginfo | None:
    return signal.sigwaitinfo(waited) if seconds is None else signal.sigtimedwait(waited, seconds)


def _kill(child: int, limits: Limits) -> None:
    """End a run whose code does not stop; say its last words and end."""
    from inithold.process.satellite import launch  # noqa: PLC0415 - hardly ever needed

    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    speaker = launch("watchdog")
    os.write(speaker.input, b"dead %s %s\n" % (limits.told.encode() or b"-", limits.facts))
    os.close(speaker.input)
    os.waitpid(speaker.pid, 0)
    os._exit(128 + signal.Signals[limits.told] if limits.told else 1)


def _reap(child: int) -> int | None:
    """Reap whatever has ended; the wait status of `child` if it is among them."""
    ended: int | None = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if pid == 0:
            return ended
        if pid == child:
            ended = status


def _after(status: int, line: _Line, ending: bool, asked: bool) -> None:
    code = os.waitstatus_to_exitcode(status)
    # A signal that met the child on its way out would be lost in a hold.
    if code == 0 and line.hold and not ending:
        _hold(line.orders, asked or line.again)
    if code < 0:
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        message = f"inithold: the run was killed by signal {-code}{hint}"
        print(message, file=sys.stderr, flush=True)
        from inithold.process import termination_log  # noqa: PLC0415 - not needed until now

        termination_log.write(message)
        code = 128 - code
    os._exit(code)


def _hold(orders: bytes, asked: bool) -> None:
    from inithold.hold import holder  # noqa: PLC0415 - not needed until now

    if not orders:
        holder.become_holder()
    from inithold.hold.orders import Orders  # noqa: PLC0415 - as above

    holder.become_verifier(Orders.decode(orders), lambda: (signal.SIGHUP,) if asked else ())
