"""The only parser for service URLs.

It accepts the schemes found in real stacks: `postgres://`, `postgis://`, `postgresql+asyncpg://`, `mysql2://`,
`unix://`. The generic syntax is RFC 3986. For RabbitMQ the path is the virtual host, as in its AMQP URI
specification (`/` alone is the empty name, no path is the default, `%2F` is the host `/`). A percent-encoded
socket folder as the host, and several hosts, are as in libpq:
https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

MASK = "***"
_SCHEMES = {
    # Heroku and libpq, GeoDjango, django-environ, PHP, TimescaleDB in dj-database-url.
    "postgresql": "postgresql postgres postgis pgsql psql pdo-pgsql timescale timescalegis",
    # Rails, GeoDjango, django-environ, PHP.
    "mysql": "mysql mariadb mysql2 trilogy mysqlgis mysql-connector mysqli pdo-mysql",
    "sqlite": "sqlite sqlite3 spatialite pdo-sqlite",
    "amqp": "amqp pyamqp",
    "amqps": "amqps",
    "redis": "redis valkey unix",
    "rediss": "rediss valkeys",
    "http": "http",
    "https": "https",
    "tcp": "tcp",
    "file": "file",
}
TECHNOLOGIES = {scheme: technology for technology, schemes in _SCHEMES.items() for scheme in schemes.split()}
"""The technology of each scheme, in lower case and without a driver."""
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
_HOST = re.compile(r"(?:\[(?P<ipv6>[^]]*)\]|(?P<name>[^:@\[\]\s]*))(?::(?P<port>[0-9]*))?")
_HOST_AND_PORT = re.compile(r"[^:/,]+:[0-9]+")
_NO_HOST = re.compile(r"[\s/?#@:\[\]\\<>\"]")
_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

_PLACES = ("host", "port", "hostaddr", "unix_socket")
"""Query parameters that replace host and port: sockets, and several hosts."""
_SOCKET = {"postgresql": "host", "mysql": "unix_socket", "redis": "unix_socket"}
"""The parameter that names a socket."""
_NEEDS_NO_HOST = ("postgresql",)
"""Technologies whose clients have a default host."""

_REDIS_GROUP = re.compile(r"(?:(?:rediss?|valkeys?)[+-])?(?:sentinel|cluster)")
_NOT_SUPPORTED = "Sentinel or Cluster, which are not supported: write"
_KEYWORDS = re.compile(
    r"\s*(?:(?P<php>\w+):)?(?:host(?:name|addr)?|server|data source|addr(?:ess)?|port|db(?:name)?|database"
    r"|initial catalog|user(?: ?id|name)?|uid|pwd|password|service|driver|unix_socket)\s*=",
    re.IGNORECASE,
)
_TLS = ("ssl", "tls")
"""In place of a driver, these ask for TLS: `amqp+ssl://`."""
_GO = re.compile(r"@(?:tcp|unix)\(")


class Parts(NamedTuple):
    """A URL split into parts, not decoded.

    Attributes:
        scheme: in lower case, without a driver.
        driver: what follows a plus sign in the scheme (`asyncpg`), or empty.
        hosts: one or several hosts with their ports: `db`, `[::1]:5432`, `a:1,b:2`.
        path: includes its first slash.
    """

    scheme: str
    driver: str
    user: str | None
    password: str | None
    hosts: str
    path: str
    query: str


class Address(NamedTuple):
    """Where a service is and how to log in.

    Attributes:
        technology: the canonical scheme: `postgresql`, `mysql`, `sqlite`, `amqp`, `redis`, `http`, `tcp`, `file`.
        driver: what followed a plus sign in the scheme (`asyncpg`), or empty.
        host: name or address, without brackets; empty for files, sockets and several hosts.
        port: default: the technology's; 0 if it has none.
        password: never shown; percent-decoded, as is the user.
        database: percent-decoded path without its leading slash: database, virtual host or file; None if absent.
        query: the decoded parameters. A socket is `unix_socket`, or libpq's `host`; several hosts are libpq's
            `host` and `port`.
    """

    technology: str
    driver: str
    host: str
    port: int
    user: str | None
    password: str | None
    database: str | None
    query: tuple[tuple[str, str], ...]

    @classmethod
    def of_parts(
        cls,
        technology: str,
        host: str,
        port: int | None = None,
        user: str | None = None,
        password: str | None = None,
        database: str | None = None,
    ) -> Address:
        """An address from separate parts, which are not percent-encoded.

        `host` is a name, an address or the path of a socket, for PostgreSQL also several with commas; `port`
        defaults to the technology's.
        """
        query: tuple[tuple[str, str], ...] = ()
        port = port or DEFAULT_PORTS.get(technology, 0)
        if host.startswith(("/", "@")) or (technology == "postgresql" and "," in host):
            host, query = "", ((_SOCKET.get(technology, "host"), host),)
        return cls(technology, "", host, port, user, password, database, query)

    @property
    def shown(self) -> str:
        """The address for people: without password and query."""
        if self.technology == "sqlite":
            return f"sqlite:///{self.database or ':memory:'}"
        # On the web, a user without a password is a token: https://TOKEN@host/
        token = self.technology in WEB and self.password is None
        user = f"{MASK if token else quote(self.user, safe='')}@" if self.user else ""
        if self.technology == "redis" and self.socket:
            return f"unix://{user}{quote(self.socket)}"
        # Quote slashes in a virtual host: `/` is %2F.
        safe = "" if self.technology.startswith("amqp") else "/"
        database = "" if self.database is None else f"/{quote(self.database, safe=safe)}"
        where = [f"{name}={value}" for name, value in self.query if name in _PLACES and not self.host]
        return f"{self.technology}://{user}{self._netloc}{database}{'?' if where else ''}{'&'.join(where)}"

    @property
    def place(self) -> str:
        """Where it is, for people: `host:port`, IPv6 addresses in brackets, or the path of a socket."""
        return self._netloc if self.host else self.socket or self._netloc

    @property
    def socket(self) -> str:
        """The path of the socket (for PostgreSQL, of its folder); empty if there is none."""
        value = dict(self.query).get(_SOCKET.get(self.technology, ""), "")
        return value if value.startswith(("/", "@")) else ""

    @property
    def probe(self) -> tuple[str, int] | None:
        """Host and port for a bare TCP connection; None for a file or a socket."""
        return (self.host, self.port) if self.host and self.port and not self.socket else None

    def url(self, scheme: str | None = None) -> str:
        """The complete address as a URL, including password and query, percent-encoded.

        Args:
            scheme: such as `postgresql+psycopg`; default: technology and driver.
        """
        scheme = scheme or "+".join(filter(None, (self.technology, self.driver)))
        query = f"?{urlencode(self.query, quote_via=quote)}" if self.query else ""
        path = "" if self.database is None else quote(self.database, safe="/" if self._is_file else "")
        if self._is_file:
            return f"{scheme}://{'/' if self.technology == 'sqlite' else ''}{path}{query}"
        user = quote(self.user or "", safe="")
        password = "" if self.password is None else f":{quote(self.password, safe='')}"
        at = "" if self.user is None and self.password is None else "@"
        slash = "" if self.database is None else "/"
        return f"{scheme}://{user}{password}{at}{quote(self._netloc, safe='[]:')}{slash}{path}{query}"

    @property
    def _is_file(self) -> bool:
        return self.technology in ("sqlite", "file")

    @property
    def _netloc(self) -> str:
        """`host:port`; without a host, only a port that is not the default."""
        if not self.host:
            return f":{self.port}" if self.port != DEFAULT_PORTS.get(self.technology, 0) else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host

    def __repr__(self) -> str:
        # A tuple's repr would show the password in any traceback that prints variables.
        return f"<Address {self.shown}>"


def split(url: str) -> Parts:
    """Split a URL.

    Raises:
        ValueError: not a URL, or ambiguous because `@`, `/`, `?`, `#` or `:` in its user or password is not
            percent-encoded. The message never quotes it.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not _SCHEME.fullmatch(scheme):
        raise ValueError("is not a URL")
    scheme, _, driver = scheme.lower().partition("+")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    behind = rest[len(authority) :]
    # Paths on the web may contain at signs: /@scope/package. With a user and password, the sign may be theirs.
    at_sign_may_follow = scheme in WEB and _HOST.fullmatch(authority)
    if "#" in rest or authority.count("@") > 1 or ("@" in behind and not at_sign_may_follow):
        raise ValueError(
            "cannot be read: percent-encode the characters @ / ? # : % of the user and password, "
            "for example with ${DB_PASSWORD|url}"
        )
    login, at, hosts = authority.rpartition("@")
    user, colon, password = login.partition(":")
    path, _, query = behind.partition("?")
    return Parts(scheme, driver, user if at else None, password if colon else None, hosts, path, query)


