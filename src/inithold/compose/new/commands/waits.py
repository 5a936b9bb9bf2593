"""Tools that wait for a server, and commands that a loop repeats until a server answers."""

from __future__ import annotations

import re
from collections.abc import Sequence

from inithold.compose.new.commands.context import Place, option, program
from inithold.compose.new.environment import SCHEMES
from inithold.compose.new.model import Item, Wait
from inithold.compose.new.script import Call

_SCRIPTS = re.compile(r"wait[-_]?for(?:[-_]?it)?(?:\.(?:sh|bash|py))?\Z|wait-for-service(?:\.sh)?\Z")
_ADDRESS = re.compile(r"(?P<host>[\w.-]+|\$\$?\{[^}]*\}|\$\$\w+):(?P<port>\d+|\$\$?\{[^}]*\}|\$\$\w+)\Z")
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][\w]*)(?:\+\w+)?://(?:[^@/\s]*@)?(?P<host>[\w.-]+|\$\$?\{[^}]*\}|\$\$\w+)"
    r"(?::(?P<port>\d+|\$\$?\{[^}]*\}|\$\$\w+))?(?P<path>/[^\s'\"?]*)?"
)
_DEV_TCP = re.compile(r"/dev/tcp/(?P<host>[\w.-]+|\$\$?\{?\w+\}?)/(?P<port>\d+|\$\$?\{?\w+\}?)")
_WAIT4X = {
    "tcp": "tcp",
    "http": "http",
    "postgresql": "postgresql",
    "mysql": "mysql",
    "redis": "redis",
    "rabbitmq": "amqp",
}
# Clients, in a loop, of a server: the options that name it, its technology.
_CLIENTS = {
    "psql": "postgresql",
    "pg_isready": "postgresql",
    "mysql": "mysql",
    "mysqladmin": "mysql",
    "mariadb": "mysql",
    "mariadb-admin": "mysql",
    "redis-cli": "redis",
    "valkey-cli": "redis",
    "rabbitmqadmin": "amqp",
    "rabbitmq-diagnostics": "amqp",
    "mongosh": "tcp",
    "mongo": "tcp",
}
_ALWAYS_WAIT = ("pg_isready",)
_SELF = ("localhost", "127.0.0.1", "::1")


def read(call: Call, words: Sequence[str], place: Place) -> list[Item] | None:
    """The waits of a call; the command that a tool runs behind them is read by who asks."""
    name = program(words)
    if _SCRIPTS.match(name):
        return _wait_for(words)
    if name in _TOOLS:
        return _TOOLS[name](words)
    if name in ("wait", "docker-compose-wait") and words[0].startswith("/"):
        return _wait_hosts(place)
    return _probes(call, name, words, place)


def _probes(call: Call, name: str, words: Sequence[str], place: Place) -> list[Item] | None:
    if name in ("nc", "ncat", "netcat"):
        return _netcat(words, call)
    if found := _DEV_TCP.search(call.raw):
        return [Wait(found["host"], found["port"], "tcp", "", "/dev/tcp")]
    if name in _CLIENTS and (place.loop or name in _ALWAYS_WAIT or _pings(name, words)):
        return _client(name, words, place)
    if name in ("curl", "wget", "http") and place.loop:
        found = _URL.search(call.raw)
        return [_of_url(found[0], name)] if found else None
    return None


def behind(words: Sequence[str]) -> list[str]:
    """The command that a waiting tool runs afterwards; empty where there is none."""
    name = program(words)
    if not (_SCRIPTS.match(name) or name in ("dockerize", "wait4x")):
        return []
    if "--" in words:
        return list(words[words.index("--") + 1 :])
    return _behind_dockerize(words) if name == "dockerize" else []


def _wait_for(words: Sequence[str]) -> list[Item]:
    own = list(words[1 : words.index("--")] if "--" in words else words[1:])
    host = option(own, "-h", "--host")
    if host:
        return [Wait(host, option(own, "-p", "--port"), "tcp", "", program(words))]
    return [_of_url(word, program(words)) for word in own if _ADDRESS.match(word) or "://" in word]


