"""The lock against a real PostgreSQL, and against PgBouncer in each of its modes."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fake_server import be_silent, fake_server
from inithold.errors import Interrupted, StepFailed
from inithold.runner.lock import Lock
from promptness import PROMPTLY
from servers.pgbouncer import PgBouncer
from servers.ports import closed_port
from servers.postgresql import PostgreSQL
from stopping import until


class Said:
    """What a waiting lock said."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def __call__(self, reason: str, elapsed: float) -> None:
        assert elapsed >= 0
        self.reasons.append(reason)


@contextmanager
def held(url: str, name: str = "game") -> Iterator[Lock]:
    lock = Lock(url, name, Said())
    try:
        lock.acquire()
        yield lock
    finally:
        lock.release()


def is_free(url: str, name: str = "game", seconds: float = 20) -> bool:
    lock = Lock(url, name, Said())
    timer = threading.Timer(seconds, lock.cancel, ["enough"])
    timer.start()
    try:
        lock.acquire()
    except Interrupted:
        return False
    finally:
        timer.cancel()
        lock.release()
    return True


def test_one_holds_and_the_other_waits_and_says_for_whom(database: str) -> None:
    said = Said()
    lock = Lock(database, "game", said)
    got = threading.Event()
    with held(database):

        def acquire() -> None:
            lock.acquire()
            got.set()

        threading.Thread(target=acquire, daemon=True).start()
        assert not got.wait(1)
    assert got.wait(20)
    lock.release()
    assert said.reasons[0].startswith("held by inithold game on ")
    assert ", 127.0.0.1 (server process " in said.reasons[0]


def test_plans_and_databases_have_locks_of_their_own(postgresql: PostgreSQL, database: str) -> None:
    other = postgresql.create_database()
    with held(database):
        assert is_free(database, "another")
        assert is_free(other)
        assert not is_free(database, seconds=0.5)
        assert not is_free(f"{database}?application_name=x", seconds=0.5)
    assert is_free(database)
    postgresql.drop_database(other.rpartition("/")[2])


def test_release_in_any_state(database: str) -> None:
    lock = Lock(database, "game", Said())
    lock.release()
    lock.release()
    with held(database) as lock:
        lock.watch(on_lost=lambda: pytest.fail("not lost"))
        at = time.monotonic()
        lock.release()
        assert time.monotonic() - at < PROMPTLY
        assert is_free(database)
    assert lock.lost == ""


def test_waiting_ends_at_once(database: str) -> None:
    with held(database):
        lock = Lock(database, "game", Said())
        threading.Timer(0.3, lock.cancel, ["SIGTERM"]).start()
        at = time.monotonic()
        with pytest.raises(Interrupted, match="SIGTERM"):
            lock.acquire()
        assert time.monotonic() - at < PROMPTLY
        lock.release()
    assert is_free(database)


def test_waiting_for_a_server_that_never_answers_ends_at_once() -> None:
    with fake_server(be_silent) as port:
        lock = Lock(f"postgresql://app@127.0.0.1:{port}/x", "game", Said())
        threading.Timer(0.3, lock.cancel, ["SIGTERM"]).start()
        at = time.monotonic()
        with pytest.raises(Interrupted):
            lock.acquire()
        assert time.monotonic() - at < PROMPTLY
        lock.release()


def test_the_server_is_waited_for() -> None:
    with PostgreSQL() as server:
        server.stop()
        threading.Timer(0.7, server.start_without_waiting).start()
        said = Said()
        lock = Lock(server.dsn(), "game", said)
        lock.acquire()
        lock.release()
    assert said.reasons[0] == f"127.0.0.1:{server.port}: connection refused"


def test_what_the_server_refuses_is_final(postgresql: PostgreSQL) -> None:
    lock = Lock(postgresql.dsn(password="wrong-password"), "game", Said())
    with pytest.raises(StepFailed, match="password authentication failed"):
        lock.acquire()
    lock.release()


def test_a_server_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inithold.runner.lock.SERVER_TIMEOUT", 0.4)
    with closed_port() as port:
        lock = Lock(f"postgresql://app@127.0.0.1:{port}/x", "game", Said())
        with pytest.raises(StepFailed) as error:
            lock.acquire()
        lock.release()
    assert error.value.message == f"its time (400ms) is up: 127.0.0.1:{port}: connection refused"


