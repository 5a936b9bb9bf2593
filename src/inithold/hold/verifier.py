"""The hold that verifies: a program of its own, which the bare interpreter executes; see `holder.py`.

    python -I -S verifier.py PACE LIMIT ON_DRIFT MARKER FOLDER FINGERPRINT PROGRAM [ARGUMENT]...

It keeps nothing of a check in memory, because each one is a child: the very command line that made the environment
ready, told by a variable to look instead of to run. Between two checks it sleeps in the kernel. It imports what is
built into the interpreter and nothing else: every module more is memory that is held forever.
"""

import _signal  # type: ignore[import-not-found] # `signal` itself takes `enum` and as much memory as the rest
import posix
import time

CAUGHT = 3
"""The descriptor from which a holder reads the signals that other threads have caught before its exec."""
CHECK_VARIABLE = "INITHOLD_HOLD_CHECK"
RERUN_VARIABLE = "INITHOLD_RERUN"
DRIFT, HOLDS, INCONCLUSIVE = 3, 4, 1
"""What a check exits with. Not 0: that is what a script exits with that never gets to its plan."""
ASKED, DRIFTED = "asked", "drift"
_ENDING = {_signal.SIGTERM, _signal.SIGINT}
_WAITED = {*_ENDING, _signal.SIGHUP, _signal.SIGCHLD, _signal.SIGALRM}
_LAST_WORDS = 0.5
"""Seconds a check gets to end what it runs when the hold ends."""
_LAST_MOMENT = 1.0
"""Seconds a check gets to end by itself where the plan is to run again."""


class Verifier:
    """Holds, and looks at the environment at a pace.

    Args:
        pace: seconds between the starts of two checks; infinite for none but on demand.
        limit: seconds after which a check is killed: it is kept here, whatever the check does.
        on_drift: `rerun`, `exit` or `unhealthy`.
        marker: its path.
        folder: in which the command line was given.
        fingerprint: of the plan that was run.
        command: program and arguments of the run.
    """

    def __init__(
        self, pace: str, limit: str, on_drift: str, marker: str, folder: str, fingerprint: str, *command: str
    ) -> None:
        self.pace = float(pace)
        self.limit = float(limit)
        self.on_drift = on_drift
        self.marker = marker
        self.withdrawn = marker + ".withdrawn"
        self.folder = folder
        self.fingerprint = fingerprint
        self.command = command
        self.check = 0
        """The process that checks; 0 for none."""
        self.started_at = 0.0
        self.overdue = self.reported = False
        """Whether the check has reached its limit, and whether that was said since one has answered."""

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
        """Set the alarm for the next check: up to a tenth early, so that replicas do not ask all at once."""
        if self.pace == float("inf"):
            return
        jitter = posix.urandom(1)[0] / 2560
        left = self.started_at + self.pace * (1 - jitter) - time.monotonic()
        _signal.setitimer(_signal.ITIMER_REAL, max(left, 0.001))

    def start_check(self) -> None:
        """Start a check; there is never a second one."""
        self.started_at = time.monotonic()
        self.check = posix.fork()
        if self.check == 0:
            _signal.signal(_signal.SIGHUP, _signal.SIG_DFL)
            self.become({CHECK_VARIABLE: self.fingerprint}, set())
        _signal.setitimer(_signal.ITIMER_REAL, self.limit)

    def kill_check(self) -> None:
        """End a check that has reached its limit: stopped, stuck, or keeping its interpreter to itself."""
        posix.kill(self.check, _signal.SIGKILL)
        self.overdue = True
        if not self.reported:
            say(f"a check did not end within {self.limit:g} s and was killed; the next one runs as usual")
        self.reported = True

    def reap(self) -> None:
        """Take note of children that have ended, orphans too."""
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
        """Do what a check's answer asks for."""
        if self.overdue:
            self.overdue = False
            return
        self.reported = False
        if code == HOLDS:
            # The marker's time of change says when it was verified.
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
        elif code < 0:
            hint = " (out of memory?)" if -code == _signal.SIGKILL else ""
            say(f"a check was killed by signal {-code}{hint}; the next one runs as usual")
        elif code != INCONCLUSIVE:
            say(f"a check exited {code} without an answer; the next one runs as usual")

    def take_away(self, target: str) -> None:
        """Remove the marker, or rename it; where that cannot be done, end: nobody vouches for it then.

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
        """Take the marker away, then become the run again; does not return."""
        # It stays this process's: meanwhile another run is refused, as beside any that is going on.
        self.take_away(self.marker + ".running")
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        self.stop_check()
        forget(_signal.SIGALRM)
        # Whoever asks before the plan is loaded again has what they want.
        _signal.signal(_signal.SIGHUP, _signal.SIG_IGN)
        # As PID 1 a signal in between would be lost; elsewhere nobody would unblock it.
        self.become({RERUN_VARIABLE: why}, _WAITED - {_signal.SIGALRM} if posix.getpid() == 1 else set())

    def stop_check(self) -> None:
        """End a running check: it changes nothing."""
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

    def become(self, variables: "dict[str, str]", blocked: "set[int]") -> None:
        """Execute the command line of the run, with variables that tell it what to do."""
        # Built for bytes: that is what the environment is made of.
        environment = dict(posix.environ)
        for name, value in variables.items():
            environment[name.encode()] = value.encode()
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
        """End at once, and a check with it; one that does not end by itself is killed: it changes nothing."""
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
    """Rename a file if it is there; remove it where there is no target."""
    try:
        # Asked first, because a read-only file system refuses even what would change nothing.
        posix.lstat(source)
    except OSError:
        return
    if target:
        posix.rename(source, target)
    else:
        posix.unlink(source)


def forget(number: int) -> None:
    """Discard a signal that is pending: the next program would be ended by it."""
    _signal.signal(number, _signal.SIG_IGN)
    _signal.signal(number, _signal.SIG_DFL)


def signals_before_exec() -> "set[int]":
    """The signals that threads of the program before this one have caught; see `holder.py`."""
    try:
        caught = {*posix.read(CAUGHT, 4096)}
    except OSError:
        return set()
    posix.closerange(CAUGHT, CAUGHT + 1)
    return caught


def say(text: str) -> None:
    """Say something on standard error, which may be closed."""
    try:  # noqa: SIM105 - contextlib would be held forever
        posix.write(2, f"inithold: {text}\n".encode(errors="backslashreplace"))
    except OSError:
        pass


if __name__ == "__main__":
    import sys

    Verifier(*sys.argv[1:]).hold()
