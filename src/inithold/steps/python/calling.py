"""Calls the user's functions: arguments, coroutines, results and failures."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal

from inithold.errors import StepError, StepFailed
from inithold.process.capture import Level, capturing, suspended
from inithold.steps.base import Change, StepContext
from inithold.steps.python.loading import ImportFailed, described, name_of, place_of

_OPS: Mapping[str, Literal["+", "~", "!"]] = {"+ ": "+", "~ ": "~", "! ": "!"}


class _QuietContext:
    """The step's context for the user's function; what is logged through it is not captured a second time."""

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def log(self, text: str, *, level: Level = "info") -> None:
        with suspended():
            self._context.log(text, level=level)


def in_user_code(context: StepContext, work: Callable[[], Any]) -> Any:
    """Run `work` with its output captured and its spans under the step's.

    Raises:
        Interrupted: it failed after the step was told to stop.
        StepFailed: it raised anything other than a `StepError`.
    """
    try:
        with context.user_code(), capturing(lambda text, level: context.log(text, level=level)):
            return work()
    except StepError:
        raise
    except SystemExit as error:
        if error.code in (None, 0):
            return ()
        context.check_cancelled()
        raise StepFailed(
            f"it called sys.exit({error.code!r}){place_of(error)}",
            hint="its own output says why; code that raises instead of ending the process says more",
        ) from error
    except BaseException as error:  # noqa: BLE001 - CancelledError is not an Exception; nothing may end the thread
        context.check_cancelled()
        failed = error if isinstance(error, ImportFailed) else None
        if (cause := failed.error if failed else error) is not None:
            context.log("".join(traceback.format_exception(cause)), level="debug")
        message = failed.message if failed else f"{described(error)}{place_of(error)}"
        hint = failed.hint if failed else None
        raise StepFailed(message, hint=hint or "--log-level debug shows the traceback") from cause


def called(
    function: Callable[..., Any], given: Mapping[str, Any], context: StepContext, *, lenient: bool = False
) -> Any:
    """Call the user's function with keyword arguments, and await its result if it is awaitable.

    A parameter `ctx` gets the context; if `lenient`, arguments without a parameter are left out.
    """
    positional, keywords = _arguments(function, given, _QuietContext(context), lenient=lenient)
    result = function(*positional, **keywords)
    if not inspect.isawaitable(result):
        return result
    import asyncio  # noqa: PLC0415 - only coroutines need it

    async def awaited() -> Any:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def cancel() -> None:
            # The loop may have just ended.
            with suppress(RuntimeError):
                if task is not None:
                    loop.call_soon_threadsafe(task.cancel)

        with context.on_cancel(cancel):
            return await result

    return asyncio.run(awaited())


def _arguments(
    function: Callable[..., Any], given: Mapping[str, Any], context: _QuietContext, *, lenient: bool
) -> tuple[list[Any], dict[str, Any]]:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Functions written in C may have no signature.
        return [], dict(given)
    parameters = signature.parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    keywords = {name: value for name, value in given.items() if not lenient or takes_any or name in parameters}
    positional: list[Any] = []
    if "ctx" in parameters and "ctx" not in keywords:
        if parameters["ctx"].kind is inspect.Parameter.POSITIONAL_ONLY:
            positional = [context]
        else:
            keywords["ctx"] = context
    try:
        signature.bind(*positional, **keywords)
    except TypeError as error:
        raise StepFailed(
            f"{name_of(function)}{signature} cannot be called: {error}",
            hint="give its arguments with args; a parameter named ctx gets the step's context",
        ) from error
    return positional, keywords


def changes_of(answer: Any, needed: tuple[Change, ...]) -> tuple[Change, ...]:
    """Return the changes still needed according to a check function's result."""
    if inspect.isgenerator(answer):
        answer = list(answer)
    if isinstance(answer, str | bytes):
        raise StepFailed(
            "the check function returned a text, which is neither yes nor no",
            hint="return True or False, or a list of the changes still needed, such as ['+ user admin']",
        )
    if not isinstance(answer, list | tuple | set | frozenset):
        return () if answer else needed
    changes = []
    for line in answer:
        if isinstance(line, Change):
            changes.append(line)
        elif isinstance(line, str):
            op = _OPS.get(line[:2])
            changes.append(Change(op, line[2:]) if op else Change("+", line))
        else:
            raise StepFailed(
                f"the check function returned a list of {type(line).__name__}",
                hint="a list means changes still needed, as texts; for rows that were found return bool(rows)",
            )
    return tuple(changes)
