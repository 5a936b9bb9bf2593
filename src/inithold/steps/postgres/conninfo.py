"""Turns the URL of a PostgreSQL into libpq's parameters.

Parameters of libpq in the query of the URL are passed on; they are listed at
https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
Others are meant for the application's own driver and are left out, except `ssl`, which other drivers use for TLS.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from inithold.steps.address import DEFAULT_PORTS, Address

_LIBPQ = """
application_name channel_binding client_encoding connect_timeout dbname fallback_application_name gssdelegation
gssencmode gsslib host hostaddr keepalives keepalives_count keepalives_idle keepalives_interval krbsrvname
load_balance_hosts max_protocol_version min_protocol_version oauth_client_id oauth_client_secret oauth_issuer
oauth_scope options passfile password port require_auth requirepeer require_peer scram_client_key
scram_server_key service servicefile ssl_max_protocol_version ssl_min_protocol_version sslcert sslcertmode
sslcompression sslcrl sslcrldir sslkey sslkeylogfile sslmode sslnegotiation sslpassword sslrootcert sslsni
target_session_attrs tcp_user_timeout user
"""
LIBPQ = frozenset(_LIBPQ.split())
_SSL = {
    "true": "require",
    "1": "require",
    "false": "disable",
    "0": "disable",
    **{mode: mode for mode in ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")},
}
SILENCE = 30
"""Seconds of silence after which a connection counts as lost; the system's default is two hours."""


class Place(NamedTuple):
    """One of the addresses of the server.

    Attributes:
        shown: for messages.
        target: host and port for a plain TCP connection; None for a socket file.
        parameters: libpq's, for this address only.
    """

    shown: str
    target: tuple[str, int] | None
    parameters: Mapping[str, str]


def faults(address: Address) -> Iterator[str]:
    """Yield what is wrong with the query of the URL, such as a misspelt parameter of libpq."""
    for name, value in address.query:
        if name == "ssl" and value.lower() not in _SSL:
            yield f"url has ssl={value}: expected true, false or one of sslmode's values"
        elif name not in LIBPQ and name != "ssl":
            import difflib  # noqa: PLC0415 - few URLs have such

            if close := difflib.get_close_matches(name.lower(), LIBPQ, n=1, cutoff=0.8):
                yield f"url has an unknown parameter {name!r}: did you mean {close[0]!r}?"


def libpq_query(address: Address) -> dict[str, str]:
    """Return libpq's parameters in the URL's query; `ssl`, as other drivers call it, becomes `sslmode`."""
    query = {name: value for name, value in address.query if name in LIBPQ}
    ssl = dict(address.query).get("ssl")
    return query if ssl is None else {"sslmode": _SSL.get(ssl.lower(), ssl)} | query


def parameters(address: Address, application_name: str, silence: int = SILENCE) -> dict[str, str]:
    """Return libpq's parameters for an address, with host and port as given; see `connection.connect`."""
    given = {
        "host": address.host,
        "port": str(address.port) if address.host or address.port != DEFAULT_PORTS["postgresql"] else "",
        "user": address.user or "",
        "password": address.password or "",
        "dbname": address.database or "",
    }
    given |= libpq_query(address)
    ours = {
        "fallback_application_name": application_name,
        "keepalives_idle": str(max(1, silence // 2)),
        "keepalives_interval": str(max(1, silence // 6)),
        "keepalives_count": "3",
        "tcp_user_timeout": str(silence * 1000),
    }
    return ours | {name: value for name, value in given.items() if value} | {"client_encoding": "UTF8"}


def places(given: Mapping[str, str]) -> list[Place]:
    """Return the addresses to try in order; splits `host=a,b` and `port=1,2` as libpq does."""
    if "service" in given:
        return [Place(f"service {given['service']}", None, {})]
    hosts, addresses, ports = (given.get(name, "").split(",") for name in ("host", "hostaddr", "port"))
    tried = []
    for at in range(max(len(hosts), len(addresses))):
        # A single port applies to every host.
        host, address, port = (
            values[at] if at < len(values) else values[0] if len(values) == 1 else ""
            for values in (hosts, addresses, ports)
        )
        target, shown = address or host, host or address
        number = (
            int(port) if port.isascii() and port.isdigit() and int(port) < 65536 else DEFAULT_PORTS["postgresql"]
        )
        if not target:
            name, bare = "postgresql", None
        elif target.startswith(("/", "@")):  # A path, or a name in Linux's abstract namespace.
            name, bare = f"{target}/.s.PGSQL.{number}", None
        else:
            name, bare = f"[{shown}]:{number}" if ":" in shown else f"{shown}:{number}", (target, number)
        tried.append(Place(name, bare, {"host": host, "hostaddr": address, "port": port}))
    return tried
