"""Decides whether an error of MySQL or MariaDB means "not yet" or "never".

The only table of their numbers, which are those of
https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html,
https://dev.mysql.com/doc/mysql-errors/8.4/en/client-error-reference.html and
https://mariadb.com/docs/server/reference/error-codes
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Literal

from inithold.errors import NotYet, Rejected, StepError, StepFailed
from inithold.net.tls import handshake_error

if TYPE_CHECKING:
    import pymysql

Verdict = Literal["lost", "not yet", "rejected", "never"]
TLS_HINT = "check ssl_mode and ssl_ca in the url, and the server's certificate"
# Server gone away; connection lost during a query.
_LOST = {2006, 2013, 2055}
_NOT_YET = {
    *(1021, 1037, 1041, 1114, 1135),  # no disk, no memory, a table that cannot grow, no thread
    *(1040, 1203, 1226),  # too many connections to the server or of the user; the hourly limit
    *(1053, 1077, 1079, 1152, 1184, 1927, 3169, 4031),  # shutting down; the server closed the connection
    *(1158, 1159, 1160, 1161),  # network errors on the server's side
    *(1020, 1205, 1206, 1213, 1614),  # a conflict with another transaction
    *(1637, 3101, 3572),  # too many transactions, one that was rolled back, a lock that is not free
    *(2002, 2003),  # nothing is listening
    3032,  # the server is offline for maintenance
}
_GALERA = 1047
"""Unknown command; on a Galera node that is not ready, with a message that begins with WSREP."""
_CHECK_LOGIN = (
    "check user and password; where the server creates its user late, a database.ready with retry_auth: true waits"
)
_REJECTED = {
    1044: "grant the user a privilege on the database",
    1045: _CHECK_LOGIN,
    1049: "check the name of the database, or have a mysql.database step create it first",
    1129: "the server blocks this host after many failed connections: FLUSH HOSTS there lets it in again",
    1130: "let the user connect from this host",
    1698: _CHECK_LOGIN,
    1820: "the user's password has expired: set a new one",
    1862: "the user's password has expired: set a new one",
    3118: "the user's account is locked: ALTER USER ... ACCOUNT UNLOCK",
    4151: "the user's account is locked: ALTER USER ... ACCOUNT UNLOCK",
}
_TLS = {2026, 3159}
_FOREIGN = {0, 2027}
_HINTS = {
    1115: "SHOW CHARACTER SET lists those that the server knows",
    1253: "SHOW COLLATION lists which belongs to which",
    1273: "SHOW COLLATION lists those that the server knows",
    1290: "this server only reads: give the address of the primary",
    1836: "this server only reads: give the address of the primary",
}


def verdict(number: int, message: str = "") -> Verdict:
    """Judge an error by its number, and its message, if any."""
    if number in _REJECTED:
        return "rejected"
    if number in _LOST:
        return "lost"
    return "not yet" if number in _NOT_YET or (number == _GALERA and message.startswith("WSREP")) else "never"


def number_of(error: Exception) -> int:
    """Return the number of an error of PyMySQL, or 0."""
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def message_of(error: Exception) -> str:
    """Return the message of an error of PyMySQL."""
    return str(error.args[1]) if len(error.args) > 1 else str(error)


def step_error(where: str, error: pymysql.MySQLError) -> StepError:
    """Return the step's error for an error of PyMySQL at `where`: a server, or a place in a script."""
    number, message = number_of(error), message_of(error)
    cause = getattr(error, "original_exception", None)
    if number in _TLS or isinstance(cause, ssl.SSLError):
        if isinstance(cause, ssl.SSLError):
            failure = handshake_error(where, cause, trust="ssl_ca")
            if isinstance(failure, NotYet):
                return failure
            message = getattr(cause, "verify_message", "") or cause.reason or message
        return StepFailed(f"{where}: TLS: {message}", hint=TLS_HINT)
    judged = verdict(number, message)
    if judged == "rejected":
        return Rejected(f"{where}: {message}", hint=_REJECTED[number])
    if judged != "never":
        return NotYet(f"{where}: {'connection lost' if judged == 'lost' else message}")
    if number in _FOREIGN:
        return not_mysql(where, message)
    return StepFailed(f"{where}: {message}", hint=_HINTS.get(number))


def not_mysql(where: str, message: str = "") -> StepFailed:
    """Return the error for a server that is not MySQL."""
    about = f": {message}" if message else ""
    return StepFailed(f"{where}: what answers there is not MySQL{about}", hint="check host and port")
