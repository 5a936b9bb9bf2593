"""A hand-written init service: wait, migrate, report ready, hold. Needs only the standard library and Alembic.

python main.py         run the steps, publish the marker, hold
python main.py check   are the steps still in place? Exit 0 yes, 3 no, 1 unknown. Changes nothing

DATABASE_URL, RABBITMQ_URL   the servers to wait for; the database to migrate
INIT_MARKER                  the file that means ready (default: /tmp/init-complete)
INIT_TIMEOUT                 time limit for each step, in seconds (default: 600)
INIT_VERIFY                  seconds between checks while holding (default: 0, no checks)
"""

from __future__ import annotations

import os
import sys

MARKER = os.environ.get("INIT_MARKER") or "/tmp/init-complete"
CHECKING = sys.argv[1:] == ["check"]

# Before anything else: a restarted container keeps its /tmp, so this marker may be from an earlier run.
if __name__ == "__main__" and not CHECKING:
    try:
        os.unlink(MARKER)
    except FileNotFoundError:
        pass

import re  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import time  # noqa: E402
import traceback  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any, NamedTuple, NoReturn  # noqa: E402
from urllib.parse import unquote, urlsplit  # noqa: E402

TIMEOUT = float(os.environ.get("INIT_TIMEOUT") or 600)
VERIFY = float(os.environ.get("INIT_VERIFY") or 0)
PAUSE = 0.05
"""Seconds between two attempts. A longer pause would delay every start."""
ENDING = {signal.SIGTERM, signal.SIGINT}


class NotYet(Exception):
    """A temporary error: try again."""


class Failed(Exception):
    """A permanent error: another attempt would not help."""


class Step(NamedTuple):
    """Something that must be in place. `check` changes nothing; `apply`, if any, is safe to repeat."""

    name: str
    check: Callable[[], bool]
    apply: Callable[[], None] | None = None


# -- the steps: this part is yours ------------------------------------------------------------------------------


def reachable(variable: str, default_port: int) -> Callable[[], bool]:
    """A check: does the server in this variable's URL accept connections?"""

    def check() -> bool:
        try:
            parts = urlsplit(os.environ[variable])
            address = (parts.hostname or "localhost", parts.port or default_port)
        except KeyError:
            raise Failed(f"{variable} is not set") from None
        except ValueError:
            # The original message would show part of the password.
            raise Failed(f"{variable} is not a URL; is a character of the password not percent-encoded?") from None
        try:
            socket.create_connection(address, timeout=5).close()
        except OSError as error:
            raise NotYet(f"{address[0]}:{address[1]}: {error.strerror or error}") from None
        return True

    return check


def alembic_config() -> Any:
    """The application's alembic.ini with our URL in it."""
    from alembic.config import Config

    config = Config("alembic.ini")
    url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1)
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))  # ConfigParser reads % as a reference
    return config


def at_head() -> bool:
    """Is the schema at the newest revision? Asked through the application's own env.py."""
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config, seen = alembic_config(), []
    scripts = ScriptDirectory.from_config(config)

    def look(revision: Any, _: Any) -> list[Any]:
        seen.append(set(revision) == set(scripts.get_heads()))
        return []

    with EnvironmentContext(config, scripts, fn=look, dont_mutate=True):
        scripts.run_env()
    return all(seen)


def upgrade() -> None:
    """In this process: Python starts once, and a signal reaches the migration itself."""
    from alembic import command

    command.upgrade(alembic_config(), "head")


STEPS = [
    Step("database", reachable("DATABASE_URL", 5432)),
    Step("migrate", at_head, upgrade),
    Step("broker", reachable("RABBITMQ_URL", 5672)),
]

HEALS = (
    "connection refused",
    "connection reset",
    "closed the connection",
    "starting up",
    "shutting down",
    "too many connections",
    "too many clients",
    "name resolution",
)
"""Messages of temporary errors from servers and drivers; not a rejected password or an unknown database."""


# -- the pattern ------------------------------------------------------------------------------------------------


def main() -> int:
    """Run the steps and hold; returns only if that fails."""
    for number in ENDING:
        signal.signal(number, told_to_end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*ENDING, signal.SIGCHLD})  # blocked, if a hold started us again
    try:
        if CHECKING:
            return 0 if all(step.check() for step in STEPS) else 3
        for step in STEPS:
            converge(step)
    except (NotYet, Failed) as error:
        say(f"failed: {error}")
        return 1
    except Exception:
        say(f"failed: {traceback.format_exc()}")
        return 1
    return hold()


