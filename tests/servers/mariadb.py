"""A private MariaDB, on which the tests of MySQL URLs run.

with MariaDB() as server:
    url = server.create_database()
"""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote
from uuid import uuid4

from servers.ports import free_port
from servers.process import kill, run, start, stop, wait_until
from servers.programs import program, server_user
from servers.run import new_folder
from servers.server import Server
from servers.sharing import copy_of


@dataclass
class MariaDB(Server):
    """A MariaDB server on 127.0.0.1."""

    user: str = "admin"
    password: str = "pw-of-admin"
    port: int = 0
    folder: Path = Path()
    pid: int = 0

    def start(self) -> Self:
        """Start it, or start it again with the data that it had."""
        if not self.port:
            self._create()
        self._launch()
        wait_until(self.is_ready, pid=self.pid, log=self.log)
        return self

    def stop(self) -> None:
        """Shut it down in order."""
        stop(self.pid)

    def kill(self) -> None:
        """Kill it: connections are reset without a word."""
        kill(self.pid)

    def restart(self) -> None:
        """Stop and start it on the same port."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Stop it in place: it accepts connections and never answers, until `thaw`."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen server go on."""
        os.kill(self.pid, signal.SIGCONT)

    def url(
        self,
        database: str = "mysql",
        *,
        user: str | None = None,
        password: str | None = None,
        scheme: str = "mysql",
    ) -> str:
        """The URL of a database, percent-encoded where needed."""
        credentials = f"{quote(user or self.user, safe='')}:{quote(password or self.password, safe='')}"
        return f"{scheme}://{credentials}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def create_database(self, name: str | None = None) -> str:
        """Create an empty database, with a name of its own unless given, and return its URL."""
        name = name or f"db_{uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE `{name}`")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database."""
        self.execute(f"DROP DATABASE IF EXISTS `{name}`")

    def execute(self, statement: str, database: str = "mysql") -> list[tuple[Any, ...]]:
        """Run one statement as the administrator and return its rows."""
        with closing(self.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def is_ready(self) -> bool:
        """Does it take connections?"""
        import pymysql

        try:
            self.connect("mysql").close()
        except pymysql.MySQLError:
            return False
        return True

    def connect(self, database: str) -> Any:
        """A connection as the administrator, which commits each statement."""
        import pymysql

        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            password=self.password,
            database=database,
            autocommit=True,
            connect_timeout=5,
            ssl_disabled=True,  # else PyMySQL reads the authorities of the system, 25 ms of processor time
        )

    def _create(self) -> None:
        self.folder = new_folder("mariadb")
        self.port = free_port()
        if (user := server_user()) is not None:
            shutil.chown(self.folder, user)
        copy_of("mariadb", self._install, self.folder / "data")
        password = self.password.replace("'", "''")
        (self.folder / "init.sql").write_text(
            f"CREATE USER IF NOT EXISTS '{self.user}'@'%' IDENTIFIED BY '{password}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO '{self.user}'@'%' WITH GRANT OPTION;\n"
            "DROP USER IF EXISTS ''@'localhost';\n"
        )

    def _install(self, folder: Path) -> None:
        user = server_user()
        if user is not None:
            shutil.chown(folder, user)
        install = [program("mariadb-install-db"), "--no-defaults", f"--datadir={folder}"]
        install += ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"]
        install += [f"--tmpdir={self.folder}"]  # in /tmp two that are made at once meet
        run(install, user=user, cwd=self.folder)

    def _launch(self) -> None:
        options = {
            "datadir": self.folder / "data",
            "port": self.port,
            "bind-address": "127.0.0.1",
            "socket": self.folder / "socket",
            "pid-file": self.folder / "pid",
            "init-file": self.folder / "init.sql",
            "tmpdir": self.folder,
            "innodb-buffer-pool-size": "32M",
            "innodb-flush-log-at-trx-commit": "0",
            # The same on every version: 11 has TLS and other collations unless told.
            "ssl": "0",
            "character-set-server": "latin1",
            "collation-server": "latin1_swedish_ci",
            "loose-character-set-collations": "",
        }
        arguments = [
            "--no-defaults",
            *(f"--{name}={value}" for name, value in options.items()),
            "--skip-name-resolve",
        ]
        command = [program("mariadbd", "mysqld"), *arguments]
        self.pid = start(command, log=self.log, user=server_user(), cwd=self.folder)
