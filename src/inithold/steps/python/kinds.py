"""`python.call`, and the kind of `@plan.step` functions."""

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
    """The base of kinds that call a function."""

    kind = "python.call"
    retries_failures = True
    rights = "what the `check` function needs"
    apply_rights = "what the function needs"

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
        """Return the function that checks or the one that applies, and its arguments."""
        raise NotImplementedError


class Call(_Calling, frozen=True, kw_only=True):
    """Call a Python function in a separate process; it succeeds when the function returns.

    The module is imported when the step runs, from the working directory or the installed packages. A coroutine
    function is awaited. On a timeout or when the run is stopped, a coroutine is cancelled; a plain function gets a
    `KeyboardInterrupt` after 1 s. If the function is still running after 2.5 s, its process is killed. A parameter
    named `ctx` receives the step's context: `ctx.log(text)`, `ctx.remaining(seconds)`, `ctx.check_cancelled()`.
    Output and log records go to the step's log. `check` and `call` run in the same process;
    in a gate, each check has a new one.

    An exception fails the step and is retried only if the plan sets `retry`. `inithold.errors.NotYet` is retried
    until the step times out.

    A driver that handles the exception, such as psycopg 3, cancels its statement on the server. If the process is
    killed, the statement goes on until the server notices: set a statement timeout on the server.

    Without `check` the step cannot be checked: the function is called every time and must be safe to repeat.

    Args:
        call: the function, as `module:function`.
        args: keyword arguments for the function.
        check_: guard function: returns true if the step is already in place. It may instead return (or yield) the
            changes still needed, as texts such as `+ user admin`, or none. It gets those of `args` that match its
            parameters.

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
