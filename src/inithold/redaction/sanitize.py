"""Foreign output as lines that are safe to show: no terminal control, no endless line, no secret."""

from __future__ import annotations

import codecs
import re
import time
from collections.abc import Iterator

from inithold.redaction.redact import scrub

PROGRESS_INTERVAL = 5.0
"""Seconds after which the state of a line that overwrites itself is told again."""
LONGEST = 4000
"""Most characters shown of a line."""
_KEPT = 65536
"""Most characters kept of a line until its end; far more than shown, so that no secret is cut in two."""

# ECMA-48: control sequences (colours, cursor), strings (titles, hyperlinks), other escapes.
_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|\x9b[0-?]*[ -/]*[@-~]"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_HALVES = re.compile(r"[\ud800-\udfff]")
_BREAK = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")


def inert(text: str) -> str:
    """Remove escape sequences; replace other control characters, except tab and line feed, by U+FFFD."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", _ESCAPE.sub("", text))


def sanitize(text: str) -> str:
    """Make a text safe to show and write anywhere: no secrets, no terminal control, only valid Unicode."""
    text = inert(scrub(text).replace("\r\n", "\n"))
    # Python keeps bytes that are not UTF-8 as lone surrogates, which cannot be encoded.
    return text if text.isascii() else _HALVES.sub("\N{REPLACEMENT CHARACTER}", text)


def one_line(text: str, most: int = LONGEST) -> str:
    """The sanitized text as one line of at most `most` characters, and a note of how many were cut off."""
    shown = sanitize(_BREAK.sub(" ", scrub(text)))
    return shown if len(shown) <= most else f"{shown[:most]}... ({len(shown) - most} more characters)"


class Lines:
    """Splits a stream of bytes into lines.

    Invalid UTF-8 is replaced. Of a line that carriage returns overwrite (a progress bar), it keeps the last state.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._dropped = 0
        self._overwritten = False
        self._told_at = time.monotonic()

    def feed(self, data: bytes) -> Iterator[str]:
        """The lines that these bytes complete."""
        return self._take(self._decoder.decode(data))

    def progress_due(self) -> Iterator[str]:
        """The state of a line that overwrites itself, if nothing was told for `PROGRESS_INTERVAL` seconds."""
        now = time.monotonic()
        if now - self._told_at >= PROGRESS_INTERVAL and (state := self.progress):
            self._told_at = now
            yield state

    def end(self) -> Iterator[str]:
        """The last line, if it does not end in a line feed."""
        yield from self._take(self._decoder.decode(b"", final=True))
        if self._rest:
            yield from self._take("\n")

    @property
    def progress(self) -> str:
        """The current state of a line that overwrites itself; empty if there is none."""
        return self._shown(self._rest) if self._overwritten else ""

    def _take(self, text: str) -> Iterator[str]:
        first, *others = text.split("\n")
        if others:
            self._told_at = time.monotonic()
        for other in others:
            self._append(first)
            yield self._shown(self._rest)
            self._rest, self._dropped, self._overwritten = "", 0, False
            first = other
        self._append(first)

    def _append(self, text: str) -> None:
        text = self._rest + text
        # A final carriage return may be the first half of CR LF.
        state = text.rstrip("\r").rfind("\r") + 1
        if state:
            self._overwritten = True
            self._dropped = 0
        text = text[state:]
        self._dropped += max(0, len(text) - _KEPT)
        self._rest = text[:_KEPT]

    def _shown(self, line: str) -> str:
        shown = one_line(line.rstrip("\r"))
        return f"{shown} and {self._dropped} more" if self._dropped else shown
