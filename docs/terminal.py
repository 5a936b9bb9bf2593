"""A terminal without a window: runs a command at a real pty, and gives what is on its screen as a page."""

from __future__ import annotations

import fcntl
import html
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte
from pyte.screens import Char

COLOURS = {
    "black": "#8d98a9",
    "red": "#ff8d84",
    "green": "#7fd79b",
    "brown": "#f0c674",
    "blue": "#8fb4ff",
    "magenta": "#d6a0e6",
    "cyan": "#74cbe3",
    "white": "#e7ecf3",
    "default": "#d8dee9",
}
"""The colours of the picture, by the names that pyte has for the eight of ANSI."""
PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #10151c; color: {default}; }}
pre {{ margin: 0; padding: 18px 22px; width: max-content; }}
pre {{ font: 14px/1.45 "DejaVu Sans Mono", "Liberation Mono", monospace; }}
.wide {{ display: inline-block; width: 1ch; }}
</style><pre>{text}</pre>"""
_DEADLINE = 60.0


class Terminal:
    """A screen.

    Args:
        folder: where commands run.
        environment: of the commands, besides TERM.
        columns: of the screen.
        rows: of the screen.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], columns: int, rows: int) -> None:
        self._folder = folder
        self._environment = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **environment}
        self._size = struct.pack("HHHH", rows, columns, 0, 0)
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)

    def run(self, command: Sequence[str], shown: str, until: Callable[[str], bool] | None = None) -> None:
        """Run a command to its end, or until the screen is as wanted; then it is ended.

        Args:
            command: program and arguments.
            shown: how it was typed.
            until: looks at the screen's text.

        Raises:
            TimeoutError: neither comes within a minute.
        """
        self._stream.feed(f"\x1b[1m$ {shown}\x1b[0m\r\n".encode())
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, self._size)
        process = subprocess.Popen(
            command, cwd=self._folder, env=self._environment, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        try:
            self._follow(master, until)
        finally:
            process.terminate()
            process.wait(10)
            os.close(master)

    def _follow(self, master: int, until: Callable[[str], bool] | None) -> None:
        deadline = time.monotonic() + _DEADLINE
        while time.monotonic() < deadline:
            if not select.select([master], [], [], 0.5)[0]:
                continue
            try:
                data = os.read(master, 65536)
            except OSError:  # Linux ends a terminal with EIO
                return
            self._stream.feed(data)
            if not data or (until is not None and until("\n".join(self.screen.display))):
                return
        raise TimeoutError("\n".join(self.screen.display))

    def page(self) -> str:
        """What is on the screen, as a page."""
        lines = [self._line(row) for row in range(self.screen.lines)]
        while lines and not lines[-1].strip():
            lines.pop()
        return PAGE.format(text="\n".join(lines), **COLOURS)

    def _line(self, row: int) -> str:
        cells = self.screen.buffer[row]
        width = len(self.screen.display[row].rstrip())
        return "".join(_styled(cells[column]) for column in range(width))


def _styled(cell: Char) -> str:
    # A sign of another font may be wider than its cell.
    text = html.escape(cell.data) if cell.data.isascii() else f'<span class="wide">{cell.data}</span>'
    colour = COLOURS.get(
        cell.fg.removeprefix("bright"), f"#{cell.fg}" if len(cell.fg) == 6 else COLOURS["default"]
    )
    text = f'<span style="color: {colour}">{text}</span>' if cell.fg != "default" else text
    return f"<b>{text}</b>" if cell.bold else text
