"""The verifying hold: a separate program that the bare interpreter runs; see `holder.py`.

    python -I -S verifier.py PACE LIMIT ON_DRIFT MARKER FOLDER PROGRAM [ARGUMENT]...

Each check is a child, so nothing of it stays in memory: the run's own command line, which `CHECK_VARIABLE` in the
hold's environment tells to check instead of to run. Between checks this process sleeps in the kernel. It imports
only modules built into the interpreter, because any other would occupy memory for as long as it holds.
"""

import _signal  # type: ignore[import-not-found] # `signal` itself takes `enum` and as much memory as the rest
import posix
import time

CAUGHT = 3
"""The descriptor from which a holder reads the signals that other threads caught before the exec."""
CHECK_VARIABLE = "INITHOLD_HOLD_CHECK"
RERUN_VARIABLE = "INITHOLD_RERUN"
DRIFT, HOLDS, INCONCLUSIVE = 3, 4, 1
"""A check's exit codes. None is 0, because a script that never gets to its plan exits 0."""
ASKED, DRIFTED = "asked", "drift"
_ENDING = {_signal.SIGTERM, _signal.SIGINT}
_WAITED = {*_ENDING, _signal.SIGHUP, _signal.SIGCHLD, _signal.SIGALRM}
_LAST_WORDS = 0.5
"""Seconds that a check gets to end when the hold ends."""
_LAST_MOMENT = 1.0
"""Seconds that a check gets to end before the plan is run again."""
_KIND, _PIPE = 0o170000, 0o010000
"""S_IFMT and S_IFIFO of inode(7)."""
_PATIENCE = 1.0
"""Seconds to wait for a reader of standard error before a line is given up."""


class Verifier:
    """Holds, and starts a check at regular intervals. The arguments are those of `Orders` in `holder.py`."""

    def __init__(self, pace: str, limit: str, on_drift: str, marker: str, folder: str, *command: str) -> None:
        self.pace = float(pace)
        self.limit = float(limit)
        self.on_drift = on_drift
        self.marker = marker
        self.withdrawn = marker + ".withdrawn"
        self.folder = folder
        self.command = command
        self.check = 0
        """Pid of the running check; 0 if there is none."""
        self.started_at = 0.0
        self.overdue = self.reported = False
        """Whether this check reached its limit; whether a limit was reported since a check last answered."""

    def hold(self) -> None:
        """Hold until a signal ends it."""
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _WAITED)
        self.started_at = time.monotonic()
        caught = signals_before_exec()
        if _ENDING & caught:
            self.end()
        if _signal.SIGHUP in caught:
            self.run_again(ASKED)
        self.schedule()
        while True:
            number = _signal.sigwait(_WAITED)
            if number in _ENDING:
                self.end()
            elif number == _signal.SIGHUP:
                self.run_again(ASKED)
            elif number == _signal.SIGALRM and self.check:
                self.kill_check()
            elif number == _signal.SIGALRM:
                self.start_check()
            else:
                self.reap()

    def schedule(self) -> None:
        """Set the alarm for the next check, up to a tenth early, so that replicas do not all check at once."""
        if self.pace == float("inf"):
            return
        jitter = posix.urandom(1)[0] / 2560
        left = self.started_at + self.pace * (1 - jitter) - time.monotonic()
        _signal.setitimer(_signal.ITIMER_REAL, max(left, 0.001))

    def start_check(self) -> None:
        """Start a check; the caller ensures that none is running."""
        self.started_at = time.monotonic()
        self.check = posix.fork()
        if self.check == 0:
            _signal.signal(_signal.SIGHUP, _signal.SIG_DFL)
            self.become("", set())
        _signal.setitimer(_signal.ITIMER_REAL, self.limit)

    def kill_check(self) -> None:
        """Kill a check that has reached its limit."""
        posix.kill(self.check, _signal.SIGKILL)
        self.overdue = True
        if not self.reported:
            say(f"a check did not end within {self.limit:g} s and was killed; the next one runs as usual")
        self.reported = True

    def reap(self) -> None:
        """Reap ended children, including orphans, and judge an ended check."""
        while True:
            try:
                pid, status = posix.waitpid(-1, posix.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.check:
                self.check = 0
                _signal.setitimer(_signal.ITIMER_REAL, 0)
                forget(_signal.SIGALRM)
                self.judge(posix.waitstatus_to_exitcode(status))
                self.schedule()

    def judge(self, code: int) -> None:
        """Act on a check's exit code."""
        if code not in (HOLDS, DRIFT, INCONCLUSIVE) and not self.overdue:
            hint = " (out of memory?)" if -code == _signal.SIGKILL else ""
            ended = f"was killed by signal {-code}{hint}" if code < 0 else f"exited {code} without an answer"
            say(f"a check {ended}; the next one runs as usual")
        if code < 0 and not exists(self.marker):
            # It had found drift, and died over the telemetry.
            code = DRIFT
        self.reported, self.overdue = self.overdue, False
        if code == HOLDS:
            # The marker's modification time says when it was last verified.
            try:
                move(self.withdrawn, self.marker)
                posix.utime(self.marker)
            except OSError as error:
                say(f"the marker {self.marker} cannot be put back: {error.strerror}")
        elif code == DRIFT:
            if self.on_drift == "rerun":
                self.run_again(DRIFTED)
            self.take_away(self.withdrawn if self.on_drift == "unhealthy" else "")
            if self.on_drift == "exit":
                posix._exit(1)

    def take_away(self, target: str) -> None:
        """Rename the marker, or remove it; if that fails, exit, so that no living process vouches for it.

        Args:
            target: its new name; empty to remove it.
        """
        try:
            for path in (self.withdrawn, self.marker):
                if path != target:
                    move(path, target)
        except OSError as error:
            say(f"the marker {self.marker} cannot be taken away: {error.strerror}")
            posix._exit(1)

    def run_again(self, why: str) -> None:
        """Take the marker away, then exec the run; does not return."""
        # The file still names this process, so that a second run is refused meanwhile.
        self.take_away(self.marker + ".running")
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        self.stop_check()
        forget(_signal.SIGALRM)
        # Ignore requests for a rerun until the plan is loaded: this run already satisfies them.
        _signal.signal(_signal.SIGHUP, _signal.SIG_IGN)
        # PID 1 would lose a signal during the exec, so block; elsewhere, nothing would unblock them.
        self.become(why, _WAITED - {_signal.SIGALRM} if posix.getpid() == 1 else set())

    def stop_check(self) -> None:
        """End a running check, which is safe because it changes nothing."""
        if not self.check:
            return
        posix.kill(self.check, _signal.SIGTERM)
        forget(_signal.SIGALRM)
        _signal.setitimer(_signal.ITIMER_REAL, _LAST_MOMENT)
        while not posix.waitpid(self.check, posix.WNOHANG)[0]:
            number = _signal.sigwait(_WAITED - {_signal.SIGHUP})
            if number in _ENDING:
                self.end()
            if number == _signal.SIGALRM:
                posix.kill(self.check, _signal.SIGKILL)
                posix.waitpid(self.check, 0)
                break
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        self.check = 0

    def become(self, why: str, blocked: "set[int]") -> None:
        """Exec the run's command line: for a check, or for another run and the reason of it."""
        # posix.environ consists of bytes.
        environment = dict(posix.environ)
        if why:
            del environment[CHECK_VARIABLE.encode()]
            environment[RERUN_VARIABLE.encode()] = why.encode()
        try:
            posix.chdir(self.folder)
        except OSError as error:
            say(f"the folder {self.folder} cannot be entered: {error.strerror}; the plan was started there")
            posix._exit(INCONCLUSIVE)
        try:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, blocked)
            posix.execve(self.command[0], self.command, environment)
        except OSError as error:
            say(f"cannot execute {self.command[0]} again: {error.strerror}")
            posix._exit(INCONCLUSIVE)

    def end(self) -> None:
        """Exit at once, ending a running check, which changes nothing and so may be killed."""
        if self.check:
            posix.kill(self.check, _signal.SIGTERM)
            posix.kill(self.check, _signal.SIGCONT)
            ends_at = time.monotonic() + _LAST_WORDS
            while time.monotonic() < ends_at and not posix.waitpid(self.check, posix.WNOHANG)[0]:
                time.sleep(0.01)
            if time.monotonic() >= ends_at:
                posix.kill(self.check, _signal.SIGKILL)
        posix._exit(0)