def parse(url: str, technologies: Sequence[str] = ()) -> Address:
    """Parse the URL of a service.

    Args:
        url: for example `postgresql+asyncpg://app:s%40crets@db:5432/games?sslmode=require`.
        technologies: accepted technologies, by canonical name; empty for any.

    Raises:
        ValueError: not such a URL. The message says what to write, and never quotes it.
    """
    if url != url.strip():
        raise ValueError("has a blank or a line break before or behind it")
    _refuse_foreign_forms(url, technologies)
    scheme = url.partition("://")[0].lower()
    base, _, driver = scheme.partition("+")
    # A kind from another package may have its own scheme.
    technology = TECHNOLOGIES.get(base, base if base in technologies else None)
    if "://" not in url or not _SCHEME.fullmatch(scheme):
        raise ValueError(f"is not a URL: expected {_expected(technologies)}")
    if technology is None or (technologies and technology not in technologies):
        raise ValueError(f"has the scheme {scheme!r}: expected {_expected(technologies)}")
    rest = url.partition("://")[2]
    if technology == "sqlite":
        # As in SQLAlchemy: three slashes for a relative path, four for an absolute one.
        if not rest.startswith("/"):
            raise ValueError("is not a SQLite URL: expected sqlite:///relative.db or sqlite:////absolute.db")
        path, _, query = rest[1:].partition("?")
        return Address("sqlite", driver, "", 0, None, None, unquote(path) or ":memory:", _parameters(query))
    if technology == "file":
        return Address("file", "", "", 0, None, None, unquote(rest), ())
    return _network(technology, split(url))


