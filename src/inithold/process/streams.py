"""The standard streams, which may be closed, full, unread or in an odd encoding: none of that may stop a run.

Standard library only, because this is imported before anything else.
"""

from __future__ import annotations

import io
import os
import stat
import sys
import time

TYPE_CHECKING = False
"""`typing` is slow to import."""
if TYPE_CHECKING:
    from typing import Any, TextIO

READER_GONE = 141
"""Exit code of a command whose output pipe was closed: 128 + SIGPIPE, as for other programs."""


def printable(line: str) -> str:
    """A line as it may be shown: a path or a file may hold escape sequences. Most need no more than this look."""
    if line.isprintable():
        return line
    from inithold.redaction.sanitize import one_line  # noqa: PLC0415 - slow to import

    return one_line(line)


def prepare() -> None:
    """Open closed streams on /dev/null, and write characters that the encoding lacks as backslash escapes.

    Otherwise the next opened file or connection would get the closed stream's descriptor, and receive its output.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            _open_nowhere(number)
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


class _Unread(io.RawIOBase):
    """A pipe that can be written to even if its reader hangs.

    A hung reader would otherwise block the run, its limits and its signal handling. Up to `_MOST_PENDING` bytes
    are kept until the reader continues; further lines are counted, and the count is written once possible.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        # Reopen it: O_NONBLOCK on the shared descriptor would affect other processes that write to the pipe.
        self._pipe = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._pending = bytearray()
        self._lost = 0
        self._stalled = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: Any) -> int:
        text = bytes(data)
        if len(self._pending) + len(text) > _MOST_PENDING:
            self._lost += text.count(b"\n")
        else:
            if self._lost:
                self._pending += f"inithold: {self._lost} lines were lost: nobody read the output\n".encode()
                self._lost = 0
            self._pending += text
        # Wait only the first time, so that a reader that is merely slow still gets everything.
        self.drain(0.0 if self._stalled else _PATIENCE)
        return len(text)

    def drain(self, seconds: float) -> None:
        """Write what is pending, waiting at most `seconds` for the reader.

        Raises:
            OSError: the reader is gone.
        """
        if not self._pending:
            return
        import select  # noqa: PLC0415 - a health check imports this module

        ends_at = time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._pipe, select.POLLOUT)
        while self._pending:
            try:
                del self._pending[: os.write(self._pipe, self._pending[:_PIPE_BUF])]
            except BlockingIOError:
                left = ends_at - time.monotonic()
                if left <= 0 or not poll.poll(left * 1000):
                    self._stalled = True
                    return
            except OSError:
                self._pending.clear()
                raise
        self._stalled = False


_MOST_PENDING = 1_048_576
_PIPE_BUF = 4096
_PATIENCE = 1.0
"""Seconds to wait for a hung reader before output is kept, and again at the end."""


def expect_no_reader() -> None:
    """If standard error is a pipe, make sure that a hung reader does not block this process."""
    try:
        if isinstance(_raw(sys.stderr), _Unread) or not stat.S_ISFIFO(os.fstat(sys.stderr.fileno()).st_mode):
            return
        raw = _Unread(sys.stderr.fileno())
    except (OSError, ValueError):  # no descriptor, or no /proc
        return
    buffered = io.BufferedWriter(raw)
    sys.stderr = io.TextIOWrapper(
        buffered, encoding=sys.stderr.encoding, errors="backslashreplace", line_buffering=True
    )


def _raw(stream: TextIO) -> object:
    return getattr(getattr(stream, "buffer", None), "raw", None)


def coloured(stream: TextIO) -> bool:
    """Whether to colour a stream's output: a capable terminal, and NO_COLOR (no-color.org) not set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and redrawable()


def redrawable() -> bool:
    """Whether the terminal understands escape sequences."""
    return os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")


def columns(stream: TextIO) -> int | None:
    """The width of a stream's terminal; None if it has none, or the width is unknown."""
    return (os.get_terminal_size(stream.fileno()).columns or None) if stream.isatty() else None


def let_go(stream: TextIO) -> None:
    """Redirect a stream that fails to /dev/null."""
    try:
        number = stream.fileno()
    except (OSError, ValueError):
        return
    _open_nowhere(number)


def end(code: int) -> int:
    """Flush the standard outputs, waiting at most a second for a reader.

    Returns:
        the exit code; changed if a successful command's standard output could not be written.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
            if isinstance(raw := _raw(stream), _Unread):
                raw.drain(_PATIENCE)
        except OSError as error:
            let_go(stream)
            if stream is sys.stdout and code == 0:
                code = lost(error)
    return code


def lost(error: OSError) -> int:
    """Report that standard output cannot be written, and redirect it to /dev/null.

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
