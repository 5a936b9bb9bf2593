"""The init service by hand: each fault of the usual hand-written one, and that this one does not have it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from docs.pages import DOCS
from servers.postgresql import PostgreSQL
from servers.run import remember

MAIN = DOCS / "explanation" / "by_hand" / "main.py"
UNSHARE = shutil.which("unshare", path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin") or "unshare"
PREFIX = [UNSHARE, "--pid", "--fork", "--kill-child", "--mount-proc"]

ENV = """
from alembic import context
from sqlalchemy import engine_from_config, pool

config = context.config
engine = engine_from_config(config.get_section(config.config_ini_section, {}), poolclass=pool.NullPool)
with engine.connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
REVISION = """
import time
from alembic import op

revision, down_revision = "1", None

def upgrade():
    op.execute("CREATE TABLE players (name text)")
    {then}
"""


class ByHand:
    """Starts the script in a folder with an Alembic project of one revision."""

    def __init__(self, folder: Path, database: str, broker: str) -> None:
        self.folder = folder
        self.marker = folder / "init-complete"
        self.output = folder / "output"
        self.variables = {"DATABASE_URL": database, "RABBITMQ_URL": broker, "INIT_TIMEOUT": "30"}
        self.processes: list[subprocess.Popen[bytes]] = []
        versions = folder / "migrations" / "versions"
        versions.mkdir(parents=True)
        (folder / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
        (folder / "migrations" / "env.py").write_text(ENV)
        (folder / "migrations" / "script.py.mako").write_text("")
        self.revise()

    def revise(self, then: str = "pass") -> None:
        (self.folder / "migrations" / "versions" / "1.py").write_text(REVISION.format(then=then))

    def start(self, *arguments: str, prefix: tuple[str, ...] = (), **variables: str) -> subprocess.Popen[bytes]:
        environment: Mapping[str, str] = {
            "PATH": os.environ["PATH"],
            "INIT_MARKER": str(self.marker),
            **self.variables,
            **variables,
        }
        with self.output.open("ab") as stream:
            process = subprocess.Popen(
                [*prefix, sys.executable, MAIN, *arguments],
                cwd=self.folder,
                env=environment,
                stdout=stream,
                stderr=stream,
            )
        remember(process.pid)
        self.processes.append(process)
        return process

    def until(self, true: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 60
        while not true():
            assert process.poll() is None, f"exited {process.returncode}: {self.said}"
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)

    def until_holding(self, process: subprocess.Popen[bytes], pid: int | None = None) -> int:
        self.until(self.marker.exists, process)
        pid = pid or process.pid
        self.until(lambda: b"sigwait" in Path(f"/proc/{pid}/cmdline").read_bytes(), process)
        return pid

    @property
    def said(self) -> str:
        return self.output.read_text()

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait(10)


@pytest.fixture
def broker() -> Iterator[str]:
    """Something that accepts connections: more is not asked of the broker here."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"amqp://app:broker-secret@127.0.0.1:{server.getsockname()[1]}/"


@pytest.fixture
def by_hand(tmp_path: Path, database: str, broker: str) -> Iterator[ByHand]:
    started = ByHand(tmp_path, database, broker)
    yield started
    started.end()


def tables(database: str) -> set[str]:
    with psycopg.connect(database) as connection:
        return {
            row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        }


def test_migrates_holds_and_ends_at_once(by_hand: ByHand, database: str) -> None:
    init = by_hand.start()
    pid = by_hand.until_holding(init)
    assert "players" in tables(database)
    # The hold has an empty environment, and none of the run's libraries.
    assert Path(f"/proc/{pid}/environ").read_bytes() == b""
    assert "psycopg" not in Path(f"/proc/{pid}/maps").read_text()
    assert by_hand.marker.read_text() == f"{pid}\n"
    init.send_signal(signal.SIGTERM)
    assert init.wait(5) == 0
    assert not by_hand.marker.exists()


def test_a_second_run_changes_nothing(by_hand: ByHand) -> None:
    for words in ("migrate: done", "migrate: in place"):
        init = by_hand.start()
        by_hand.until_holding(init)
        assert words in by_hand.said
        init.send_signal(signal.SIGINT)
        assert init.wait(5) == 0


def test_a_stale_marker_is_dropped_and_a_failure_leaves_none(by_hand: ByHand) -> None:
    by_hand.marker.write_text("1\n")
    by_hand.revise("op.execute('SELEKT 1')")
    assert by_hand.start().wait(60) == 1
    assert not by_hand.marker.exists()
    assert "SELEKT" in by_hand.said


def test_a_run_that_waits_has_dropped_the_stale_marker(by_hand: ByHand) -> None:
    by_hand.marker.write_text("1\n")
    init = by_hand.start(DATABASE_URL="postgresql://app@127.0.0.1:9/games")
    by_hand.until(lambda: "waiting" in by_hand.output.read_text(), init)
    assert not by_hand.marker.exists()


def test_a_rejected_password_fails_at_once_and_is_not_shown(by_hand: ByHand, database: str) -> None:
    name = database.rpartition("/")[2]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS by_hand_nobody")
    host = database.rpartition("@")[2].rpartition("/")[0]
    secret = quote("p@ss/w%rd", safe="")
    # Ends within a fraction of its 30 seconds: there is nothing to wait for.
    init = by_hand.start(DATABASE_URL=f"postgresql://by_hand_nobody:{secret}@{host}/{name}")
    assert init.wait(25) == 1
    assert "by_hand_nobody" in by_hand.said
    assert "waiting" not in by_hand.said
    assert secret not in by_hand.said
    assert "p@ss/w%rd" not in by_hand.said


def test_a_url_that_is_none_does_not_show_its_password(by_hand: ByHand) -> None:
    assert by_hand.start(DATABASE_URL="postgresql://app:hid/den@db/games").wait(60) == 1
    assert "percent-encoded" in by_hand.said
    assert "hid" not in by_hand.said


def test_what_may_heal_is_tried_until_the_time_is_up(by_hand: ByHand) -> None:
    init = by_hand.start(DATABASE_URL="postgresql://app@127.0.0.1:9/games", INIT_TIMEOUT="0.5")
    assert init.wait(30) == 1
    assert by_hand.said.count("waiting:") == 1  # said once, tried often
    assert "the time is up" in by_hand.said


def test_a_server_that_comes_up_is_noticed(by_hand: ByHand, broker: str) -> None:
    with socket.socket() as late:
        late.bind(("127.0.0.1", 0))
        init = by_hand.start(RABBITMQ_URL=f"amqp://127.0.0.1:{late.getsockname()[1]}")
        by_hand.until(lambda: "broker: waiting" in by_hand.said, init)
        late.listen()
        by_hand.until_holding(init)


def test_a_signal_stops_a_migration_which_is_rolled_back(by_hand: ByHand, database: str) -> None:
    by_hand.revise("op.execute('SELECT pg_sleep(60)')")
    init = by_hand.start()
    by_hand.until(lambda: _sleeping(database), init)
    init.send_signal(signal.SIGTERM)
    assert init.wait(10) == 128 + signal.SIGTERM
    assert not by_hand.marker.exists()
    assert "players" not in tables(database)


def _sleeping(database: str) -> bool:
    with psycopg.connect(database) as connection:
        query = (
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND datname = current_database()"
        )
        return connection.execute(query).fetchone() is not None


def test_what_is_no_longer_in_place_is_run_again(by_hand: ByHand, database: str) -> None:
    init = by_hand.start(INIT_VERIFY="0.3")
    pid = by_hand.until_holding(init)
    with psycopg.connect(database) as connection:
        connection.execute("DROP TABLE players, alembic_version")
    by_hand.until(lambda: by_hand.said.count("migrate: done") == 2, init)
    by_hand.until_holding(init, pid)
    assert "players" in tables(database)
    init.send_signal(signal.SIGTERM)
    assert init.wait(5) == 0


def test_check_changes_nothing(by_hand: ByHand, database: str) -> None:
    by_hand.marker.write_text("someone's")
    assert by_hand.start("check").wait(60) == 3
    assert by_hand.marker.read_text() == "someone's"
    assert tables(database) == set()


def may_unshare() -> bool:
    with suppress(FileNotFoundError):
        return subprocess.run([*PREFIX, "true"], capture_output=True, check=False).returncode == 0
    return False


@pytest.mark.skipif(not may_unshare(), reason="needs leave to make a pid namespace")
@pytest.mark.parametrize("holding", [True, False], ids=["holding", "waiting"])
def test_as_pid_one_it_ends_at_once(by_hand: ByHand, holding: bool) -> None:
    variables = {} if holding else {"DATABASE_URL": "postgresql://app@127.0.0.1:9/games"}
    init = by_hand.start(prefix=tuple(PREFIX), **variables)
    by_hand.until(lambda: ("holding" if holding else "waiting") in by_hand.output.read_text(), init)
    first = int(Path(f"/proc/{init.pid}/task/{init.pid}/children").read_text().split()[0])
    if holding:
        by_hand.until_holding(init, first)
    os.kill(first, signal.SIGTERM)
    assert init.wait(5) == (0 if holding else 128 + signal.SIGTERM)


def test_only_the_standard_library_and_the_application_s_own() -> None:
    imported = {
        line.split()[1].partition(".")[0]
        for line in MAIN.read_text().splitlines()
        if line.lstrip().startswith(("import ", "from ")) and not line.startswith('"')
    }
    assert imported - set(sys.stdlib_module_names) - {"_signal,"} == {"alembic"}


def test_a_password_of_any_characters_migrates(by_hand: ByHand, postgresql: PostgreSQL, database: str) -> None:
    name, user, password = database.rpartition("/")[2], f"odd_{os.urandom(4).hex()}", "p%40@s/:#? w%rd"
    postgresql.create_user(user, password)
    postgresql.execute(f'ALTER DATABASE "{name}" OWNER TO "{user}"')
    url = f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{postgresql.port}/{name}"
    by_hand.until_holding(by_hand.start(DATABASE_URL=url))
    assert "players" in tables(database)
    assert "w%rd" not in by_hand.said