def _network(technology: str, parts: Parts) -> Address:
    driver, query = parts.driver, _parameters(parts.query)
    if driver in _TLS and f"{technology}s" in DEFAULT_PORTS:
        technology, driver = f"{technology}s", ""
    named = [value for name, value in query if name == "host"]
    host, port, places = _hosts(technology, parts.hosts)
    if named and any(name == "host" for name, _ in places):
        raise ValueError("names its hosts twice, before the path and in the query: leave one of them out")
    if (
        technology == "postgresql"
        and (host, port, places) == ("", DEFAULT_PORTS[technology], ())
        and (len(named) > 1 or any(map(_HOST_AND_PORT.fullmatch, named)))
    ):
        # SQLAlchemy's syntax for several hosts: ?host=a:5432&host=b:5432
        host, port, places = _hosts(technology, ",".join(named))
        query = tuple(item for item in query if item[0] != "host")
    database = unquote(parts.path[1:]) if parts.path else None
    if technology == "redis" and (parts.scheme == "unix" or driver in ("socket", "unix")):
        if host or not database:
            raise ValueError("names no socket: expected unix:///run/redis/redis.sock?db=0")
        driver, places, database = "", (("unix_socket", unquote(parts.path)),), None
    elif technology == "mysql":
        # Rails and Prisma call it `socket`.
        query = tuple(("unix_socket", v) if n == "socket" and v.startswith("/") else (n, v) for n, v in query)
    query = (*places, *query)
    if not host and technology not in _NEEDS_NO_HOST and "unix_socket" not in dict(query):
        raise ValueError("names no host")
    if any(text and _BROKEN_PERCENT.search(text) for text in (parts.user, parts.password)):
        raise ValueError("cannot be read: a per cent sign in its user or password must be written %25")
    user = None if parts.user is None else unquote(parts.user)
    password = None if parts.password is None else unquote(parts.password)
    return Address(technology, driver, host, port, user, password, database, query)