def _dockerize(words: Sequence[str]) -> list[Item]:
    found: list[Item] = []
    for at, word in enumerate(words):
        if word in ("-wait", "--wait"):
            found += [_of_url(each, "dockerize") for each in words[at + 1 : at + 2]]
        elif word.startswith(("-wait=", "--wait=")):
            found.append(_of_url(word.partition("=")[2], "dockerize"))
    return found


def _behind_dockerize(words: Sequence[str]) -> list[str]:
    at = 1
    while at < len(words) and words[at].startswith("-"):
        at += 1 if "=" in words[at] or words[at].lstrip("-") in ("no-overwrite", "version") else 2
    return list(words[at:])


def _wait4x(words: Sequence[str]) -> list[Item]:
    own = words[1 : words.index("--")] if "--" in words else words[1:]
    technology = next((_WAIT4X[word] for word in own if word in _WAIT4X), "tcp")
    targets = [word for word in own if _ADDRESS.match(word) or "://" in word]
    waits = [_of_url(word, "wait4x") for word in targets]
    return [
        Wait(each.host, each.port, technology, each.path, "wait4x") if each.technology == "tcp" else each
        for each in waits
    ]


_TOOLS = {"dockerize": _dockerize, "wait4x": _wait4x}


def _wait_hosts(place: Place) -> list[Item]:
    found: list[Item] = []
    for name in ("WAIT_HOSTS", "WAIT_HOST"):
        listed = place.environment.value(name).split(",")
        found += [_of_url(each.strip(), name) for each in listed if _ADDRESS.match(each.strip())]
    paths = place.environment.value("WAIT_PATHS").split(",")
    return [*found, *(Wait("", None, "file", each.strip(), "WAIT_PATHS") for each in paths if each.strip())]


def _netcat(words: Sequence[str], call: Call) -> list[Item] | None:
    if call.raw.lstrip().startswith(("echo", "printf")):
        return None
    own, skip = [], False
    for word in words[1:]:
        if skip or word.startswith("-"):
            skip = word in ("-w", "-i", "-G", "-p", "-s")
            continue
        own.append(word)
    return [Wait(own[0], own[1], "tcp", "", program(words))] if len(own) == 2 else None


def _pings(name: str, words: Sequence[str]) -> bool:
    if name in ("mysqladmin", "mariadb-admin"):
        return "ping" in words or "status" in words
    if name in ("redis-cli", "valkey-cli"):
        return words[-1].lower() == "ping"
    return name == "rabbitmq-diagnostics"


def _client(name: str, words: Sequence[str], place: Place) -> list[Item] | None:
    technology = _CLIENTS[name]
    if found := next((match for word in words[1:] if (match := _URL.match(word))), None):
        return [_of_url(found[0], name)]
    if name in ("rabbitmqadmin",):
        host, port = option(words, "-H", "--host"), None
    else:
        host, port = option(words, "-h", "--host"), option(words, "-p", "--port", "-P")
        port = port if port and re.fullmatch(r"\d+|\$.*", port) and technology != "mysql" else None
    if host is None and technology == "postgresql":
        host = place.environment.value("PGHOST") or None
    if host is None and (
        reference := next((word for word in words[1:] if re.fullmatch(r"\$\$?\{?\w+\}?", word)), None)
    ):
        variable = place.environment.get(reference.strip("${}"))
        if variable is not None and variable.url is not None:
            return [Wait(variable.url.host, variable.url.port, technology, "", name)]
    if host is None and not place.loop:
        return None
    return [Wait(host or "", port, technology, "", name)]


def _of_url(text: str, how: str) -> Wait:
    if found := _ADDRESS.match(text):
        return Wait(found["host"], found["port"], "tcp", "", how)
    found = _URL.match(text)
    if found is None:
        return Wait("", None, "file", text.removeprefix("file://"), how)
    scheme = found["scheme"].lower()
    if scheme in ("http", "https"):
        return Wait(found["host"], found["port"], scheme, found["path"] or "/", how)
    return Wait(found["host"], found["port"], SCHEMES.get(scheme, "tcp"), "", how)


def of_urls(urls: Sequence[str], how: str) -> list[Item]:
    """A wait for each URL or `host:port`."""
    return [_of_url(url, how) for url in urls]


def is_own(host: str) -> bool:
    """Is it this container itself?"""
    return host in _SELF
