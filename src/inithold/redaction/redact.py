"""Keeps secrets out of everything inithold prints, records or sends.

The first defence is that addresses are shown built from their parsed parts (`steps.address`). This module is
the second: texts that others wrote, such as server errors and command output, are scrubbed of every secret
value this process has learned. The values are kept for the process, because every way out of it is guarded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from threading import Lock
from typing import NamedTuple
from urllib.parse import unquote

from inithold.redaction.encodings import spellings
from inithold.text.url import MASK, WEB, split

SHORTEST = 6
"""Shorter values are not scrubbed: they would eat parts of ordinary words."""

_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|[-_](?:KEY|DSN|PASS|PWD)\Z", re.IGNORECASE)
_PATH_NAME = re.compile(r"_(?:FILE|DIR|PATH)\Z", re.IGNORECASE)
_QUERY_SECRET = re.compile(
    r"[?&](?!sslkey=|ssl_keyfile=)[\w.-]*(?:password|passwd|pass|pwd|secret|token|key|auth|signature|sig)"
    r"=(?P<value>[^&#\s]+)",
    re.IGNORECASE,
)
_KEYWORD_SECRET = re.compile(
    r"\b(?:password|pwd)\s*=\s*(?:'(?P<quoted>(?:[^'\\]|\\.)*)'|(?P<bare>[^\s;'][^\s;]*))", re.I
)
_NEXT_URL = re.compile(r"[\s,;|\"']+(?=[A-Za-z][A-Za-z0-9+.-]*://)")
# `(?!//)`: the colon after a scheme does not end a user's name.
_USER_INFO = re.compile(r"(?:\A|/)(?P<user>[^:/]*):(?!//)(?P<password>.+)@(?P<rest>[^@]*)\Z", re.S)
_AUTHORITY = re.compile(r"[^/?#]*")
_DELIMITERS = re.compile(r"[@/?#:]")


class Redactor:
    """The secret values known so far, and the means to mask them in a text."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._public: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._stale = False
        self._lock = Lock()

    def add(self, value: str, *, public: Iterable[str] = ()) -> None:
        """Learn a secret.

        Args:
            value: the secret. Of several lines, each is a secret of its own, since logs go line by line. What is
                shorter than 6 characters is left alone.
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
        """Learn the secrets of a URL: its password and the secret-looking parameters of its query.

        Works on URLs that cannot be parsed because of their password, on several in one text, and on DSNs of
        keywords.
        """
        for keyword in _KEYWORD_SECRET.finditer(url):
            self.add(keyword["quoted"] or keyword["bare"] or "")
        for one in _NEXT_URL.split(url):
            for found in _user_infos(one):
                self._add_coded(found.password, found.public)
            for parameter in _QUERY_SECRET.finditer(one):
                self._add_coded(parameter["value"])

    def add_environment(self, environment: Mapping[str, str]) -> None:
        """Learn from variables (or HTTP headers) by their names.

        They are `*PASSWORD*`, `*PASSWD*`, `*SECRET*`, `*TOKEN*`, `*_KEY`, `*_DSN`, `*_PASS` and `*_PWD`; and of
        every URL, whatever the variable's name, the user info. `*_FILE`, `*_DIR` and `*_PATH` that hold an
        absolute path say where a secret is and are none.
        """
        for name, value in environment.items():
            if "://" in value:
                # Masking the whole of it would hide the host.
                self.add_url(value)
            elif _SECRET_NAME.search(name) and not (_PATH_NAME.search(name) and value.startswith("/")):
                self.add_url(value)
                self.add(value)

    def scrub(self, text: str) -> str:
        """Return `text` with every known secret masked."""
        if self._stale:
            self._compile()
        return self._pattern.sub(MASK, text) if self._pattern else text

    def _add_coded(self, value: str, public: Iterable[str] = ()) -> None:
        self.add(value, public=public)
        self.add(unquote(value), public=public)

    def _compile(self) -> None:
        with self._lock:
            # Longest first: a secret that contains another is masked whole.
            ordered = sorted(self._values - self._public, key=lambda value: (-len(value), value))
            patterns = [pattern for value in ordered for pattern in spellings(value)]
            self._pattern = re.compile("|".join(patterns)) if patterns else None
            self._stale = False


class _UserInfo(NamedTuple):
    password: str
    public: tuple[str, ...] = ()


def _user_infos(url: str) -> Iterator[_UserInfo]:
    """What may be the password in a URL: one, or, where it cannot be read, what each reading of it says."""
    try:
        parts = split(url)
    except ValueError:
        yield from _readings(url)
        return
    if parts.password:
        yield _UserInfo(parts.password, _public(parts.user or "", parts.hosts + parts.path))
    elif parts.user and parts.scheme in WEB:
        # A token in the place of the user: https://TOKEN@host/
        yield _UserInfo(parts.user)


def _readings(url: str) -> Iterator[_UserInfo]:
    rest = url.partition("://")[2]
    found = _AUTHORITY.match(rest)
    authority = found[0] if found else ""
    sober = _USER_INFO.search(authority)
    if sober:
        yield from _whole_and_pieces(sober["password"], _public(sober["user"], rest[sober.start("rest") :]))
        if "@" not in rest[len(authority) :].partition("?")[0]:
            # A further at sign is the query's.
            return
    greedy = _USER_INFO.search(url)
    if greedy:
        yield from _whole_and_pieces(greedy["password"], _public(greedy["user"], greedy["rest"]))


def _whole_and_pieces(password: str, public: tuple[str, ...]) -> Iterator[_UserInfo]:
    yield _UserInfo(password, public)
    pieces = _DELIMITERS.split(password)
    if len(pieces) > 1:
        # A client that splits such a URL elsewhere than the user meant shows a piece: as a host, a database.
        yield from (_UserInfo(piece, public) for piece in pieces)


def _public(user: str, rest: str) -> tuple[str, ...]:
    """Words of a URL that are shown: its user, host and database."""
    place, _, path = rest.partition("/")
    host = place.partition("?")[0]
    database = path.partition("?")[0]
    words = (user, host, host.rpartition(":")[0], database)
    return tuple({word for raw in words for word in (raw, unquote(raw)) if word})


SECRETS = Redactor()
"""What this process must not say."""


def scrub(text: str) -> str:
    """Mask every secret this process has learned in `text`."""
    return SECRETS.scrub(text)