def test_a_killed_holder_frees_it(database: str) -> None:
    program = (
        "import sys, time; from inithold.runner.lock import Lock; "
        "lock = Lock(sys.argv[1], 'game', print); lock.acquire(); print('held', flush=True);"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, database], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert not is_free(database, seconds=0.5)
        holder.send_signal(signal.SIGKILL)
        assert is_free(database)


def test_a_lost_connection_is_noticed(database: str, postgresql: PostgreSQL) -> None:
    with held(database) as lock:
        lost = threading.Event()
        lock.watch(on_lost=lost.set)
        assert not lost.wait(2.5)  # it has been verified meanwhile
        name = database.rpartition("/")[2]
        postgresql.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        assert lost.wait(20)
        assert "terminating connection due to administrator command" in lock.lost
    assert is_free(database)


def test_a_lock_that_somebody_took_away_is_noticed(database: str, postgresql: PostgreSQL) -> None:
    with held(database) as lock:
        lost = threading.Event()
        lock.watch(on_lost=lost.set)
        lock.held = lambda: (_ for _ in ()).throw(RuntimeError("odd"))  # type: ignore[method-assign]
        assert lost.wait(20)
        assert lock.lost == "RuntimeError: odd"


def test_a_server_that_is_killed_loses_it() -> None:
    with PostgreSQL() as server, held(server.dsn()) as lock:
        lost = threading.Event()
        lock.watch(on_lost=lost.set)
        server.kill()
        assert lost.wait(20)
        assert "connection" in lock.lost


def test_waiting_survives_a_lost_connection(database: str, postgresql: PostgreSQL) -> None:
    said, got = Said(), threading.Event()
    lock = Lock(database, "game", said)
    with held(database):

        def acquire() -> None:
            lock.acquire()
            got.set()

        threading.Thread(target=acquire, daemon=True).start()
        until(lambda: bool(said.reasons))
        # The waiting one is the younger.
        postgresql.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{database.rpartition('/')[2]}' ORDER BY backend_start DESC LIMIT 1"
        )
        assert not got.wait(1)
    assert got.wait(20)
    lock.release()


# -- proxies


@pytest.mark.parametrize("size", [1, 4])
def test_pooled_sessions_hold_a_lock(postgresql: PostgreSQL, database: str, size: int) -> None:
    name = database.rpartition("/")[2]
    with PgBouncer(postgresql, pooling="session", pool_size=size) as proxy:
        with held(proxy.dsn(name)) as lock:
            lost = threading.Event()
            lock.watch(on_lost=lost.set)
            assert not is_free(database, seconds=0.5)
            assert not lost.wait(2.5)
        assert is_free(database)
        with held(proxy.dsn(name)) as lock:
            lock.watch(on_lost=lost.set)
            proxy.stop()
            assert lost.wait(20)


@pytest.mark.parametrize("pooling", ["transaction", "statement"])
@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("round_robin", [0, 1])
def test_pooled_transactions_are_refused(
    postgresql: PostgreSQL, database: str, pooling: str, size: int, round_robin: int
) -> None:
    with PgBouncer(postgresql, pooling=pooling, pool_size=size) as proxy:  # type: ignore[arg-type]
        proxy.stop()
        with (proxy.folder / "pgbouncer.ini").open("a") as configuration:
            configuration.write(f"server_round_robin = {round_robin}\n")
        proxy.start()
        url = proxy.dsn(database.rpartition("/")[2])
        locks = [Lock(url, "game", Said()) for _ in range(3)]
        errors: list[StepFailed] = []

        def acquire(lock: Lock) -> None:
            try:
                lock.acquire()
            except StepFailed as error:
                errors.append(error)

        threads = [threading.Thread(target=acquire, args=(lock,)) for lock in locks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for lock in locks:
            lock.release()
    assert len(errors) == 3
    assert "pools transactions" in errors[0].message
    assert errors[0].hint == "give lock the server's own address, or a pool in session mode"
    assert is_free(database)
