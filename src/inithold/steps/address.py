"""Addresses of services: parsed once, shown without their secrets.

URLs are taken as stacks have them: `postgres://`, `postgresql+asyncpg://`, `mariadb+pymysql://`, `amqp://`.
The generic form is that of RFC 3986; for RabbitMQ the path is the virtual host, as its AMQP URI specification
says (`/` alone is the empty name there, no path at all the default one, `%2F` the host `/`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from inithold.redaction.redact import MASK, SECRETS

TECHNOLOGIES = {
    "postgres": "postgresql",
    "postgresql": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "sqlite": "sqlite",
    "sqlite3": "sqlite",
    "amqp": "amqp",
    "amqps": "amqps",
    "redis": "redis",
    "rediss": "rediss",
    "http": "http",
    "https": "https",
    "tcp": "tcp",
    "file": "file",
}
DEFAULT_PORTS = {
    "postgresql": 5432,
    "mysql": 3306,
    "amqp": 5672,
    "amqps": 5671,
    "redis": 6379,
    "rediss": 6379,
    "http": 80,
    "https": 443,
}
WEB = ("http", "https")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+._-]*")  # SQLAlchemy has psycopg_async
_AUTHORITY = re.compile(r"[^/?#]*")
_HOST_AND_PORT = re.compile(r"(?:[^:@]*|\[[^]]*\])(?::[0-9]*)?")


_WHERE = ("host", "port", "hostaddr", "unix_socket")
"""Parameters of a query that stand for host and port: sockets, and several hosts."""
_NEEDS_NO_HOST = ("postgresql",)
"""Technologies with a place of their own where the URL names none."""


class Address(NamedTuple):
    """Where a service is and how to be let in.

    Attributes:
        technology: the canonical scheme: `postgresql`, `mysql`, `sqlite`, `amqp`, `redis`, `http`, `tcp`, `file`.
        driver: what stood behind a plus sign in the scheme (`asyncpg`), or empty.
        host: name or address, without brackets; empty for files and sockets.
        port: the port, the technology's own where the URL has none; 0 where there is no such thing.
        user: percent-decoded, or None.
        password: percent-decoded, or None. Never shown.
        database: percent-decoded path without its leading slash: database, virtual host or file; None if absent.
        query: the parameters, decoded.
    """

    technology: str
    driver: str
    host: str
    port: int
    user: str | None
    password: str | None
    database: str | None
    query: tuple[tuple[str, str], ...]

    @property
    def shown(self) -> str:
        """The address for people: without password and query."""
        if self.technology == "sqlite":
            return f"sqlite:///{self.database or ':memory:'}"
        # On the web, a user without a password is a token: https://TOKEN@host/
        token = self.technology in WEB and self.password is None
        user = f"{MASK if token else quote(self.user, safe='')}@" if self.user else ""
        # The virtual host `/` is written %2F.
        safe = "" if self.technology.startswith("amqp") else "/"
        database = "" if self.database is None else f"/{quote(self.database, safe=safe)}"
        where = [f"{name}={value}" for name, value in self.query if name in _WHERE and not self.host]
        return f"{self.technology}://{user}{self.place}{database}{'?' if where else ''}{'&'.join(where)}"

    @property
    def place(self) -> str:
        """Host and port as `host:port`, IPv6 addresses in brackets; without a host only an unusual port."""
        if not self.host:
            return f":{self.port}" if self.port != DEFAULT_PORTS.get(self.technology, 0) else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host

    @property
    def probe(self) -> tuple[str, int] | None:
        """Host and port for a bare TCP connection, None where the address is a file or a Unix socket."""
        return (self.host, self.port) if self.host and self.port and not self.host.startswith("/") else None

    def url(self, scheme: str | None = None) -> str:
        """The whole address as a URL, password and query included, everything odd percent-encoded.

        Args:
            scheme: what to write before `://` instead of the technology: `postgresql+psycopg`.
        """
        user = "" if self.user is None else quote(self.user, safe="")
        secret = "" if self.password is None else f":{quote(self.password, safe='')}"
        at = "@" if user or secret else ""
        database = "" if self.database is None else f"/{quote(self.database, safe='/' if self.host == '' else '')}"
        query = f"?{urlencode(self.query, quote_via=quote)}" if self.query else ""
        return f"{scheme or self.technology}://{user}{secret}{at}{self.place}{database}{query}"

    def __repr__(self) -> str:
        # Of a tuple it would show the password, in the first traceback that prints variables.
        return f"<Address {self.shown}>"


def parse(url: str, technologies: Sequence[str] = ()) -> Address:
    """Read the URL of a service; its secrets are learned first, so that no error can show them.

    Args:
        url: for example `postgresql+asyncpg://app:s%40crets@db:5432/games?sslmode=require`.
        technologies: those that fit, canonical names; empty for any that is known.

    Raises:
        ValueError: it is not such a URL. The message never quotes it.
    """
    SECRETS.add_url(url)
    scheme, separator, rest = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise ValueError(f"is not a URL: expected {_expected(technologies)}")
    base, _, driver = scheme.lower().partition("+")
    # A kind of another package may have a scheme of its own.
    technology = TECHNOLOGIES.get(base, base if base in technologies else None)
    if technology is None or (technologies and technology not in technologies):
        raise ValueError(f"has the scheme {scheme!r}: expected {_expected(technologies)}")
    if technology == "sqlite":
        return _sqlite(driver, rest)
    if technology == "file":
        return Address("file", "", "", 0, None, None, unquote(rest), ())
    return _network(technology, driver, rest)


def _network(technology: str, driver: str, rest: str) -> Address:
    if _ends_early(rest, web=technology in WEB):
        raise ValueError(
            "cannot be read: percent-encode the characters @ / ? # : % of the user and password, "
            "for example with ${DB_PASSWORD|url}"
        )
    if technology == "postgresql":
        rest = _several_hosts(rest)
    try:
        parts = urlsplit(f"{technology}://{rest}")
        port = parts.port
    except ValueError:
        raise ValueError(
            "cannot be read: its host is not one, its port is not a number from 0 to 65535, or a user or "
            "password in it is not percent-encoded"
        ) from None
    if not parts.hostname and technology not in _NEEDS_NO_HOST and "unix_socket=" not in parts.query:
        raise ValueError("names no host")
    for text in (parts.username, parts.password):
        if text and _broken_percent(text):
            raise ValueError("cannot be read: a per cent sign in its user or password must be written %25")
    # RFC 3986 has no host case; the resolver does not care, but people recognise what they wrote.
    host = _host_as_written(parts.netloc) or ""
    return Address(
        technology,
        driver,
        unquote(host),
        port or DEFAULT_PORTS.get(technology, 0),
        None if parts.username is None else unquote(parts.username),
        None if parts.password is None else unquote(parts.password),
        unquote(parts.path[1:]) if parts.path else None,
        tuple(parse_qsl(parts.query, keep_blank_values=True)),
    )


def _several_hosts(rest: str) -> str:
    """Move the hosts of `a:1,b:2` into the query, where libpq takes them just the same and a URL stays one."""
    found = _AUTHORITY.match(rest)
    authority = found[0] if found else ""
    user, at, hosts = authority.rpartition("@")
    if "," not in hosts:
        return rest
    names, ports = [], []
    for host in hosts.split(","):
        name, _, port = host.partition("]:") if host.startswith("[") else host.partition(":")
        names.append(name.strip("[]"))
        ports.append(port or str(DEFAULT_PORTS["postgresql"]))
    path, question, query = rest[len(authority) :].partition("?")
    where = f"host={','.join(names)}&port={','.join(ports)}"
    return f"{user}{at}{path}?{where}{'&' if question else ''}{query}"


def _ends_early(rest: str, *, web: bool) -> bool:
    """Whether a delimiter in a user or password may have ended the authority before its at sign."""
    found = _AUTHORITY.match(rest)
    authority = found[0] if found else ""
    if "#" in rest or authority.count("@") > 1:
        return True
    behind = rest[len(authority) :]
    # Paths of the web may hold at signs of their own: /@scope/package. Behind user and password it may be theirs.
    if web and _HOST_AND_PORT.fullmatch(authority):
        return False
    return "@" in behind


def _host_as_written(netloc: str) -> str:
    host = netloc.rpartition("@")[2]
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _broken_percent(text: str) -> bool:
    pieces = text.split("%")[1:]
    return any(len(piece) < 2 or not _is_hex(piece[:2]) for piece in pieces)


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdefABCDEF" for character in text)


def _sqlite(driver: str, rest: str) -> Address:
    # As SQLAlchemy has it: three slashes for a relative path, four for an absolute one.
    if not rest.startswith("/"):
        raise ValueError("is not a SQLite URL: expected sqlite:///relative.db or sqlite:////absolute.db")
    path, _, query = rest[1:].partition("?")
    return Address("sqlite", driver, "", 0, None, None, unquote(path) or ":memory:", tuple(parse_qsl(query)))


def _expected(technologies: Sequence[str]) -> str:
    names = list(technologies) or sorted(set(TECHNOLOGIES.values()))
    return " or ".join(f"{name}://..." for name in names)
