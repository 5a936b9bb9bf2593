"""Plans written in Python. They are validated and run exactly like plan files."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

import msgspec

from inithold.plan.convert import INVALID, Path, convert
from inithold.plan.faults import Faults
from inithold.plan.model import CheckedPlan, Hold, OnFailure, PlannedStep, Retry, StepEntry
from inithold.plan.source import PlanObject
from inithold.plan.validate import finish
from inithold.steps.base import Step
from inithold.text.duration import Duration

if TYPE_CHECKING:
    from inithold.lifecycle.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])
Seconds = str | float


class Plan(PlanObject):
    """The steps that initialize an environment.

    Args:
        name: the environment's name.
        lock: PostgreSQL URL of a lock, so that replicas started together do the work once.
        timeout: limit for the whole run; seconds, or a duration such as `"10m"`.
        hold: what to do after ready, as in a plan file: `{"verify": "1m", "on_drift": "rerun"}`.

    Example:

        plan = Plan("game-scheduler")
        plan.add(database.Ready(url=url), id="database")
        plan.add(alembic.Upgrade(config="alembic.ini", url=url), id="migrate")

        @plan.step(needs=["migrate"])
        def seed(ctx): ...

        if __name__ == "__main__":
            raise SystemExit(plan.run())
    """

    def __init__(
        self,
        name: str,
        *,
        lock: str | None = None,
        timeout: Seconds | None = None,
        hold: Hold | Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self._lock = lock
        self._timeout = _seconds(timeout)
        self._hold = _fields(hold) if isinstance(hold, Hold) else dict(hold or {})
        self._steps: list[PlannedStep] = []

    def add(
        self,
        step: Step,
        *,
        id: str | None = None,  # noqa: A002 - the plan file's word
        needs: Sequence[str] | None = None,
        when: bool = True,
        timeout: Seconds | None = None,
        retry: Retry | None = None,
        on_failure: OnFailure = "fail",
    ) -> str:
        """Add a step.

        Args:
            step: an instance of a kind, such as `database.Ready(url=...)`.
            id: the step's id; default: the kind's name (`database.ready`).
            needs: ids of the steps that must be done first; default: the step added before; `[]` for none.
            when: false skips the step.
            timeout: limit for the whole step, all attempts together; seconds, or a duration such as `"5m"`.
            retry: how to retry it.
            on_failure: with `continue` the run can be ready without it.

        Returns:
            the id, for the `needs` of other steps.

        Raises:
            ValueError: `timeout` is not a duration.
        """
        above = [self._steps[-1].id] if self._steps else []
        bound = _seconds(timeout)
        planned = PlannedStep(
            id=id or step.kind,
            step=step,
            needs=tuple(above if needs is None else needs),
            enabled=when,
            timeout=step.default_timeout if bound is None else bound,
            retry=retry,
            on_failure=on_failure,
        )
        self._steps.append(planned)
        return planned.id

    @overload
    def step(self, function: F, /) -> F: ...

    @overload
    def step(
        self,
        function: None = None,
        /,
        *,
        id: str | None = None,
        needs: Sequence[str] | None = None,
        check: Callable[..., Any] | None = None,
        when: bool = True,
        timeout: Seconds | None = None,
        retry: Retry | None = None,
        on_failure: OnFailure = "fail",
    ) -> Callable[[F], F]: ...

    def step(
        self,
        function: F | None = None,
        /,
        *,
        id: str | None = None,  # noqa: A002 - the plan file's word
        needs: Sequence[str] | None = None,
        check: Callable[..., Any] | None = None,
        when: bool = True,
        timeout: Seconds | None = None,
        retry: Retry | None = None,
        on_failure: OnFailure = "fail",
    ) -> F | Callable[[F], F]:
        """Make the decorated function a step: `@plan.step`, or with arguments.

        The function takes the step's context or nothing; a coroutine function is awaited.

        Args:
            function: what `@plan.step` without parentheses decorates.
            id: the step's id; default: the function's name.
            check: a function that returns true if the step is already done. Without one, the step runs every time.
            needs, when, timeout, retry, on_failure: as in `add`.
        """

        def decorate(function: F) -> F:
            from inithold.steps.python import Function  # noqa: PLC0415 - only plans with functions need it

            self.add(
                Function(function=function, guard=check),
                id=id or function.__name__,
                needs=needs,
                when=when,
                timeout=timeout,
                retry=retry,
                on_failure=on_failure,
            )
            return function

        return decorate if function is None else decorate(function)

    def checked(self, source: str = "", *, files: tuple[str, ...] = ()) -> CheckedPlan:
        """Validate the plan.

        Args:
            source: where it came from, for the record.
            files: the files it was read from.

        Raises:
            PlanError: the plan is invalid; lists every fault.
        """
        faults = Faults(source)
        faults.name_steps([{"id": planned.id} for planned in self._steps])
        if not self._steps:
            faults.report(("steps",), "the plan has no steps")
        steps = tuple(self._typed_step(planned, index, faults) for index, planned in enumerate(self._steps))
        shape = [(step.id, step.kind, step.needs, step.enabled, step.step.subject()) for step in steps]
        hold = convert(self._hold, Hold, faults.report, path=("hold",))
        plan = CheckedPlan(
            name=self.name,
            steps=steps,
            digest=hashlib.sha256(msgspec.json.encode([self.name, shape])).hexdigest(),
            source=source,
            files=files,
            lock=self._lock,
            timeout=self._timeout,
            hold=Hold() if hold is INVALID else hold,
        )
        return finish(plan, faults, named=bool(self.name))

    def run(self, settings: Settings | None = None) -> int:
        """Run the plan, then hold: the hold replaces this process.

        If a function of the plan does not stop at its timeout or on a signal, the process is killed 5.5 s later,
        except with `Settings(once=True)` inside another program, such as a test runner or a web service: there,
        nothing stops a function that keeps the interpreter lock.

        Args:
            settings: default: from the `INITHOLD_*` variables.

        Returns:
            the exit code, for `raise SystemExit(plan.run())`.
        """
        from inithold.lifecycle.last_words import reported  # noqa: PLC0415 - not needed unless the plan is run
        from inithold.lifecycle.run import run  # noqa: PLC0415 - as above
        from inithold.lifecycle.settings import Settings  # noqa: PLC0415 - as above

        main = getattr(sys.modules.get("__main__"), "__file__", None)
        load = partial(self.checked, files=(main,) if main else ())
        # A run that holds replaces the process; one that ends may be part of another program, which must survive.
        is_program = sys._getframe(1).f_globals.get("__name__") == "__main__"

        def start() -> int:
            given = settings or Settings.from_environment()
            return run(load, given, owned=is_program or not given.once)

        return reported(start)

    def _typed_step(self, planned: PlannedStep, index: int, faults: Faults) -> PlannedStep:
        """Convert the step's fields to their types: a dict may stand for an exchange, a str for a duration."""
        place: Path = ("steps", index)
        entry: dict[str, Any] = {
            "id": planned.id,
            "uses": planned.kind,
            "needs": list(planned.needs),
            "on_failure": planned.on_failure,
        }
        entry |= {"retry": _fields(planned.retry)} if planned.retry else {}
        typed = convert(entry, StepEntry, faults.report, path=place)
        step = convert(_fields(planned.step), type(planned.step), faults.report, path=(*place, "with"))
        if typed is INVALID or step is INVALID:
            # The plan is refused anyway; the placeholder keeps later checks from failing on this step.
            return msgspec.structs.replace(planned, step=Step())
        return msgspec.structs.replace(planned, step=step, retry=typed.retry)


def _seconds(value: Seconds | None) -> float | None:
    return Duration.parse(value) if isinstance(value, str) else value


def _fields(struct: msgspec.Struct) -> dict[str, Any]:
    """The fields by their names in a plan file."""
    return {field.encode_name: getattr(struct, field.name) for field in msgspec.structs.fields(type(struct))}