def move(source: str, target: str) -> None:
    """Rename a file if it exists, or remove it if `target` is empty."""
    # A read-only file system refuses even calls that would change nothing.
    if exists(source) and target:
        posix.rename(source, target)
    elif exists(source):
        posix.unlink(source)


def exists(path: str) -> bool:
    """Whether there is something at a path."""
    try:
        posix.lstat(path)
    except OSError:
        return False
    return True


def forget(number: int) -> None:
    """Discard a pending signal, which would end the next program."""
    _signal.signal(number, _signal.SIG_IGN)
    _signal.signal(number, _signal.SIG_DFL)


def signals_before_exec() -> "set[int]":
    """The signals that threads of the run caught before the exec; see `holder.py`."""
    try:
        caught = {*posix.read(CAUGHT, 4096)}
    except OSError:
        return set()
    posix.closerange(CAUGHT, CAUGHT + 1)
    return caught


def say(text: str) -> None:
    """Print to standard error, which may be closed, or a pipe that nobody reads: then the line is lost."""
    line = f"inithold: {text}\n".encode(errors="backslashreplace")
    output = 2
    try:
        if posix.fstat(output).st_mode & _KIND == _PIPE:
            # Reopen it: O_NONBLOCK on the shared descriptor would affect other processes that write to the pipe.
            output = posix.open("/proc/self/fd/2", posix.O_WRONLY | posix.O_NONBLOCK | posix.O_CLOEXEC)
    except OSError:
        output = 2
    ends_at = time.monotonic() + _PATIENCE
    while True:
        try:
            posix.write(output, line)
        except BlockingIOError:
            if time.monotonic() < ends_at:
                time.sleep(0.05)
                continue
        except OSError:
            pass
        break
    if output != 2:
        posix.close(output)


if __name__ == "__main__":
    import sys

    Verifier(*sys.argv[1:]).hold()
