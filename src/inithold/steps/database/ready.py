"""database.ready"""

from __future__ import annotations

from collections.abc import Sequence

from inithold.errors import NotYet, Rejected
from inithold.steps.base import Change, StepContext
from inithold.steps.database import driver
from inithold.steps.database.driver import Database


class Ready(Database, frozen=True, kw_only=True):
    """Wait until a database lets the user in and answers a query.

    Retried: connection refused or reset, a name that does not resolve, a server that is starting, shutting down,
    out of connections or not answering. Fails at once, with the server's message: a rejected password or role, an
    unknown database, TLS that is refused or cannot be verified, an invalid parameter.

    A SQLite file must be readable and not locked. A missing file counts as ready if its folder exists and is
    writable, because SQLite creates the file on first use; the check never creates it.

    The URL's query takes libpq parameters for PostgreSQL (`?sslmode=verify-full&sslrootcert=...`,
    `?host=/var/run/postgresql`, `?host=a,b`), and `ssl_mode`, `ssl_ca`, `ssl_cert`, `ssl_key`, `unix_socket` and
    `connect_timeout` for MySQL. Parameters for the application's own driver are ignored.

    Args:
        retry_auth: keep trying when the password, the role or the database is rejected, for servers that create
            them late.

    Example:
        ```yaml
        - id: database
          uses: database.ready
          with: {url: "${DATABASE_URL}"}
        ```
    """

    kind = "database.ready"
    looks_only = True
    waits = True
    default_timeout = 600.0
    rights = (
        "connect to the database; nothing in it is read (on MySQL, any privilege in the database is enough; on "
        "SQLite, read permission on the file)"
    )

    retry_auth: bool = False

    def check(self, context: StepContext) -> Sequence[Change]:
        try:
            with driver.reading(self.address(), context, anew=True) as session:
                session.answer()
        except Rejected as error:
            if not self.retry_auth:
                raise
            raise NotYet(error.message, hint="check user, password and database") from error
        return ()
