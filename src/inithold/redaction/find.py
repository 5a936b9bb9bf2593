"""Finds secrets in URLs, and in variables and headers by their names; `literals` finds those in commands."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from inithold.text.url import WEB, split

_SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS|API[-_]?KEY|[-_](?:KEY|JWT|DSN)\Z", re.IGNORECASE
)
_PERHAPS_SECRET_NAME = re.compile(r"[-_](?:PASS|PWD|PW|AUTH)\Z", re.IGNORECASE)
_NAME_OF_URL = re.compile(r"_URL\Z|\AConnectionStrings__", re.IGNORECASE)
_NAME_OF_PATH = re.compile(r"[-_](?:FILE|DIR|(?:FILE|DIR)?[-_]?PATH)\Z", re.IGNORECASE)
_PLAIN_WORD = re.compile(r"[A-Za-z]?[a-z]+|[A-Z]+")
_SHORTEST_PERHAPS = 8
HEADERS = ("authorization", "proxy-authorization", "cookie", "set-cookie")
_QUERY_SECRET = re.compile(
    r"[?&](?!sslkey=|ssl_keyfile=)[\w.-]*(?:password|passwd|pass|pwd|secret|token|key|auth|signature|sig)"
    r"=(?P<value>[^&#\s]+)",
    re.IGNORECASE,
)
_KEYWORD_SECRET = re.compile(
    r"\b(?:password|passwd|pwd|accountkey|sharedaccesskey)\s*="
    r"\s*(?:'(?P<quoted>(?:[^'\\]|\\.)*)'|(?P<bare>[^\s;'][^\s;]*))",
    re.IGNORECASE,
)
_NEXT_URL = re.compile(r"[\s,;|\"'=]+(?=[A-Za-z][A-Za-z0-9+.-]*://)")
# `(?!//)`: the colon after a scheme does not end a user's name.
_USER_INFO = re.compile(r"(?:\A|/)(?P<user>[^:/]*):(?!//)(?P<password>.+)@(?P<rest>[^@]*)\Z", re.S)
_DELIMITERS = re.compile(r"[@/?#:]")


class Secret(NamedTuple):
    """A secret, and public words of the same text: if it equals one of them, it is not secret."""

    value: str
    public: tuple[str, ...] = ()


def is_secret_name(name: str) -> bool:
    """Whether the name of a variable, header or option suggests a secret."""
    return bool(_SECRET_NAME.search(name) or _PERHAPS_SECRET_NAME.search(name))


def in_variable(name: str, value: str) -> Iterator[Secret]:
    """The secrets in a variable.

    Secret are: the values of `*PASSWORD*`, `*PASSWD*`, `*PASSPHRASE*`, `*SECRET*`, `*TOKEN*`, `*CREDENTIALS*`,
    `*APIKEY*`, `*_KEY`, `*_JWT`, `*_DSN`; those of `*_PASS`, `*_PWD`, `*_PW`, `*_AUTH` unless shorter than 8
    characters or a plain word (`POSTGRES_AUTH=required`); the password in `ConnectionStrings__*`; the user info of
    every URL, whatever the variable's name. An absolute path in `*_FILE`, `*_DIR` or `*_PATH` is not secret.
    """
    if "://" in value or _NAME_OF_URL.search(name):
        # Masking the whole URL would hide the host.
        yield from in_url(value)
    elif _NAME_OF_PATH.search(name) and value.startswith("/"):
        return
    elif _SECRET_NAME.search(name):
        yield from in_url(value)
        yield Secret(value)
    elif (
        _PERHAPS_SECRET_NAME.search(name) and len(value) >= _SHORTEST_PERHAPS and not _PLAIN_WORD.fullmatch(value)
    ):
        yield Secret(value)


def in_header(name: str, value: str) -> Iterator[Secret]:
    """The secrets in an HTTP header: credentials, cookies, and headers with names as of secret variables."""
    if name.lower() not in HEADERS:
        yield from in_variable(name, value)
        return
    yield Secret(value)
    # The scheme (`Bearer`) is not secret, but the rest is, also by itself.
    scheme, _, rest = value.strip().partition(" ")
    yield Secret(rest)
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(rest, validate=True).decode().partition(":")
        except ValueError:
            return
        yield Secret(password, (user,))
    if "cookie" in name.lower():
        yield from (Secret(part.partition("=")[2]) for part in value.split(";"))


def in_url(url: str) -> Iterator[Secret]:
    """The secrets in a URL: its password and the secret-looking parameters of its query.

    Also handles URLs that cannot be parsed because of their password, several URLs in one text, and keyword DSNs.
    """
    for keyword in _KEYWORD_SECRET.finditer(url):
        yield Secret(keyword["quoted"] or keyword["bare"] or "")
    for one in _NEXT_URL.split(url):
        for secret in _user_infos(one):
            yield from (Secret(value, secret.public) for value in {secret.value, unquote(secret.value)})
        for parameter in _QUERY_SECRET.finditer(one):
            yield from (Secret(value) for value in {parameter["value"], unquote(parameter["value"])})


def in_document(value: object) -> Iterator[Secret]:
    """The secrets in JSON: in strings as in URLs, in objects as in variables."""
    if isinstance(value, str):
        yield from in_url(value)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from in_document(item)
            yield from in_variable(str(name), item) if isinstance(item, str) else ()
    elif isinstance(value, list | tuple):
        for item in value:
            yield from in_document(item)


def _user_infos(url: str) -> Iterator[Secret]:
    """The password of a URL; if the URL is ambiguous, every possible password."""
    try:
        parts = split(url)
    except ValueError:
        yield from _readings(url)
        return
    if parts.password:
        yield Secret(parts.password, _public(parts.user or "", parts.hosts + parts.path))
    elif parts.user and parts.scheme in WEB:
        # A token instead of a user: https://TOKEN@host/
        yield Secret(parts.user)


def _readings(url: str) -> Iterator[Secret]:
    rest = url.partition("://")[2]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    readings: list[Secret] = []
    sober = _USER_INFO.search(authority)
    if sober:
        readings.append(Secret(sober["password"], _public(sober["user"], rest[sober.start("rest") :])))
    # A further at sign may belong to the query.
    if (not sober or "@" in rest[len(authority) :].partition("?")[0]) and (greedy := _USER_INFO.search(url)):
        readings.append(Secret(greedy["password"], _public(greedy["user"], greedy["rest"])))
    for password, public in readings:
        # A client that parses the URL differently may show a piece of the password, as a host or a database.
        for piece in dict.fromkeys([password, *_DELIMITERS.split(password)]):
            yield Secret(piece, public)


def _public(user: str, rest: str) -> tuple[str, ...]:
    """The public words of a URL: its user, host and database."""
    place, _, path = rest.partition("/")
    host = place.partition("?")[0]
    database = path.partition("?")[0]
    words = (user, host, host.rpartition(":")[0], database)
    return tuple({word for raw in words for word in (raw, unquote(raw)) if word})
