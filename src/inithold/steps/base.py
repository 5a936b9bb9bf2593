"""What a step kind is: a frozen struct of typed fields with `check` and `apply`.

A kind never waits, retries or measures time: it says `NotYet` and the runner decides when to ask again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Literal, Protocol

import msgspec

from inithold.process.imports import IMPORTING

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


class StepContext(Protocol):
    """What a step sees of the run while it is checked or applied."""

    @property
    def step_id(self) -> str:
        """The step's id in the plan."""

    @property
    def only_waits(self) -> bool:
        """Whether nothing will be applied: a gate, which may wait for long and is to take little memory."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment for child processes: this process's own, with `TRACEPARENT` of the step's span."""

    def log(self, text: str, *, level: Literal["debug", "info", "warning", "error"] = "info") -> None:
        """Say one or more lines in the run's log, under the step's id."""

    def remaining(self, most: float) -> float:
        """Seconds until the step's time is up, at most `most`: a bound for one network operation."""

    def check_cancelled(self) -> None:
        """Raise `Interrupted` if the step has been told to stop."""

    def on_cancel(self, action: Callable[[], object]) -> AbstractContextManager[object]:
        """While the returned context is open, telling the step to stop calls `action`, from another thread."""

    def user_code(self) -> AbstractContextManager[object]:
        """While the returned context is open, spans and logs of this thread belong to the step."""


class WorkerContext(StepContext, Protocol):
    """What a step sees whose code runs in a worker: the run has to know what comes up here."""

    def learn(self, url: str) -> None:
        """Treat the secrets of a URL as secrets, here and in the run."""

    def opened_session(self, session: Mapping[str, Any]) -> None:
        """Report a session on a server, so that the run ends it where this process is killed.

        Args:
            session: see `inithold.steps.database.driver.end_sessions`.
        """


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every step kind.

    A subclass sets `kind`, declares its fields with types, and defines `check` and, unless `looks_only`, `apply`.
    """

    kind: ClassVar[str] = ""
    """The name a plan uses: `database.ready`."""
    looks_only: ClassVar[bool] = False
    """Whether the kind only checks, and has no `apply`."""
    default_timeout: ClassVar[float | None] = None
    """Seconds the whole step may take where the plan gives no `timeout`."""
    waits: ClassVar[bool] = False
    """Whether being unmet is "not yet" rather than a failure: true for the `*.ready` kinds."""
    retries_failures: ClassVar[bool] = False
    """Whether a failure of `apply` may be tried again where the plan sets `retry`: for the user's own code."""
    takes_terminal: ClassVar[bool] = False
    """Whether what it runs writes to the terminal itself, so that nothing may be drawn there meanwhile."""
    in_worker: ClassVar[bool] = False
    """Whether `check` and `apply` run in a process of their own, in its main thread: for the user's code, and for
    libraries that cannot be interrupted. The context is a `WorkerContext` there. `before_worker` runs here."""
    in_run: ClassVar[bool] = False
    """Whether it runs the user's code in the run's own process, whose limits a process beside it then keeps."""
    quiet_check: ClassVar[bool] = False
    """In a worker: whether what its check prints and logs is shown only for debugging, warnings excepted."""
    rights: ClassVar[str] = ""
    """The permissions that `check` needs, for the manual."""
    apply_rights: ClassVar[str] = ""
    """The additional permissions that `apply` needs; empty for a kind that only checks."""

    def validate(self) -> Iterator[tuple[str, str]]:
        """Yield what is wrong with the fields beyond their types, as (field, message); nothing is contacted.

        The field may be a part of one: `queues[2].name`.
        """
        yield from ()

    def extras(self) -> Sequence[str]:
        """The extras of inithold this step needs, such as `postgres`."""
        return ()

    @property
    def verifiable(self) -> bool:
        """Whether `check` can tell at all; what cannot be checked is left out of gates and verification."""
        return True

    def files(self) -> Sequence[str]:
        """Files that are a part of the plan: where their content changes, the plan has changed."""
        return ()

    def preload(self) -> None:
        """Import what the step will need; called while there is nothing better to do."""

    def load(self) -> None:
        """Import what the step will need while no other thread does: call it before importing anything heavy."""
        with IMPORTING:
            self.preload()

    def subject(self) -> str:
        """What the step works on, for people, without secrets: `postgresql://app@db:5432/games`."""
        return ""

    def before_worker(self, context: StepContext) -> Sequence[Change] | None:  # noqa: ARG002 - the interface
        """The answer of `check` where it takes no worker to tell; None where it does. Raises as `check` does.

        For kinds that run in a worker, which takes long to start: what can be told without the user's code, such
        as that the server is not up yet. Changes that are still needed after an apply are told by `check`.
        """
        return None

    def trace(self, context: StepContext) -> object:  # noqa: ARG002 - the interface
        """What a gate compares instead of asking the worker again; None where nothing can be compared.

        While it stays the same, so does the answer of `check`, as a rule. Raises as `check` does.
        """
        return None

    def check(self, context: StepContext) -> Sequence[Change]:
        """Find out what is still needed, changing nothing; empty means that the step is in place.

        A check is bounded by `context.remaining` and need not be interruptible: told to stop, because the step's
        time is up or the run is cancelled, it is abandoned 0.25 s later. It counts as failed then, and the step is
        not tried again while the abandoned check is alive. What it starts as a process of its own it ends with
        `context.on_cancel`.

        Raises:
            NotYet: it cannot be told yet.
            StepFailed: it cannot be told and trying again would not help.
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
