"""The base of step kinds: a frozen struct of typed fields with `check` and `apply`.

A kind never waits, retries or measures time: it raises `NotYet`, and the runner decides when to try again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import msgspec

from inithold.net.shared import SharedConnections
from inithold.process.imports import IMPORTING
from inithold.text.frozen import set_field

Op = Literal["+", "~", "!", "?"]


class Change(msgspec.Struct, frozen=True, order=True):
    """One difference between the environment and what a step requires.

    Args:
        op: `+` is missing and will be created, `~` differs and will be changed, `!` is missing and not created by
            this step, `?` cannot be checked and is done in every run.
        what: the object and, for `~`, how it differs: `queue bot_events`, `schema 3f2a -> head (3 revisions)`.
        details: more lines, shown indented below.
    """

    op: Op
    what: str
    details: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.op} {self.what}"


class SessionLock(NamedTuple):
    """Marks the sessions on servers of a run that has the plan's lock.

    If everything of a run is killed, its lock is free at once, and its statements may still be running. So whoever
    gets the lock next must be able to find them.

    Attributes:
        key: the same for every run of the plan: key of an advisory lock of PostgreSQL that each session takes,
            shared, and part of the name of a lock of MySQL.
        run: tells this run's sessions from an earlier one's.
    """

    key: int
    run: str


class StepContext(Protocol):
    """The run, as a step sees it in `check` and `apply`."""

    @property
    def step_id(self) -> str:
        """The step's id in the plan."""

    @property
    def only_waits(self) -> bool:
        """Whether nothing will be applied: true in a gate, which may wait long and should take little memory."""

    @property
    def connections(self) -> SharedConnections | None:
        """Where this run's checks leave connections to one another; None if they do not."""

    @property
    def session_lock(self) -> SessionLock | None:
        """How to mark the sessions that make changes; None without a plan's lock."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment for child processes: that of this process, plus `TRACEPARENT` for the step's span."""

    def log(self, text: str, *, level: Literal["debug", "info", "warning", "error"] = "info") -> None:
        """Write one or more lines to the run's log, under the step's id."""

    def remaining(self, most: float) -> float:
        """Seconds until the step times out, at most `most`: the timeout for one network operation."""

    def check_cancelled(self) -> None:
        """Raise `Interrupted` if the step has been told to stop."""

    def on_cancel(self, action: Callable[[], object]) -> AbstractContextManager[object]:
        """While the returned context is open, a request to stop calls `action` from another thread."""

    def user_code(self) -> AbstractContextManager[object]:
        """While the returned context is open, spans and logs of this thread belong to the step."""


