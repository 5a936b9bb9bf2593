"""The standard streams, which may be closed, full, unread or of an odd encoding: none of it may end a run.

Standard library only: this runs before anything else.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
"""As in `typing`, which is slow to import."""
if TYPE_CHECKING:
    from typing import TextIO

READER_GONE = 141
"""The exit code of a command whose output nobody reads any more: 128 + SIGPIPE, as of other programs."""
_NAMES = ("stdin", "stdout", "stderr")


def prepare() -> None:
    """Open closed streams on /dev/null, and let what an encoding cannot say be written with backslashes.

    A closed descriptor would be given to the next file or connection that is opened, and written into.
    """
    for number, name in enumerate(_NAMES):
        if getattr(sys, name) is None:
            _open_nowhere(number)
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def coloured(stream: TextIO) -> bool:
    """Whether a stream takes colour: a terminal that can, and nobody has set NO_COLOR (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and redrawable()


def redrawable() -> bool:
    """Whether the terminal understands escape sequences."""
    return os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")


def columns(stream: TextIO) -> int | None:
    """The width of the terminal behind a stream; None where there is none or it does not tell."""
    return (os.get_terminal_size(stream.fileno()).columns or None) if stream.isatty() else None


def let_go(stream: TextIO) -> None:
    """Send to nowhere what is still written to a stream that fails."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return
    _open_nowhere(number)


def end(code: int) -> int:
    """Write out what is left.

    Args:
        code: the exit code so far.

    Returns:
        the exit code: another one where the product of a command that succeeded is lost.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            let_go(stream)
            if stream is sys.stdout and code == 0:
                code = lost(error)
    return code


def lost(error: OSError) -> int:
    """Say that the output cannot be written, and let it go.

    Returns:
        the exit code for that.
    """
    let_go(sys.stdout)
    if isinstance(error, BrokenPipeError):
        return READER_GONE
    try:
        print(f"inithold: the output cannot be written: {error.strerror}", file=sys.stderr, flush=True)
    except OSError:
        let_go(sys.stderr)
    return 1


def _open_nowhere(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
