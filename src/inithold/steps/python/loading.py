"""Imports the user's functions, and describes failures in one line with their place."""

from __future__ import annotations

import difflib
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any, Self

from inithold.redaction.redact import scrub
from inithold.redaction.sanitize import inert

_LONGEST = 2000
_OURS = ("<frozen ", str(Path(__file__).parents[2]))
_FOREIGN = tuple(
    path for name in ("stdlib", "platstdlib", "purelib", "platlib") if (path := sysconfig.get_path(name))
)


class ImportFailed(Exception):
    """A function cannot be imported.

    Args:
        message: what went wrong.
        error: what the module raised; None if the function just does not exist.
        hint: what to do next.
    """

    def __init__(self, message: str, error: BaseException | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.error = error
        self.hint = hint

    @classmethod
    def of(cls, module: str, error: BaseException) -> Self:
        """Return the failure for a module that raised."""
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            hint = f"it is looked for in {os.getcwd()} and in the installed packages"  # noqa: PTH109
            return cls(f"there is no module {error.name}", error, hint)
        if isinstance(error, SystemExit):
            hint = "put what the module does as a program under if __name__ == '__main__'"
            return cls(f"cannot import {module}: it calls sys.exit(){place_of(error)}", error, hint)
        message = f"cannot import {module}: {described(error)}{place_of(error)}"
        if isinstance(error, ModuleNotFoundError):
            return cls(message, error, "it must be installed for the Python that runs inithold")
        return cls(message, error)

    @classmethod
    def missing(cls, target: str, part: str, owner: Any) -> Self:
        """Return the failure for a name that a module or class does not have."""
        close = difflib.get_close_matches(part, dir(owner), n=1)
        return cls(
            f"{target}: there is no {part} in {getattr(owner, '__name__', type(owner).__name__)}",
            hint=f"did you mean {close[0]}?" if close else "check the name of the function",
        )


def is_target(text: str) -> bool:
    """Whether a text has the form `module:function`."""
    module, separator, path = text.partition(":")
    return bool(separator) and all(part.isidentifier() for part in [*module.split("."), *path.split(".")])


def load(target: str) -> Callable[..., Any]:
    """Import `module:function`.

    Raises:
        ImportFailed: there is no such module or function, or the module raised.
    """
    module_name, _, path = target.partition(":")
    folder = os.getcwd()  # noqa: PTH109 - as sys.path has it
    if folder not in sys.path and "" not in sys.path:
        sys.path.insert(0, folder)
    invalidate_caches()
    try:
        found: Any = import_module(module_name)
    except BaseException as error:
        raise ImportFailed.of(module_name, error) from error
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise ImportFailed.missing(target, part, found) from error
    if not callable(found):
        message = f"{target} is not a function but a value of type {type(found).__name__}"
        raise ImportFailed(message, hint="check the name of the function")
    return found  # type: ignore[no-any-return]


def name_of(function: Any) -> str:
    """Return a function's name as `module:name`."""
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None) or type(function).__name__
    return f"{module}:{name}" if module else str(name)


def described(error: BaseException) -> str:
    """Return class and message of an exception, or of the members of a group."""
    if isinstance(error, BaseExceptionGroup):
        shown = "; ".join(described(member) for member in error.exceptions[:3])
        return shown if len(error.exceptions) <= 3 else f"{shown}; and {len(error.exceptions) - 3} more"
    try:
        text = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception:  # noqa: BLE001 - an exception's text is the user's code, too
        text = "(its text cannot be had)"
    text = inert(scrub(text)).strip()
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def place_of(error: BaseException) -> str:
    """Return where it was raised, in parentheses: the innermost line of the user's own code."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({_short(error.filename)}:{error.lineno})"
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    frames = [each for each in traceback.extract_tb(error.__traceback__) if not each.filename.startswith(_OURS)]
    own = [frame for frame in frames if not frame.filename.startswith(_FOREIGN)] or frames
    return f" ({_short(own[-1].filename)}:{own[-1].lineno})" if own else ""


def _short(file: str) -> str:
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return file