def _hosts(technology: str, text: str) -> tuple[str, int, tuple[tuple[str, str], ...]]:
    """Host, port, and the query parameters that replace them for a socket or several hosts."""
    read = [_host(each) for each in text.split(",")]
    default = DEFAULT_PORTS.get(technology, 0)
    socket = _SOCKET.get(technology)
    if len(read) > 1:
        if technology in ("redis", "rediss"):
            raise ValueError(f"names several hosts, as of Redis {_NOT_SUPPORTED} {technology}://host:6379 of one")
        if technology != "postgresql":
            raise ValueError(f"names several hosts: expected {technology}://host of one")
        ports = ",".join(str(port or default) for _, port in read)
        return "", default, (("host", ",".join(host for host, _ in read)), ("port", ports))
    host, port = read[0]
    if host.startswith(("/", "@")):
        if socket is None:
            raise ValueError("names a socket as its host: expected the name or address of a server")
        return "", port or default, ((socket, host),)
    return host, port or default, ()


def _host(text: str) -> tuple[str, int | None]:
    match = _HOST.fullmatch(text)
    if match is not None:
        # Keep the case: the resolver ignores it, and people recognise what they wrote.
        host = unquote(match["name"] or match["ipv6"] or "")
        number = (match["port"] or "").lstrip("0")
        if len(number) > 5 or int(number or 0) > 65535:
            raise ValueError("cannot be read: its port is out of range: expected 1 to 65535")
        port = int(number or 0) if match["port"] else None
        is_host = match["ipv6"] is not None or host.startswith(("/", "@")) or not _NO_HOST.search(host)
        if is_host:
            return host, port
    raise ValueError(
        "cannot be read: its host is not one, its port is not a number, or a user or password "
        "in it is not percent-encoded"
    )


def _refuse_foreign_forms(url: str, technologies: Sequence[str]) -> None:
    """Raise for other tools' URL formats, naming the one to write instead."""
    scheme, separator, _ = url.partition("://")
    scheme = scheme.strip().lower()
    if scheme.startswith(("jdbc:", "r2dbc:")):
        database = scheme.split(":")[1]
        if database not in TECHNOLOGIES:
            raise ValueError(f"is a JDBC URL of {database}: expected {_expected(technologies)}")
        raise ValueError(f"is a JDBC URL: write {_example(database, technologies)}")
    if _REDIS_GROUP.fullmatch(scheme):
        raise ValueError(f"is of Redis {_NOT_SUPPORTED} redis://host:6379 of one server")
    keywords = None if separator else _KEYWORDS.match(url)
    if keywords is not None:
        raise ValueError(
            f"is a DSN of keywords: write {_example(keywords['php'] or '', technologies)}, "
            "or give host, port, user, password and database"
        )
    if not separator and _GO.search(url):
        raise ValueError("is a Go DSN: write mysql://user:password@host:3306/database")
    if not separator and scheme.startswith("file:") and "sqlite" in technologies:
        raise ValueError("is a Prisma URL: write sqlite:///relative.db or sqlite:////absolute.db")


def _example(scheme: str, technologies: Sequence[str]) -> str:
    technology = TECHNOLOGIES.get(scheme, technologies[0] if technologies else "postgresql")
    if technology == "sqlite":
        return "sqlite:///relative.db"
    return f"{technology}://user:password@host:{DEFAULT_PORTS.get(technology, 'port')}/database"


def _expected(technologies: Sequence[str]) -> str:
    return " or ".join(f"{name}://..." for name in technologies or _SCHEMES)


def _parameters(query: str) -> tuple[tuple[str, str], ...]:
    return tuple(parse_qsl(query, keep_blank_values=True))
