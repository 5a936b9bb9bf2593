"""Keeps secrets out of everything inithold prints, records or sends.

The first defence is that addresses are shown built from their parsed parts (`text.url`). This module is the
second: texts that others wrote, such as server errors and command output, are scrubbed of every secret value that
this process has learned (`redaction.find`). The values are kept for the process: every way out of it is guarded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

from inithold.redaction import find
from inithold.redaction.encodings import spellings
from inithold.text.url import MASK

SHORTEST = 6
"""Shorter values are not scrubbed: they would eat parts of ordinary words."""


class Redactor:
    """The secret values known so far, and the means to mask them in a text."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._public: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._stale = False
        self._lock = Lock()

    def add(self, value: str, *, public: Iterable[str] = ()) -> None:
        """Learn a secret; what is shorter than 6 characters is left alone.

        Args:
            value: of several lines, each is a secret of its own, since logs go line by line.
            public: words the value may be equal to without being one: its URL's own user, host and database.
        """
        with self._lock:
            known = len(self._values), len(self._public)
            if value in set(public):
                # Known from the environment too, it would still be no secret.
                self._public.add(value)
            else:
                self._values.update(line for line in map(str.strip, value.splitlines()) if len(line) >= SHORTEST)
            self._stale = self._stale or known != (len(self._values), len(self._public))

    def add_url(self, url: str) -> None:
        """Learn the secrets of a URL, several of them or a DSN."""
        self._add_all(find.in_url(url))

    def add_environment(self, environment: Mapping[str, str]) -> None:
        """Learn the secrets of variables, which their names tell."""
        self._add_all(find.in_variables(environment))

    def add_document(self, value: object) -> None:
        """Learn the secrets of JSON: URLs in its texts, and what its names tell, as those of variables."""
        self._add_all(find.in_document(value))

    def add_headers(self, headers: Mapping[str, str]) -> None:
        """Learn the secrets of HTTP headers, which their names tell."""
        for name, value in headers.items():
            self._add_all(find.in_header(name, value))

    def add_arguments(self, words: Sequence[str]) -> None:
        """Learn the secrets of a command line."""
        from inithold.redaction.literals import in_arguments  # noqa: PLC0415 - slow to compile

        self._add_all(in_arguments(words))

    def scrub(self, text: str) -> str:
        """Return `text` with every known secret masked."""
        if self._stale:
            self._compile()
        return self._pattern.sub(MASK, text) if self._pattern else text

    def _add_all(self, secrets: Iterable[find.Secret]) -> None:
        for secret in secrets:
            self.add(secret.value, public=secret.public)

    def _compile(self) -> None:
        with self._lock:
            # Longest first: a secret that contains another is masked whole.
            ordered = sorted(self._values - self._public, key=lambda value: (-len(value), value))
            patterns = [pattern for value in ordered for pattern in spellings(value)]
            self._pattern = re.compile("|".join(patterns)) if patterns else None
            self._stale = False


SECRETS = Redactor()
"""What this process must not say."""


def scrub(text: str) -> str:
    """Mask every secret this process has learned in `text`."""
    return SECRETS.scrub(text)
