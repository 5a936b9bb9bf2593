"""Where secrets stand: in URLs, in variables and headers by their names, in arguments of commands.

The only finder of secrets. What it yields is a value and the words that it may be equal to without being a secret.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote

from inithold.text.url import WEB, split

_SECRET_NAME = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS|API[-_]?KEY|[-_](?:KEY|JWT|DSN)\Z", re.IGNORECASE
)
_PERHAPS_SECRET_NAME = re.compile(r"[-_](?:PASS|PWD|PW|AUTH)\Z", re.IGNORECASE)
_NAME_OF_URL = re.compile(r"_URL\Z|\AConnectionStrings__", re.IGNORECASE)
_NAME_OF_PATH = re.compile(r"[-_](?:FILE|DIR|PATH)\Z", re.IGNORECASE)
_PLAIN_WORD = re.compile(r"[A-Za-z]?[a-z]+|[A-Z]+")
_SHORTEST_PERHAPS = 8
_HEADERS = ("authorization", "proxy-authorization", "cookie", "set-cookie")
_OPTION = re.compile(r"--?(?P<name>[A-Za-z][\w.-]*)(?:=(?P<value>.*))?", re.S)
_ASSIGNMENT = re.compile(r"(?P<name>[A-Za-z_]\w*)=(?P<value>.*)", re.S)
_LOGIN = re.compile(r"(?:-u|--user|--proxy-user)(?:=|\Z|(?=[^:-]+:))")
"""Of curl and its like: `-u user:password`."""
_HEADER = re.compile(r"(?P<name>[\w-]+):\s*(?P<value>.+)", re.S)

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
_NEXT_URL = re.compile(r"[\s,;|\"']+(?=[A-Za-z][A-Za-z0-9+.-]*://)")
# `(?!//)`: the colon after a scheme does not end a user's name.
_USER_INFO = re.compile(r"(?:\A|/)(?P<user>[^:/]*):(?!//)(?P<password>.+)@(?P<rest>[^@]*)\Z", re.S)
_AUTHORITY = re.compile(r"[^/?#]*")
_DELIMITERS = re.compile(r"[@/?#:]")


class Secret(NamedTuple):
    """A secret, and words of the same text that are shown: where it is equal to one of them, it is none."""

    value: str
    public: tuple[str, ...] = ()


def is_secret_name(name: str) -> bool:
    """Whether a variable, header or option of this name holds a secret, as far as a name can tell."""
    return bool(_SECRET_NAME.search(name) or _PERHAPS_SECRET_NAME.search(name))


def in_variable(name: str, value: str) -> Iterator[Secret]:
    """The secrets in a variable.

    Secret is the value of `*PASSWORD*`, `*PASSWD*`, `*PASSPHRASE*`, `*SECRET*`, `*TOKEN*`, `*CREDENTIALS*`,
    `*APIKEY*`, `*_KEY`, `*_JWT`, `*_DSN`; of `*_PASS`, `*_PWD`, `*_PW`, `*_AUTH` unless it is shorter than 8
    characters or a plain word (`POSTGRES_AUTH=required`); in `ConnectionStrings__*` the password; of every URL,
    whatever the variable's name, the user info. `*_FILE`, `*_DIR` and `*_PATH` that hold an absolute path say
    where a secret is and are none.
    """
    if "://" in value or _NAME_OF_URL.search(name):
        # Masking the whole of it would hide the host.
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
    """The secrets in an HTTP header: in credentials and cookies, and by its name as of a variable."""
    if name.lower() not in _HEADERS:
        yield from in_variable(name, value)
        return
    yield Secret(value)
    # The scheme is no secret; what follows it is one also by itself.
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


def in_arguments(words: Sequence[str]) -> Iterator[Secret]:
    """The secrets in a command line: URLs, `--password VALUE`, `--token=VALUE`, `-u user:VALUE`, `NAME=VALUE`.

    Args:
        words: program and arguments. A word that is a whole line of a shell is looked into, too.
    """
    for position, word in enumerate(words):
        following = words[position + 1] if position + 1 < len(words) else ""
        if (header := _HEADER.fullmatch(word)) and (
            header["name"].lower() in _HEADERS or is_secret_name(header["name"])
        ):
            yield from in_header(header["name"], header["value"])
        elif inner := _shell_words(word):
            yield from in_arguments(inner)
        elif login := _LOGIN.match(word):
            user, _, password = (word[login.end() :] or following).partition(":")
            yield Secret(password, (user,))
        elif option := _OPTION.fullmatch(word):
            yield from _in_option(f"-{option['name']}", option["value"], following)
        elif assignment := _ASSIGNMENT.fullmatch(word):
            yield from in_variable(assignment["name"], assignment["value"])
        elif "://" in word:
            yield from in_url(word)


def _in_option(name: str, value: str | None, following: str) -> Iterator[Secret]:
    if not is_secret_name(name):
        yield from in_url(value or "")
    elif value is not None or not following.startswith("-"):
        value = following if value is None else value
        is_file = name.lower().endswith("key") and value.startswith(("/", "."))
        yield from () if is_file else in_variable(name, value)


def _shell_words(line: str) -> list[str]:
    """The words of a line of a shell; empty where it is one word."""
    if not any(space in line for space in " \t\n"):
        return []
    import shlex  # noqa: PLC0415 - few arguments are lines

    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()<>")
    lexer.commenters, lexer.whitespace_split = "", True
    try:
        words = list(lexer)
    except ValueError:
        words = [piece.strip("'\"") for piece in line.split()]
    return [] if words == [line] else words


def in_url(url: str) -> Iterator[Secret]:
    """The secrets in a URL: its password and the secret-looking parameters of its query.

    Works on URLs that cannot be parsed because of their password, on several in one text, and on DSNs of keywords.
    """
    for keyword in _KEYWORD_SECRET.finditer(url):
        yield Secret(keyword["quoted"] or keyword["bare"] or "")
    for one in _NEXT_URL.split(url):
        for secret in _user_infos(one):
            yield from (Secret(value, secret.public) for value in {secret.value, unquote(secret.value)})
        for parameter in _QUERY_SECRET.finditer(one):
            yield from (Secret(value) for value in {parameter["value"], unquote(parameter["value"])})


def in_variables(variables: Mapping[str, str]) -> Iterator[Secret]:
    """The secrets in variables; see `in_variable`."""
    for name, value in variables.items():
        yield from in_variable(name, value)


def in_document(value: object) -> Iterator[Secret]:
    """The secrets in JSON: in its texts those of URLs, in its objects those of variables."""
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
    """What may be the password in a URL: one, or, where it cannot be read, what each reading of it says."""
    try:
        parts = split(url)
    except ValueError:
        yield from _readings(url)
        return
    if parts.password:
        yield Secret(parts.password, _public(parts.user or "", parts.hosts + parts.path))
    elif parts.user and parts.scheme in WEB:
        # A token in the place of the user: https://TOKEN@host/
        yield Secret(parts.user)


def _readings(url: str) -> Iterator[Secret]:
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


def _whole_and_pieces(password: str, public: tuple[str, ...]) -> Iterator[Secret]:
    yield Secret(password, public)
    pieces = _DELIMITERS.split(password)
    if len(pieces) > 1:
        # A client that splits such a URL elsewhere than the user meant shows a piece: as a host, a database.
        yield from (Secret(piece, public) for piece in pieces)


def _public(user: str, rest: str) -> tuple[str, ...]:
    """Words of a URL that are shown: its user, host and database."""
    place, _, path = rest.partition("/")
    host = place.partition("?")[0]
    database = path.partition("?")[0]
    words = (user, host, host.rpartition(":")[0], database)
    return tuple({word for raw in words for word in (raw, unquote(raw)) if word})
