"""Redis, and servers with its protocol, such as Valkey."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from inithold.errors import NotYet, Rejected, StepError, StepFailed
from inithold.net.dial import describe, dial
from inithold.redaction.sanitize import one_line
from inithold.steps.address import Address
from inithold.steps.addressed import Addressed
from inithold.steps.base import Change, StepContext

PATIENCE = 5.0
"""Time limit of one operation, in seconds."""
_PASSING = ("LOADING", "MASTERDOWN", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "MISCONF")
"""The first word of errors of a server that is up but temporarily cannot serve."""


class Ready(Addressed, frozen=True, kw_only=True):
    """Wait until Redis lets the user in and answers a PING.

    Retried: a refused or lost connection, and a server that is loading its data, has too many clients, or is a
    replica without its master. Fails at once, with the server's message: a rejected password, a database that does
    not exist, a certificate that cannot be verified.

    The path of the URL, or `db` in its query, is the number of the database. For `rediss://` the certificate is
    verified; the query may set `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile`, or `ssl_cert_reqs=none` to verify
    nothing. Other parameters are ignored. For Sentinel and Cluster, use one step for each server.

    Args:
        url: URL of the server: `redis://user:password@redis:6379/0`, `rediss://...` or
            `unix:///run/redis.sock?db=0`.
        port: port of the server; 6379 if absent.
        user: user to log in as; `default` if absent.
        database: number of the database; 0 if absent.
        retry_auth: keep trying when the login is rejected, for servers whose users are created late.

    Example:
        ```yaml
        - id: cache
          uses: redis.ready
          with: {url: "${REDIS_URL}"}
        ```
    """

    kind = "redis.ready"
    looks_only = True
    waits = True
    default_timeout = 600.0
    rights = "log in and run PING; for a database other than 0, also SELECT"

    technologies = ("redis", "rediss")
    libraries = ("redis.connection",)

    retry_auth: bool = False

    def extras(self) -> Sequence[str]:
        return ("redis",)

    def validate_address(self, address: Address) -> Iterator[tuple[str, str]]:
        try:
            _database(address)
            _tls(address)
        except ValueError as error:
            yield "database" if self.url is None else "url", str(error)

    def check(self, context: StepContext) -> Sequence[Change]:
        address = self.address()
        if not address.socket:
            dial(address.host, address.port, timeout=context.remaining(PATIENCE))
        self.load()
        from redis.exceptions import RedisError  # noqa: PLC0415 - heavy, and the first connection is made without

        connection = _connection(address, context.remaining(PATIENCE))
        try:
            connection.connect()
            connection.send_command("PING", check_health=False)
            connection.read_response()
        except (RedisError, OSError) as error:
            explained = _explained(address, error)
            if self.retry_auth and isinstance(explained, Rejected):
                raise NotYet(explained.message, hint=explained.hint) from error
            raise explained from error
        finally:
            connection.disconnect()
        return ()


def _connection(address: Address, patience: float) -> Any:
    """Return an unopened connection of redis-py, without its client, which would retry by itself."""
    import redis  # noqa: PLC0415 - as above
    from redis import connection as kinds  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    query = dict(address.query)
    options: dict[str, Any] = {
        "db": _database(address),
        "username": address.user or query.get("username") or None,
        "password": address.password or query.get("password") or None,
        "socket_timeout": patience,
        "retry": Retry(NoBackoff(), 0),
        "retry_on_timeout": False,
    }
    if int(redis.__version__.partition(".")[0]) >= 5:
        # Version 3 would log in with HELLO, whose errors are about HELLO instead of the password.
        options["protocol"] = 2
    if address.socket:
        local: Any = kinds.UnixDomainSocketConnection
        return local(path=address.socket, **options)
    options |= {"host": address.host, "port": address.port, "socket_connect_timeout": patience}
    if address.technology == "rediss":
        return kinds.SSLConnection(**options, **_tls(address))
    plain: Any = kinds.Connection
    return plain(**options)


def _database(address: Address) -> int:
    """Return the number of the database.

    Raises:
        ValueError: it is not a number.
    """
    query = dict(address.query)
    # Celery calls it `virtual_host`.
    text = address.database or query.get("db") or query.get("virtual_host") or "0"
    if not (text.isascii() and text.isdigit()):
        raise ValueError("the database of Redis is a number, for example redis://redis:6379/0")
    return int(text)


def _tls(address: Address) -> dict[str, Any]:
    """Return redis-py's TLS arguments from the query.

    Raises:
        ValueError: `ssl_cert_reqs` has an unknown value.
    """
    query = dict(address.query)
    # Celery spells it CERT_NONE.
    verify = query.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if verify not in ("none", "optional", "required"):
        raise ValueError("url has an unknown ssl_cert_reqs: expected none, optional or required")
    names_checked = query.get("ssl_check_hostname", "true").lower() not in ("false", "0", "no")
    files = ("ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile")
    return {
        "ssl_cert_reqs": verify,
        "ssl_check_hostname": verify != "none" and names_checked,
        **{name: query[name] for name in files if query.get(name)},
    }


def _explained(address: Address, error: Exception) -> StepError:
    """Return the step's error; redis-py has classes only for authentication and connection errors."""
    import ssl  # noqa: PLC0415 - loaded by redis-py

    from redis import exceptions  # noqa: PLC0415 - as above

    from inithold.net.tls import handshake_error  # noqa: PLC0415 - as above

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLError):
        return handshake_error(address.place, cause, trust="?ssl_ca_certs=/path/ca.pem in the URL")
    if isinstance(cause, FileNotFoundError | PermissionError) and address.technology == "rediss":
        return StepFailed(
            f"{address.place}: a file that the URL's query names: {cause.strerror}",
            hint="ssl_ca_certs, ssl_certfile and ssl_keyfile must be mounted and readable",
        )
    if isinstance(cause, TimeoutError) or (cause is None and isinstance(error, exceptions.TimeoutError)):
        hint = "check that the port speaks TLS" if address.technology == "rediss" else None
        return NotYet(f"{address.place}: accepts connections and does not answer", hint=hint)
    return _refused(address, error) if cause is None else NotYet(f"{address.place}: {describe(cause)}")


