"""A private PostgreSQL: passwords by SCRAM, TLS where wanted, data in the folder of the run.

with PostgreSQL() as server:
    dsn = server.create_database()
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote
from uuid import uuid4

from servers.certificates import Certificate, make_certificate
from servers.ports import free_port, release_port
from servers.process import has_ended, kill, run, start, stop, wait_until
from servers.programs import program, server_user
from servers.run import children, new_folder
from servers.server import Server
from servers.sharing import copy_of

# Durable against the death of the server, not of the machine: enough for tests, and several times faster.
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "200",
    "autovacuum": "off",
    "log_connections": "on",
}

_kept: dict[int, Any] = {}
"""This process's connections to the database `postgres` of shared servers, by port."""


@dataclass
class PostgreSQL(Server):
    """A PostgreSQL server on 127.0.0.1. Every change of state returns when it is complete."""

    tls: Literal["off", "offered", "required"] = "off"
    user: str = "admin"
    password: str = "pw-of-admin"
    settings: dict[str, str] = field(default_factory=dict)
    """Server settings on top of our own, such as `{"max_connections": "5"}`."""
    port: int = 0
    folder: Path = Path()
    pid: int = 0
    certificate: Certificate | None = None
    is_shared: bool = False
    """It runs on, so that `execute` may keep a connection: a login takes 10 ms of processor time."""

    def start(self) -> Self:
        """Start it; the first time its data folder is made, afterwards it goes on with what it has."""
        if not self.port:
            self._create()
        self._launch()
        wait_until(self.is_ready, pid=self.pid, log=self.log)
        return self

    def start_without_waiting(self) -> None:
        """Start a server that was stopped and return at once: it answers 'starting up' for a moment."""
        self._launch()

    def stop(self) -> None:
        """Shut it down: open connections are ended with the server's words."""
        stop(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """Kill it with all its children: open connections are reset without a word."""
        kill(self.pid)

    def restart(self) -> None:
        """Stop and start it on the same port."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop its processes in place: it accepts connections and never answers, until `thaw`."""
        for pid in (self.pid, *children(self.pid)):
            with suppress(ProcessLookupError):  # a session that has just ended
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        for pid in (self.pid, *children(self.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def dsn(
        self,
        database: str = "postgres",
        *,
        user: str | None = None,
        password: str | None = None,
        scheme: str = "postgresql",
        query: str = "",
    ) -> str:
        """The URL of a database, percent-encoded where needed; `query` comes without its question mark."""
        credentials = f"{quote(user or self.user, safe='')}:{quote(password or self.password, safe='')}"
        url = f"{scheme}://{credentials}@127.0.0.1:{self.port}/{quote(database, safe='')}"
        return f"{url}?{query}" if query else url

    def create_database(self, name: str | None = None, *, owner: str | None = None) -> str:
        """Create an empty database, with a name of its own unless given, and return its URL for the superuser."""
        name = name or f"db_{uuid4().hex[:12]}"
        self.execute(f'CREATE DATABASE "{name}"' + (f' OWNER "{owner}"' if owner else ""))
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending its connections."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def create_user(self, name: str, password: str) -> None:
        """Create a role that may log in, and nothing more."""
        quoted = password.replace("'", "''")
        self.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{quoted}'")

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser, outside a transaction, and return its rows."""
        import psycopg

        if self.is_shared and database == "postgres":
            if self.port not in _kept or _kept[self.port].closed:
                _kept[self.port] = psycopg.connect(self.dsn(), autocommit=True, prepare_threshold=None)
            cursor = _kept[self.port].execute(statement)
            return cursor.fetchall() if cursor.description else []
        with psycopg.connect(self.dsn(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def is_ready(self) -> bool:
        """Does it take connections?"""
        import psycopg

        try:
            psycopg.connect(self.dsn(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def close(self) -> None:
        """End it and remove its data."""
        if self.pid and not has_ended(self.pid):
            stop(self.pid, signal.SIGQUIT, seconds=5)
        release_port(self.port)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _create(self) -> None:
        self.folder = new_folder("postgresql")
        self.port = free_port()
        if (user := server_user()) is not None:
            shutil.chown(self.folder, user)
        kept = hashlib.sha256(f"{self.user}:{self.password}".encode()).hexdigest()[:12]
        copy_of(f"postgresql-{kept}", self._initdb, self._data)
        if self.tls != "off":
            self.certificate = make_certificate(self.folder, user=user)
        kind = "hostssl" if self.tls == "required" else "host"
        rules = f"local all all scram-sha-256\n{kind} all all 127.0.0.1/32 scram-sha-256\n"
        (self._data / "pg_hba.conf").write_text(rules)

    def _initdb(self, folder: Path) -> None:
        user = server_user()
        if user is not None:
            shutil.chown(folder, user)
        password = self.folder / "password"
        password.write_text(self.password)
        initdb: list[str | Path] = [program("initdb"), "-D", folder, "--no-sync", "--encoding=UTF8", "--locale=C"]
        initdb += ["--username", self.user, "--pwfile", password, "--auth=scram-sha-256"]
        run(initdb, user=user, cwd=self.folder)

    def _launch(self) -> None:
        settings = _SETTINGS | {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
        }
        if self.certificate is not None:
            settings |= {
                "ssl": "on",
                "ssl_cert_file": str(self.certificate.cert_file),
                "ssl_key_file": str(self.certificate.key_file),
            }
        options = [
            part for name, value in (settings | self.settings).items() for part in ("-c", f"{name}={value}")
        ]
        command: list[str | Path] = [program("postgres"), "-D", self._data, *options]
        self.pid = start(command, log=self.log, user=server_user(), cwd=self.folder)

    @property
    def _data(self) -> Path:
        return self.folder / "data"
