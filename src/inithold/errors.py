"""The error tree. Each class has the exit code of the process.

InitholdError                 1
├── UsageError                2  the command line, or where it is run, is wrong
├── PlanError                 2  the plan is wrong; carries all faults
├── DocumentError             2  a YAML file cannot be read
├── StepError                 1
│   ├── NotYet                   temporary: retried
│   ├── Interrupted              the step was told to stop
│   └── StepFailed               permanent: another attempt would not help
│       ├── Rejected             the server rejects the credentials or the database
│       └── Ahead                a newer version of this init has run
└── Cancelled             128+N  a signal ended the run
"""

from __future__ import annotations

from collections.abc import Sequence


class InitholdError(Exception):
    """Base of every error that inithold reports to people.

    Args:
        message: what failed and what was seen, without secrets, one or more lines.
        hint: what to do next, one line, or None.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(InitholdError):
    """The command line, or the place where it runs, is wrong."""

    exit_code = 2


class Fault:
    """One error in a file: what is wrong, and how to fix it.

    `file` is the name that the user gave, None for a Python plan; `line` and `column` start at 1.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        step: str | None = None,
    ) -> None:
        self.message = message
        self.file = file
        self.line = line
        self.column = column
        self.step = step

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)
        where = f"{place}: " if place else ""
        step = f"step {self.step!r}: " if self.step else ""
        return f"{where}{step}{self.message}"


class PlanError(InitholdError):
    """The plan is refused; `faults` lists all its errors, in file order."""

    exit_code = 2

    def __init__(self, faults: Sequence[Fault], *, hint: str | None = None) -> None:
        super().__init__("\n".join(str(fault) for fault in faults), hint=hint)
        self.faults = tuple(faults)


class DocumentError(InitholdError):
    """A YAML file cannot be read: missing, unreadable, not UTF-8, not YAML."""

    exit_code = 2

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class StepError(InitholdError):
    """Base of the errors that a step may raise from `check` or `apply`."""

    exception = ""
    """Class name of the original exception, if that was raised in another process."""


class NotYet(StepError):
    """A temporary error, which is retried: a server that is not up, a lost connection.

    Args:
        message: what was seen.
        probe: host and port that refused or did not resolve. If given, a bare TCP connection to it is tried every
            few hundredths of a second, and the whole check runs again once one succeeds.
        hint: what to do if it does not go away.
        within: maximum seconds until the next attempt, if the plan sets no `retry`.
    """

    def __init__(
        self,
        message: str,
        *,
        probe: tuple[str, int] | None = None,
        hint: str | None = None,
        within: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.probe = probe
        self.within = within


class StepFailed(StepError):
    """A permanent error: another attempt would not help."""


class Rejected(StepFailed):
    """The server is up and rejects the password, the role or the name of the database.

    `run` fails at once; `wait` keeps trying, because init may still create what is missing.
    """


class Ahead(StepFailed):
    """The environment is ahead of the step: a newer version of this init has run.

    `run` fails, because nothing is ever downgraded; a verifying hold reports it and changes nothing.
    """


class Interrupted(StepError):
    """The step was told to stop: it timed out, or the run was cancelled."""


class Cancelled(InitholdError):
    """The run was told to stop.

    Args:
        signal_number: the signal; the exit code is 128 plus its number.
    """

    def __init__(self, signal_number: int) -> None:
        from signal import Signals  # noqa: PLC0415 - the quick commands use this module without it

        super().__init__(Signals(signal_number).name)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number
