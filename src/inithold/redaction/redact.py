"""Keeps secrets out of everything inithold prints, records or sends.

The first defence is that addresses are displayed from their parsed parts (`text.url`). This module is the second:
it scrubs foreign texts, such as server errors and command output, of every secret that this process has learned
(`redaction.find`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

from inithold.redaction import find
from inithold.redaction.encodings import spellings
from inithold.text.url import MASK

SHORTEST = 6
"""Shorter values are not scrubbed, because they occur in ordinary words."""

_SENSITIVE = re.compile(
    r"pass|pwd|pw\b|secret|token|credential|key|identified|auth|bearer|basic|://", re.IGNORECASE
)
"""A cheap test of whether a line may have a literal secret."""


class Redactor:
    """Knows secret values, and masks them in texts."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._public: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._stale = False
        self._lock = Lock()

    def add(self, value: str, *, public: Iterable[str] = ()) -> None:
        """Learn a secret of at least 6 characters.

        Args:
            value: the secret; each line separately, because logs are scrubbed line by line.
            public: if the value equals one of these (its URL's user, host, database), it is not secret.
        """
        with self._lock:
            known = len(self._values), len(self._public)
            if value in set(public):
                # Remember that, because a variable may have the same value.
                self._public.add(value)
            else:
                self._values.update(line for line in map(str.strip, value.splitlines()) if len(line) >= SHORTEST)
            self._stale = self._stale or known != (len(self._values), len(self._public))

    def add_url(self, url: str) -> None:
        """Learn the secrets of a URL, of several, or of a DSN."""
        self._add_all(find.in_url(url))

    def add_environment(self, environment: Mapping[str, str]) -> None:
        """Learn the secrets of variables, by their names."""
        for name, value in environment.items():
            self._add_all(find.in_variable(name, value))

    def add_document(self, value: object) -> None:
        """Learn the secrets of JSON: URLs in its strings, and values by their names."""
        self._add_all(find.in_document(value))

    def add_headers(self, headers: Mapping[str, str]) -> None:
        """Learn the secrets of HTTP headers, by their names."""
        for name, value in headers.items():
            self._add_all(find.in_header(name, value))

    def add_arguments(self, words: Sequence[str]) -> None:
        """Learn the secrets of a command line."""
        from inithold.redaction.literals import in_arguments  # noqa: PLC0415 - slow to compile

        self._add_all(in_arguments(words))

    def add_script(self, text: str) -> None:
        """Learn the literal secrets of a script, such as `IDENTIFIED BY '...'`."""
        from inithold.redaction.literals import in_script  # noqa: PLC0415 - slow to compile

        for line in text.splitlines():
            # The patterns are slow on the long words of a dump.
            if len(line) <= 1000 and _SENSITIVE.search(line):
                self._add_all(in_script(line))

    def scrub(self, text: str) -> str:
        """Return `text` with every known secret masked."""
        if self._stale:
            with self._lock:
                # Longest first, so that a secret that contains another is masked whole.
                ordered = sorted(self._values - self._public, key=lambda value: (-len(value), value))
                patterns = [pattern for value in ordered for pattern in spellings(value)]
                self._pattern = re.compile("|".join(patterns)) if patterns else None
                self._stale = False
        return self._pattern.sub(MASK, text) if self._pattern else text

    def _add_all(self, secrets: Iterable[find.Secret]) -> None:
        for secret in secrets:
            self.add(secret.value, public=secret.public)


SECRETS = Redactor()
"""The secrets of this process."""


def scrub(text: str) -> str:
    """Mask every known secret in `text`."""
    return SECRETS.scrub(text)