def told_to_end(number: int, _: Any) -> NoReturn:
    """Exit now, through every `finally` and rollback. Without a handler, PID 1 would ignore the signal."""
    signal.signal(number, lambda again, _: os._exit(128 + again))
    raise SystemExit(128 + number)


def converge(step: Step) -> None:
    """Check, apply, check again; retry temporary errors until the timeout."""
    until = time.monotonic() + TIMEOUT
    said, said_at = "", 0.0
    while True:
        try:
            attempt(step)
        except Exception as error:
            if not heals(error):
                raise
            if time.monotonic() >= until:
                raise Failed(f"{step.name}: the time is up: {error}") from None
            if str(error) != said or time.monotonic() - said_at > 5:
                said, said_at = str(error), time.monotonic()
                say(f"{step.name}: waiting: {error}")
            time.sleep(PAUSE)
        else:
            return


def attempt(step: Step) -> None:
    """Put one step in place."""
    if step.check():
        say(f"{step.name}: in place")
        return
    if step.apply is None:
        raise Failed(f"{step.name}: not in place")
    step.apply()
    if not step.check():
        raise Failed(f"{step.name}: it ran, and is not in place")
    say(f"{step.name}: done")


def heals(error: BaseException) -> bool:
    """Is the error temporary? Decided by its text and that of its causes."""
    if isinstance(error, NotYet):
        return True
    text = str(error).lower()
    cause = error.__cause__
    return any(words in text for words in HEALS) or (cause is not None and heals(cause))


def hold() -> NoReturn:
    """Report ready, then become a process that keeps nothing: no libraries, no credentials, no open files."""
    # First: from here on a signal waits for the holder, which removes the marker when it exits.
    signal.pthread_sigmask(signal.SIG_BLOCK, {*ENDING, signal.SIGCHLD})
    sys.stdout.flush()
    publish()
    say("ready; holding")
    # The checks of a verifying hold need the credentials; any other hold needs none.
    environment = dict(os.environ) if VERIFY else {}
    arguments = [sys.executable, "-I", "-S", "-c", HOLDER, str(VERIFY), os.path.abspath(__file__), MARKER]
    os.closerange(3, 1024)
    os.execve(sys.executable, arguments, environment)


def publish() -> None:
    """Write the marker atomically."""
    beside = f"{MARKER}.{os.getpid()}.new"
    with open(beside, "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, MARKER)


HOLDER = f"""\
import _signal, posix, sys
every, main, marker = float(sys.argv[1]), sys.argv[2], sys.argv[3]
wanted = {{{int(signal.SIGTERM)}, {int(signal.SIGINT)}, {int(signal.SIGCHLD)}}}
_signal.pthread_sigmask(_signal.SIG_BLOCK, wanted)
check = 0
while True:
    # A check that takes more than a minute is killed, and the next one starts.
    got = _signal.sigtimedwait(wanted, max(every, 60.0) if check else every) if every else _signal.sigwait(wanted)
    number = getattr(got, "si_signo", got)
    if number in ({int(signal.SIGTERM)}, {int(signal.SIGINT)}):
        if check:
            posix.kill(check, _signal.SIGKILL)
        try:
            posix.unlink(marker)
        except OSError:
            pass
        posix._exit(0)
    if number is None:
        if check:
            posix.kill(check, _signal.SIGKILL)
        else:
            command = [sys.executable, main, "check"]
            check = posix.posix_spawn(sys.executable, command, posix.environ, setsigmask=[])
    try:
        while True:
            pid, status = posix.waitpid(-1, posix.WNOHANG)
            if not pid:
                break
            if pid == check:
                check = 0
                if posix.waitstatus_to_exitcode(status) == 3:
                    posix.execve(sys.executable, [sys.executable, main], posix.environ)
    except ChildProcessError:
        pass
"""


def say(text: str) -> None:
    """Print a message without the passwords in our URLs."""
    for secret in secrets():
        text = text.replace(secret, "***")
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text.rstrip(), flush=True)


def secrets() -> list[str]:
    """The passwords in variables named *_URL, raw and decoded, longest first."""
    found = set()
    for name, value in os.environ.items():
        # Not urlsplit: a password that is not encoded may hold a slash.
        password = re.search(r"//[^:/@]*:(.*)@", value) if name.endswith("_URL") else None
        if password and password[1]:
            found |= {password[1], unquote(password[1])}
    return sorted(found, key=len, reverse=True)


if __name__ == "__main__":
    sys.exit(main())
