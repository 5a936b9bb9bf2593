"""The plan: what must be in place in the environment, and how long to wait for it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

import msgspec

from inithold.steps.base import Step
from inithold.text.duration import Duration, DurationField, default, settle, short
from inithold.text.files import read_regular
from inithold.text.suggest import expect_one_of

VERSION = 1
LEAST_PACE = 1.0
"""Least seconds between two checks of a verifying hold."""
OnFailure = Literal["fail", "continue"]
OnDrift = Literal["rerun", "exit", "unhealthy"]
StepId = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$",
        max_length=100,
        description="Letters, digits and underscores, and behind the first of them dots and hyphens, too.",
    ),
]


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a step is retried.

    Args:
        attempts: maximum number of attempts; if absent, as many as fit in the step's `timeout` (3 for a command
            that fails or a function that raises).
        delay: wait after the first attempt; doubles after each further one.
        max_delay: the longest wait between two attempts.
    """

    attempts: Annotated[int, msgspec.Meta(ge=1)] | None = None
    delay: DurationField = default(1.0)
    max_delay: DurationField = default(30.0)

    def __post_init__(self) -> None:
        settle(self, delay=Duration, max_delay=Duration)
        if self.attempts is not None and (type(self.attempts) is not int or self.attempts < 1):
            raise ValueError("attempts: expected a whole number of at least 1")


class Pace(Duration):
    """How often something is done by itself: a duration, or `never`, which is infinity."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        if text == "never":
            return cls(math.inf)
        try:
            return cls.of(super().parse(text))
        except ValueError as error:
            raise ValueError(f"{error}, or never") from None

    @classmethod
    def of(cls, value: str | float) -> Self:
        pace = super().of(value)
        if pace < LEAST_PACE:
            raise ValueError(f"expected at least {short(LEAST_PACE)}, or never: each check is a process")
        return pace

    def __str__(self) -> str:
        return "never" if self == math.inf else short(self)


if TYPE_CHECKING:

    class PaceField:
        """A field that accepts a str or seconds, and stores a `Pace`; or None."""

        def __get__(self, instance: object, owner: Any) -> Pace | None: ...
        def __set__(self, instance: object, value: str | float | None) -> None: ...
else:
    PaceField = Pace | None


class Hold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens after ready.

    Args:
        verify: interval between checks of every step while holding; `never` checks only on demand. If absent,
            nothing is checked while holding.
        on_drift: what to do when something is no longer in place: `rerun` removes the marker and runs the plan
            again without a restart, `exit` exits 1, `unhealthy` removes the marker until it is in place again.
        grace: how long a server may be unreachable before that counts as drift.
    """

    verify: PaceField = None  # type: ignore[assignment] # of the descriptor
    on_drift: OnDrift = "rerun"
    grace: DurationField = default(30.0)

    def __post_init__(self) -> None:
        settle(self, verify=Pace, grace=Duration)
        expect_one_of("on_drift", self.on_drift, get_args(OnDrift))


class StepEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Keys for every step.

    Args:
        id: unique name of the step, such as `migrate`.
        uses: kind of the step, such as `database.ready`; `inithold kinds` lists them.
        with_: the fields of the kind.
        needs: ids of the steps that must finish first; the step above if absent, `[]` for none.
        when: false skips the step. Takes true, 1, yes, on; or false, 0, no, off, or an empty value.
        timeout: time limit for the whole step, all attempts together.
        retry: how the step is retried.
        on_failure: `continue` lets the run go on, and become ready, without this step.
    """

    id: StepId
    uses: str
    with_: dict[str, Any] = msgspec.field(default_factory=dict, name="with")
    needs: list[str] | None = None
    when: str | bool | int | None = True
    timeout: Duration | None = None
    retry: Retry | None = None
    on_failure: OnFailure = "fail"


class PlanFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A plan file. Top-level keys that start with `x-` are ignored; use them for anchors.

    Args:
        steps: the steps, in order.
        version: version of the format: 1.
        name: name of the environment; required with `lock`.
        lock: a PostgreSQL URL; replicas that start together do the work once.
        timeout: time limit for the whole run.
        hold: what happens after ready.
    """

    steps: list[StepEntry]
    version: Literal[1] = 1
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    lock: str | None = None
    timeout: Duration | None = None
    hold: Hold = msgspec.field(default_factory=Hold)


class PlannedStep(msgspec.Struct, frozen=True):
    """A step of a checked plan.

    Args:
        id: the step's id.
        step: the step itself.
        needs: ids of the steps that must be done first.
        enabled: whether its `when` is true.
        timeout: seconds for the whole step; None for no limit.
        retry: the plan's setting; None for the default behaviour.
        on_failure: whether its failure fails the run.
        line: 1-based line in the plan file; None for a plan written in Python.
        renew: rebuilds the step if a secret file in its fields has changed, else returns None; None without
            secret files.
    """

    id: str
    step: Step
    needs: tuple[str, ...] = ()
    enabled: bool = True
    timeout: float | None = None
    retry: Retry | None = None
    on_failure: OnFailure = "fail"
    line: int | None = None
    renew: Callable[[], Step | None] | None = None

    @property
    def kind(self) -> str:
        return self.step.kind


class CheckedPlan(msgspec.Struct, frozen=True):
    """A valid plan: every name resolved, every field typed, no cycle.

    Args:
        name: the environment's name.
        steps: the steps, in the order written.
        digest: SHA-256 of the plan as written (before interpolation), hexadecimal.
        source: the file or `module:attribute` it came from.
        files: further files it was read from: the module of a plan written in Python.
        lock: PostgreSQL URL of the lock; None for none.
        timeout: seconds for the whole run; None for no limit.
        hold: what to do after ready.
    """

    name: str
    steps: tuple[PlannedStep, ...]
    digest: str
    source: str = ""
    files: tuple[str, ...] = ()
    lock: str | None = None
    timeout: float | None = None
    hold: Hold = msgspec.field(default_factory=Hold)

    def fingerprint(self) -> str:
        """A hash by which a verifying hold notices that the plan has changed since the run.

        Returns:
            a hexadecimal SHA-256 of the plan as written and of the files that are part of it, but not of the
            values of variables or anything in the environment.
        """
        digest = hashlib.sha256(self.digest.encode())
        of_steps = (path for planned in self.steps if planned.enabled for path in planned.step.files())
        for path in (*self.files, *of_steps):
            digest.update(f"\n{path}\n".encode())
            try:
                digest.update(hashlib.sha256(read_regular(path)).digest())
            except OSError as error:
                # A missing file is a change, too; the step itself will report it.
                digest.update(type(error).__name__.encode())
        return digest.hexdigest()