class WorkerContext(StepContext, Protocol):
    """The context of a step that runs in a worker; it also reports to the run."""

    def learn(self, url: str) -> None:
        """Treat the secrets of a URL as secrets, here and in the run."""

    def opened_session(self, session: Mapping[str, Any]) -> None:
        """Report a session on a server, so that the run ends it if this process is killed.

        Args:
            session: see `inithold.steps.database.driver.end_sessions`.
        """


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every step kind.

    A subclass sets `kind`, declares its fields with types, and defines `check` and, unless `looks_only`, `apply`.
    """

    kind: ClassVar[str] = ""
    """The name in a plan: `database.ready`."""
    looks_only: ClassVar[bool] = False
    """Whether the kind only checks, and has no `apply`."""
    default_timeout: ClassVar[float | None] = None
    """Time limit for the whole step in seconds, if the plan gives no `timeout`; None for no limit."""
    waits: ClassVar[bool] = False
    """Whether unmet means "not yet" rather than a failure: true for the `*.ready` kinds."""
    retries_failures: ClassVar[bool] = False
    """Whether a failed `apply` is retried if the plan sets `retry`: for the user's code."""
    takes_terminal: ClassVar[bool] = False
    """Whether its command writes to the terminal, so that inithold must not draw there meanwhile."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Heavy modules to import before the first connection, while inithold is waiting anyway."""
    in_worker: ClassVar[bool] = False
    """Whether `check` and `apply` run in the main thread of a separate process: for the user's code, and for
    libraries that cannot be interrupted. Their context is a `WorkerContext`. `before_worker` runs in the run."""
    in_run: ClassVar[bool] = False
    """Whether it runs the user's code inside the run, whose time limits a watchdog process then enforces."""
    quiet_check: ClassVar[bool] = False
    """In a worker: whether the output of `check`, except warnings, is logged only at level debug."""
    rights: ClassVar[str] = ""
    """The permissions that `check` needs, for the manual."""
    apply_rights: ClassVar[str] = ""
    """The additional permissions that `apply` needs; empty for a kind that only checks."""

    def validate(self) -> Iterator[tuple[str, str]]:
        """Yield errors in the fields beyond their types, as (field, message). Contacts nothing.

        The field may be a path: `queues[2].name`.
        """
        yield from ()

    def extras(self) -> Sequence[str]:
        """The extras of inithold this step needs, such as `postgres`."""
        return ()

    @property
    def verifiable(self) -> bool:
        """Whether the step can be checked; if not, gates and verification skip it."""
        return True

    def files(self) -> Sequence[str]:
        """Files that are part of the plan: if their content changes, the plan has changed."""
        return ()

    def preload(self) -> None:
        """Import what the step will need: `libraries`, unless a kind has more to do."""
        for module in self.libraries:
            import_module(module)

    def preload_for_both(self) -> None:
        """Import what both `before_worker` and the worker will need, before the worker is forked from the run."""

    def load(self) -> None:
        """Import what the step will need while no other thread does: call it before importing anything heavy."""
        with IMPORTING:
            self.preload()

    def subject(self) -> str:
        """The object of the step, for people, without secrets: `postgresql://app@db:5432/games`."""
        return ""

    def before_worker(self, context: StepContext) -> Sequence[Change] | None:  # noqa: ARG002 - the interface
        """The result of `check`, if it needs no worker; otherwise None. Raises as `check` does.

        For kinds that run in a worker, which is slow to start: answers what needs none of the user's code, such
        as that the server is not up yet. After an apply, only `check` reports the changes still needed.
        """
        return None

    def snapshot(self, context: StepContext, urls: Sequence[str]) -> object:  # noqa: ARG002 - the interface
        """Return what `inithold wait` compares before it asks the worker again; None if there is nothing.

        As long as it is unchanged, the result of `check` most likely is, too. Without one, the worker is asked now
        and then. Raises as `check` does.

        Args:
            context: of the run.
            urls: of the databases that the last check used (`WorkerContext.opened_session`).
        """
        return None

    def check(self, context: StepContext) -> Sequence[Change]:
        """Return the changes still needed, and change nothing; empty means that the step is in place.

        A check stays within `context.remaining` and need not be interruptible: on a timeout or when the run is
        cancelled, it is abandoned after 0.25 s. It then counts as failed, and the step is not retried while the
        abandoned check is still running. A check that starts a process ends it through `context.on_cancel`.

        Raises:
            NotYet: the answer is not known yet; the step is retried.
            StepFailed: the check failed, and another attempt would not help.
        """
        raise NotImplementedError

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:
        """Make the changes. Safe to repeat; never drops, truncates or downgrades.

        It is never abandoned: code that does not stop 5 s after it was told to ends the run.

        Args:
            context: of the run.
            changes: what `check` answered just before.

        Raises:
            NotYet: it may be tried again from the check on.
            StepFailed: trying again would not help.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        # Fields may hold secrets, and a repr ends up in tracebacks and logs.
        shown = self.subject()
        return f"<{self.kind}{f' {shown}' if shown else ''}>"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("", self.subject())]


def convert_fields(struct: object, **types: Any) -> None:
    """Convert fields of a frozen struct, in its `__post_init__`: a Python plan may give dictionaries.

    Raises:
        ValueError: a value does not fit; the message names the field.
    """
    for name, wanted in types.items():
        try:
            set_field(struct, name, msgspec.convert(getattr(struct, name), wanted, strict=False))
        except msgspec.ValidationError as error:
            raise ValueError(f"{name}: {error}") from None