def _refused(address: Address, error: Exception) -> StepError:
    """Return the step's error for an error message of the server."""
    from redis import exceptions  # noqa: PLC0415 - as above

    codes = {  # redis-py strips these from the server's message.
        exceptions.BusyLoadingError: "LOADING",
        exceptions.MasterDownError: "MASTERDOWN",
        exceptions.ClusterDownError: "CLUSTERDOWN",
        exceptions.TryAgainError: "TRYAGAIN",
        exceptions.NoPermissionError: "NOPERM",
    }
    words = one_line(f"{codes.get(type(error), '')} {error}".strip()).rstrip(".")
    if words.startswith("Connection closed by server"):
        words = "the server closed the connection"
    if isinstance(error, exceptions.NoPermissionError):
        command = "SELECT" if "'select'" in words.lower() else "PING"
        return Rejected(
            f"{address.shown}: the server lets the user in, who may not run {command}: {words}",
            hint=f"grant it: ACL SETUSER name +{command.lower()}",
        )
    if "DB index" in words:
        return Rejected(
            f"{address.shown}: the server rejects the database: {words}",
            hint="the server has fewer databases: 16, unless its configuration says otherwise",
        )
    if isinstance(error, exceptions.AuthenticationError):
        lowered = words.lower()
        if "without any password" in lowered or "no password is set" in lowered:
            hint = "the server has no password: leave it out of the URL"
        elif "authentication required" in lowered or words.startswith("NOAUTH"):
            hint = "the server wants a password: redis://:PASSWORD@host:6379/0"
        else:
            hint = "check user and password, percent-encoded where they stand in a URL"
        return Rejected(f"{address.shown}: the server rejects the login: {words}", hint=hint)
    if isinstance(error, exceptions.InvalidResponse):
        return StepFailed(
            f"{address.place}: the server does not speak the Redis protocol",
            hint="check the port; a server that speaks TLS needs rediss://",
        )
    if isinstance(error, exceptions.ConnectionError) or words.startswith(_PASSING):
        return NotYet(f"{address.place}: {words}")
    return StepFailed(
        f"{address.place}: the server refuses PING: {words}", hint="change what it objects to in its configuration"
    )
