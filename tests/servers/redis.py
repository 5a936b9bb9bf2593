"""A private Redis with a password.

with Redis() as server:
    url = server.url()
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from servers.ports import free_port
from servers.process import kill, start, stop, wait_until
from servers.programs import program
from servers.run import new_folder
from servers.server import Server


@dataclass
class Redis(Server):
    """A Redis server on 127.0.0.1; the user `default` has the password."""

    password: str = "pw-of-redis"
    port: int = 0
    folder: Path = Path()
    pid: int = 0

    def start(self) -> Self:
        """Start it, or start it again on its port, empty."""
        if not self.port:
            self.folder = new_folder("redis")
            self.port = free_port()
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "requirepass": self.password,
            "save": "",
            "appendonly": "no",
            "dir": str(self.folder),
            "unixsocket": str(self.folder / "redis.sock"),
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        self.pid = start([program("redis-server"), *arguments], log=self.log)
        wait_until(self.is_ready, pid=self.pid, log=self.log)
        return self

    def stop(self) -> None:
        """Shut it down."""
        stop(self.pid)

    def kill(self) -> None:
        """Kill it."""
        kill(self.pid)

    def url(self, database: int = 0, *, password: str | None = None, user: str = "", scheme: str = "redis") -> str:
        """The URL of a numbered database."""
        return f"{scheme}://{user}:{quote(password or self.password, safe='')}@127.0.0.1:{self.port}/{database}"

    def is_ready(self) -> bool:
        """Does it answer a ping?"""
        import redis

        try:
            with closing(redis.Redis.from_url(self.url(), socket_timeout=2)) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False
