"""The error tree. Each class knows the exit code it ends the process with.

InitholdError                 1
├── UsageError                2  the command line, or where it is run, is wrong
├── PlanError                 2  the plan is wrong; carries every fault found
├── DocumentError             2  a YAML file cannot be read
├── StepError                 1
│   ├── NotYet                   may heal by itself: tried again
│   ├── Interrupted              the step was told to stop
│   └── StepFailed               trying again would not help
│       ├── Rejected             the server is up and says no to the credentials or the database
│       └── Ahead                a newer version of this init has been here
├── Cancelled             128+N  a signal ended the run
└── LockLost                  1  the connection that held the lock is gone: the run starts over
"""

from __future__ import annotations

from collections.abc import Sequence


class InitholdError(Exception):
    """Base of every error that inithold reports to a person.

    Args:
        message: what failed and what was seen, without secrets, one or more lines.
        hint: what to do next, one line, or None where there is nothing to add.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(InitholdError):
    """The command line, or the place it is run in, is wrong."""

    exit_code = 2


class Fault:
    """One thing that is wrong in a file: what is wrong and what would be right.

    The file is named as the user named it, None for a plan written in Python; line and column begin with 1.
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
    """The plan is refused; `faults` lists everything that is wrong with it, in file order."""

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
    """Base of what a step may raise from `check` or `apply`."""

    exception = ""
    """Class name of what it stands for, where that was raised in another process."""


class NotYet(StepError):
    """What may heal by itself: a server not up, a connection lost half-way. Tried again.

    Args:
        message: what was seen.
        probe: host and port that refused or did not resolve. Where given, a bare TCP connection to it is
            tried every few hundredths of a second and the whole check is made again once one succeeds.
        hint: what to do where it does not heal.
        within: seconds after which to try again at the latest, where the plan sets no `retry`.
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
    """What trying again would not fix."""


class Rejected(StepFailed):
    """The server is up and says no: to the password, the role or the name of the database.

    Final in `run`; `wait` tries on, because init may yet create what is missing.
    """


class Ahead(StepFailed):
    """The environment is ahead of what the step wants: a newer version of it has been here.

    Final in `run`, which never goes back; a hold that verifies reports it and leaves it alone.
    """


class Interrupted(StepError):
    """The step was told to stop: its time is up or the run was cancelled."""


class Cancelled(InitholdError):
    """The run was told to stop.

    Args:
        signal_number: the signal that said so; the exit code is 128 plus it.
    """

    def __init__(self, signal_number: int) -> None:
        from signal import Signals  # noqa: PLC0415 - the quick commands use this module without it

        super().__init__(Signals(signal_number).name)
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number
