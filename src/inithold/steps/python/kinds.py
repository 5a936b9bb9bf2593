"""The kinds that call functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from inithold.errors import StepFailed
from inithold.steps.base import Change, Step, StepContext
from inithold.steps.python.calling import called, changes_of, in_user_code
from inithold.steps.python.loading import is_target, load, name_of


class _Calling(Step, frozen=True, kw_only=True):
    """What calling a function by name and calling one that is at hand have in common."""

    kind = "python.call"
    retries_failures = True
    rights = "those of the `check` function"
    apply_rights = "those of the function"

    def check(self, context: StepContext) -> Sequence[Change]:
        if not self.verifiable:
            return (Change("?", "runs each time"),)
        needed = (Change("+", f"call {self.subject()}"),)
        changes: Sequence[Change] = in_user_code(
            context, lambda: changes_of(called(*self._function(check=True), context, lenient=True), needed)
        )
        return changes

    def apply(self, context: StepContext, changes: Sequence[Change]) -> None:  # noqa: ARG002 - it has but one
        def work() -> None:
            result = called(*self._function(check=False), context)
            if inspect.isgenerator(result) or inspect.isasyncgen(result):
                hint = "remove the yield"
                raise StepFailed("it is a generator function: called, it does nothing", hint=hint)

        in_user_code(context, work)

    def _function(self, *, check: bool) -> tuple[Callable[..., Any], Mapping[str, Any]]:
        """The function that checks or the one that applies, and the arguments for it."""
        raise NotImplementedError


class Call(_Calling, frozen=True, kw_only=True):
    """Call a Python function in a process of its own; that it returns is success.

    The module is imported when the step runs, from the working directory or the installed packages. A coroutine
    function is awaited. When the step's time is up or the run is stopped, a coroutine is cancelled and a plain
    function gets a `KeyboardInterrupt` after 1 s; where it has not ended 2.5 s after it was told to, the process
    is killed. A function that has a parameter `ctx` is given the step's context: `ctx.log(text)`,
    `ctx.remaining(seconds)`, `ctx.check_cancelled()`. What it prints and logs goes into the log. `check` and
    `call` run in the same process.

    An exception fails the step, and is tried again only where the plan sets `retry`; `inithold.errors.NotYet` is
    tried again until the step's time is up.

    A statement on a server is ended by the driver that gets the exception, as psycopg 3 does. Where the process is
    killed, it goes on until the server notices: give such a statement a limit of the server's own.

    Without `check` it cannot be checked: it is called in every run and must be safe to repeat.

    Args:
        call: the function, as `module:function`.
        args: its keyword arguments.
        check_: a function that tells whether the step already holds: true if so. It may also return (or yield) the
            changes still needed, as texts such as `+ user admin`; none if it holds. It is given those of `args`
            that it has parameters for.

    Example:
        ```yaml
        - id: seed
          uses: python.call
          with:
            call: app.seed:main
            args: {games: 20}
            check: app.seed:is_seeded
        ```
    """

    in_worker = True

    call: str
    args: dict[str, Any] = msgspec.field(default_factory=dict)
    # `check` is the method that every kind has.
    check_: str | None = msgspec.field(default=None, name="check")

    def validate(self) -> Iterator[tuple[str, str]]:
        for field, target in (("call", self.call), ("check", self.check_)):
            if target is not None and not is_target(target):
                yield field, "expected module:function, for example app.seed:main"
        for name in self.args:
            if not name.isidentifier():
                yield "args", f"{name!r} cannot be the name of a parameter"

    @property
    def verifiable(self) -> bool:
        return self.check_ is not None

    def subject(self) -> str:
        return self.call

    def _function(self, *, check: bool) -> tuple[Callable[..., Any], Mapping[str, Any]]:
        return load((self.check_ or "") if check else self.call), self.args


class Function(_Calling, frozen=True, kw_only=True):
    """A function that is at hand: what `@plan.step` makes of one.

    Args:
        function: to call; see `Call`.
        guard: as `Call`'s `check`.
    """

    in_run = True

    function: Any
    guard: Any = None

    def validate(self) -> Iterator[tuple[str, str]]:
        for field, function in (("function", self.function), ("guard", self.guard)):
            if function is not None and not callable(function):
                yield field, "expected a function"

    @property
    def verifiable(self) -> bool:
        return self.guard is not None

    def subject(self) -> str:
        return name_of(self.function)

    def _function(self, *, check: bool) -> tuple[Callable[..., Any], Mapping[str, Any]]:
        return (self.guard if check else self.function), {}
