"""A private PgBouncer in front of a PostgreSQL.

with PostgreSQL() as server, PgBouncer(server, pooling="transaction") as proxy:
    dsn = proxy.dsn("postgres")
"""

from __future__ import annotations

import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

from servers.ports import accepts, free_port
from servers.postgresql import PostgreSQL
from servers.process import start, stop, wait_until
from servers.programs import program, server_user
from servers.run import new_folder
from servers.server import Server

_CONFIGURATION = """\
[databases]
* = host=127.0.0.1 port={server.port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = {pooling}
default_pool_size = {pool_size}
max_client_conn = 200
ignore_startup_parameters = extra_float_digits
"""


@dataclass
class PgBouncer(Server):
    """A pooling proxy with the users of its server's superuser."""

    server: PostgreSQL
    pooling: Literal["session", "transaction", "statement"] = "transaction"
    pool_size: int = 5
    port: int = 0
    folder: Path = Path()
    pid: int = 0

    def start(self) -> Self:
        """Start it, or start it again on its port."""
        if not self.port:
            self.folder = new_folder("pgbouncer")
            self.port = free_port()
            (self.folder / "users").write_text(f'"{self.server.user}" "{self.server.password}"\n')
            (self.folder / "pgbouncer.ini").write_text(_CONFIGURATION.format_map(vars(self)))
            if (user := server_user()) is not None:
                shutil.chown(self.folder, user)
        command: list[str | Path] = [program("pgbouncer"), self.folder / "pgbouncer.ini"]
        self.pid = start(command, log=self.folder / "log", user=server_user())
        wait_until(lambda: accepts(self.port), pid=self.pid, log=self.folder / "log")
        return self

    def stop(self) -> None:
        """End it at once."""
        stop(self.pid, signal.SIGTERM, seconds=5)

    def dsn(self, database: str = "postgres", *, user: str | None = None, password: str | None = None) -> str:
        """The URL of a database through the proxy."""
        credentials = ":".join(
            quote(part, safe="") for part in (user or self.server.user, password or self.server.password)
        )
        return f"postgresql://{credentials}@127.0.0.1:{self.port}/{quote(database, safe='')}"
