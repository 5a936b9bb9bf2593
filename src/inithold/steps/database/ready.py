"""database.ready"""

from __future__ import annotations

from collections.abc import Sequence

from inithold.errors import NotYet, Rejected
from inithold.steps.base import Change, StepContext
from inithold.steps.database import driver
from inithold.steps.database.driver import Database


class Ready(Database, frozen=True, kw_only=True):
    """Wait until a database lets the user in and answers a query.

    Tried again: nobody listens, the name does not resolve, the connection is reset, the server starts up, shuts
    down, is full or does not answer. Fails at once, with the server's words: a rejected password or role, an
    unknown database, TLS that is refused or cannot be verified, a parameter that is wrong.

    SQLite has no server: its file must be one it can read and not be locked. A file that does not exist is ready
    where its folder exists and can be written, since SQLite makes the file on first use; `check` never makes it.

    For PostgreSQL the parameters of libpq may stand in the query of the URL
    (`?sslmode=verify-full&sslrootcert=...`, `?host=/var/run/postgresql`, `?host=a,b`), for MySQL `ssl_mode`,
    `ssl_ca`, `ssl_cert`, `ssl_key`, `unix_socket`, `connect_timeout`. Parameters of the
    application's own driver are left out.

    Args:
        retry_auth: keep trying where the password, the role or the database is refused, for servers that create
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
        "to connect to the database; nothing in it is read. MySQL lets in who has any privilege in the database; "
        "SQLite reads the file"
    )

    retry_auth: bool = False

    def check(self, context: StepContext) -> Sequence[Change]:
        try:
            with driver.session(self.address(), context) as session:
                session.answer()
        except Rejected as error:
            if not self.retry_auth:
                raise
            raise NotYet(error.message, hint="check user, password and database") from error
        return ()
