"""The database kinds on a real PostgreSQL; what a real one cannot be made to say at will, a false one says."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from fake_server import (
    Behaviour,
    be_silent,
    fake_server,
    hang_up,
    hang_up_at_once,
    refuse_as_postgresql,
    reset,
    speak_http,
)
from golden import assert_golden
from inithold.errors import NotYet, Rejected, StepFailed
from inithold.runner.context import Context
from inithold.runner.events import Span
from inithold.runner.stream import Stream
from inithold.steps import database as kinds
from inithold.steps.base import Step
from inithold.steps.postgres.verdicts import RefusedConnection
from inithold.testing import check, drive
from promptness import PROMPTLY
from servers.pgbouncer import PgBouncer
from servers.ports import closed_port
from servers.postgresql import PostgreSQL
from stopping import stopped_when, until

ODD_PASSWORD = "p%40@s/:#? w%rd&+'\"\\é$x"
SECRET = "pw-nobody-may-see"


def name_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def is_golden(case: str, step: Step, **varying: str) -> str:
    """Drive a step that fails, compare what it says, and return that."""
    driven = drive(step)
    assert driven.outcome == "failed", driven
    assert driven.finished.attempts == 1
    said = "\n".join([driven.reason, *driven.log, *driven.waited_for])
    assert SECRET not in said
    assert_golden(f"postgresql/{case}", driven.reason, driven.finished.hint, varying=varying)
    return driven.reason


@pytest.fixture
def port(postgresql: PostgreSQL) -> str:
    return str(postgresql.port)


@pytest.fixture(scope="module")
def small() -> Iterator[PostgreSQL]:
    """A server of few connections that speaks German where it can, and TLS to those who ask."""
    spoken = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout
    language = "de_DE.utf8" if "de_DE.utf8" in spoken.split() else "C"
    settings = {"max_connections": "6", "superuser_reserved_connections": "2", "lc_messages": language}
    with PostgreSQL(tls="required", settings=settings) as server:
        server.create_user("app", "pw-of-app")
        yield server


# -- ready


def test_ready(database: str) -> None:
    driven = drive(kinds.Ready(url=database))
    assert (driven.outcome, driven.finished.attempts) == ("unchanged", 1)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg2"])
def test_urls_as_stacks_have_them(database: str, scheme: str) -> None:
    url = f"{scheme}{database.removeprefix('postgresql')}?prepared_statement_cache_size=0&application_name=x"
    assert check(kinds.Ready(url=url)) == ()


def test_parts_instead_of_a_url(database: str, postgresql: PostgreSQL) -> None:
    step = kinds.Ready(
        host="127.0.0.1",
        port=postgresql.port,
        user=postgresql.user,
        password=postgresql.password,
        database=name_of(database),
    )
    assert check(step) == ()


def test_odd_passwords(postgresql: PostgreSQL) -> None:
    name = f"odd_{uuid4().hex[:8]}"
    postgresql.create_user(name, ODD_PASSWORD)
    try:
        assert check(kinds.Ready(url=postgresql.dsn(user=name, password=ODD_PASSWORD))) == ()
    finally:
        postgresql.execute(f"DROP ROLE {name}")


def test_socket_and_several_hosts(postgresql: PostgreSQL) -> None:
    credentials = f"{postgresql.user}:{postgresql.password}"
    socket = f"postgresql://{credentials}@/postgres?host={postgresql.folder}&port={postgresql.port}"
    assert check(kinds.Ready(url=socket)) == ()
    with closed_port() as closed:
        several = f"postgresql://{credentials}@localhost:{closed},127.0.0.1:{postgresql.port}/postgres"
        assert check(kinds.Ready(url=several)) == ()


def test_several_hosts_that_are_all_down() -> None:
    with closed_port() as one, closed_port() as two:
        driven = drive(kinds.Ready(url=f"postgresql://a@127.0.0.1:{one},localhost:{two}/x"), timeout=0.5)
    assert driven.waited_for == (f"127.0.0.1:{one}: connection refused; localhost:{two}: connection refused",)


@pytest.mark.parametrize(
    ("case", "behaviour", "words"),
    [
        ("eof", hang_up, "server closed the connection unexpectedly"),
        ("eof-at-once", hang_up_at_once, ""),
        ("reset", reset, ""),
        ("starting", refuse_as_postgresql("57P03", "the database system is starting up"), "starting up"),
        (
            "starting-zh",
            refuse_as_postgresql("57P03", "数据库系统正在启动", severity="致命错误"),
            "数据库系统正在启动",
        ),
        ("stopping", refuse_as_postgresql("57P01", "terminating connection"), "terminating connection"),
        ("full", refuse_as_postgresql("53300", "sorry, too many clients already"), "too many clients"),
        (
            "bouncer",
            refuse_as_postgresql("08P01", "server login has been failing", severity="ERROR"),
            "login has been",
        ),
        ("bouncer-full", refuse_as_postgresql("08P01", "no more connections allowed"), "no more connections"),
    ],
)
def test_not_yet(case: str, behaviour: Behaviour, words: str) -> None:
    with fake_server(behaviour) as port:
        driven = drive(kinds.Ready(url=f"postgresql://app:{SECRET}@127.0.0.1:{port}/games"), timeout=1)
    assert driven.outcome == "failed"
    assert driven.reason.startswith("its time (1s) is up"), driven.reason
    assert driven.finished.attempts > 1
    assert all(reason.startswith(f"127.0.0.1:{port}: ") for reason in driven.waited_for)
    assert any(words in reason for reason in driven.waited_for), driven.waited_for


def test_no_answer_is_not_yet_and_bounded() -> None:
    with fake_server(be_silent) as port:
        url = f"postgresql://app@127.0.0.1:{port}/games?connect_timeout=2"
        driven = drive(kinds.Ready(url=url), timeout=3)
    # What is left of the time is enough for another look, whose end may still be told.
    assert driven.waited_for[0] == f"127.0.0.1:{port}: accepts connections but does not answer (2 s)"


def test_refused_port_and_missing_socket_are_not_yet(tmp_path: Path) -> None:
    with closed_port() as port:
        driven = drive(kinds.Ready(url=f"postgresql://app@127.0.0.1:{port}/x"), timeout=0.3)
        assert driven.waited_for == (f"127.0.0.1:{port}: connection refused",)
    driven = drive(kinds.Ready(url=f"postgresql:///x?host={tmp_path}"), timeout=0.3)
    assert driven.waited_for == (f"{tmp_path}/.s.PGSQL.5432: No such file or directory",)


def test_a_server_that_comes_up_is_noticed() -> None:
    with PostgreSQL() as server:
        server.stop()
        threading.Timer(0.7, server.start_without_waiting).start()
        driven = drive(kinds.Ready(url=server.dsn()))
    assert driven.outcome == "unchanged"
    assert driven.waited_for[0].endswith("connection refused")


def test_a_server_that_recovers_is_not_yet() -> None:
    with PostgreSQL() as server:
        server.stop()
        # A standby that takes no queries says 57P03 for as long as it lives.
        (server.folder / "data" / "standby.signal").touch()
        server.settings["hot_standby"] = "off"
        server.start_without_waiting()
        driven = drive(kinds.Ready(url=server.dsn()), timeout=3)
    assert driven.outcome == "failed"
    assert "the database system is" in driven.waited_for[-1], driven.waited_for


def test_a_full_server_is_not_yet(small: PostgreSQL) -> None:
    import psycopg

    url = small.dsn(user="app", password="pw-of-app")
    taken = [psycopg.connect(small.dsn()) for _ in range(4)]
    try:
        step = kinds.Ready(url=url)
        threading.Timer(1.0, taken[0].close).start()
        driven = drive(step)
    finally:
        for connection in taken:
            connection.close()
    assert driven.outcome == "unchanged"
    assert driven.waited_for


def test_a_server_that_shuts_down_in_between_is_waited_for(tmp_path: Path) -> None:
    with PostgreSQL() as server:
        step = kinds.Sql(
            url=server.dsn(), sql="SELECT pg_sleep(0.7); CREATE TABLE t AS SELECT 1", unless="SELECT 1 FROM t"
        )
        threading.Timer(0.4, server.restart).start()
        driven = drive(step)
    assert driven.outcome == "changed"
    assert any("connection lost" in reason for reason in driven.waited_for), driven.waited_for


AT_ONCE = """
import sys, threading
from inithold.steps.database import Ready
from inithold.testing import check
step, errors = Ready(url=sys.argv[1]), []
def work(number):
    try:
        step.load() if number % 4 == 0 else check(step)
    except BaseException as error:
        errors.append(error)
threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
for thread in threads: thread.start()
for thread in threads: thread.join()
sys.exit(repr(errors) if errors else 0)
"""


def test_steps_that_import_at_once_see_no_half_made_module(database: str) -> None:
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", AT_ONCE, database], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


# -- never


def test_rejected_password(postgresql: PostgreSQL, port: str) -> None:
    is_golden("rejected-password", kinds.Ready(url=postgresql.dsn(password=SECRET)), **{port: "PORT"})


def test_unknown_role(postgresql: PostgreSQL, port: str) -> None:
    is_golden("unknown-role", kinds.Ready(url=postgresql.dsn(user="nobody", password=SECRET)), **{port: "PORT"})


def test_unknown_database(postgresql: PostgreSQL, port: str) -> None:
    is_golden("unknown-database", kinds.Ready(url=postgresql.dsn("nowhere")), **{port: "PORT"})


def test_database_without_connect(postgresql: PostgreSQL, database: str, port: str) -> None:
    role, name = f"role_{uuid4().hex[:8]}", name_of(database)
    postgresql.create_user(role, SECRET)
    postgresql.execute(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
    try:
        is_golden(
            "no-connect",
            kinds.Ready(url=postgresql.dsn(name, user=role, password=SECRET)),
            **{port: "PORT", name: "games"},
        )
    finally:
        postgresql.execute(f"DROP ROLE {role}")


def test_no_password(postgresql: PostgreSQL, port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", "/nowhere")
    url = f"postgresql://{postgresql.user}@127.0.0.1:{postgresql.port}/postgres"
    is_golden("no-password", kinds.Ready(url=url), **{port: "PORT"})


def test_refused_tls(postgresql: PostgreSQL, port: str) -> None:
    is_golden("refused-tls", kinds.Ready(url=postgresql.dsn(query="sslmode=require")), **{port: "PORT"})


def test_bad_parameter(postgresql: PostgreSQL, port: str) -> None:
    is_golden("bad-parameter", kinds.Ready(url=postgresql.dsn(query="sslmode=always")), **{port: "PORT"})


def test_not_postgresql() -> None:
    with fake_server(speak_http) as port:
        is_golden(
            "not-postgresql",
            kinds.Ready(url=f"postgresql://app:{SECRET}@127.0.0.1:{port}/x"),
            **{str(port): "PORT"},
        )


def test_any_language_is_understood() -> None:
    refusal = refuse_as_postgresql("28P01", '用户 "app" Password 认证失败', severity="致命错误")
    with fake_server(refusal) as port:
        step = kinds.Ready(url=f"postgresql://app:{SECRET}@127.0.0.1:{port}/x")
        with pytest.raises(Rejected, match="认证失败"):
            check(step)


def test_a_server_that_speaks_another_language(small: PostgreSQL) -> None:
    """Where the machine has German; elsewhere the same in English."""
    with pytest.raises(Rejected):
        check(kinds.Ready(url=small.dsn(password="wrong-password")))
    with pytest.raises(Rejected):
        check(kinds.Ready(url=small.dsn("nowhere")))


def test_verified_tls(small: PostgreSQL) -> None:
    assert small.certificate is not None
    good = f"sslmode=verify-full&sslrootcert={small.certificate.ca_file}"
    assert check(kinds.Ready(url=small.dsn(query=good))) == ()
    varying = {str(small.port): "PORT"}
    bad = f"sslmode=verify-full&sslrootcert={small.certificate.key_file}"
    other = "sslmode=verify-ca&sslrootcert=/etc/ssl/certs/ca-certificates.crt"
    if Path("/etc/ssl/certs/ca-certificates.crt").exists():
        is_golden("tls-unverified", kinds.Ready(url=small.dsn(query=other)), **varying)
    is_golden(
        "tls-no-root", kinds.Ready(url=small.dsn(query="sslmode=verify-full&sslrootcert=/nowhere")), **varying
    )
    assert drive(kinds.Ready(url=small.dsn(query=bad))).finished.attempts == 1


def test_tls_that_the_server_insists_on(small: PostgreSQL) -> None:
    with pytest.raises(Rejected, match=r"pg_hba\.conf"):
        check(kinds.Ready(url=small.dsn(query="sslmode=disable")))
    # With TLS preferred libpq tries both ways; the password is what is wrong, not the lack of TLS.
    with pytest.raises(Rejected) as error:
        check(kinds.Ready(url=small.dsn(password="wrong-password")))
    assert "pg_hba" not in error.value.message


def test_retry_auth_waits_for_a_late_user(postgresql: PostgreSQL) -> None:
    name = f"late_{uuid4().hex[:8]}"
    threading.Timer(0.5, lambda: postgresql.create_user(name, SECRET)).start()
    try:
        driven = drive(kinds.Ready(url=postgresql.dsn(user=name, password=SECRET), retry_auth=True))
    finally:
        postgresql.execute(f"DROP ROLE {name}")
    assert driven.outcome == "unchanged"
    assert "password authentication failed" in driven.waited_for[0]


def test_wait_tries_on_where_run_gives_up(postgresql: PostgreSQL) -> None:
    driven = drive(kinds.Ready(url=postgresql.dsn("nowhere")), timeout=0.5, wait=True)
    assert driven.finished.attempts > 1


# -- tables


def test_tables(database: str, postgresql: PostgreSQL) -> None:
    for statement in (
        "CREATE TABLE users (id int, name text)",
        "CREATE SCHEMA billing",
        'CREATE TABLE billing."Odd.Name" (id int)',
        "CREATE VIEW names AS SELECT name FROM users",
        "CREATE TABLE billing.parts (id int) PARTITION BY RANGE (id)",
    ):
        postgresql.execute(statement, name_of(database))
    present: list[str | dict[str, list[str]]] = [
        "users",
        {"public.users": ["id", "name"]},
        "names",
        'billing."Odd.Name"',
        "billing.parts",
    ]
    assert drive(kinds.Tables(url=database, tables=present)).outcome == "unchanged"

    absent = kinds.Tables(
        url=database, tables={"Users": None, "parts": None, "users": ["email", "ID"], "seats": ["id"]}
    )
    assert [(str(change), change.details) for change in check(absent)] == [
        ("! table Users is missing", ("there is public.users",)),
        ("! table parts is missing", ("there is billing.parts",)),
        ("! column users.email is missing", ()),
        ("! column users.ID is missing", ("there is id",)),
        ("! table seats is missing", ()),
    ]
    is_golden("missing-tables", absent)


def test_tables_follow_the_search_path(database: str, postgresql: PostgreSQL) -> None:
    postgresql.execute("CREATE SCHEMA app CREATE TABLE users (id int)", name_of(database))
    step = kinds.Tables(url=f"{database}?options=-csearch_path%3Dapp", tables=["users"])
    assert drive(step).outcome == "unchanged"


# -- sql


def test_sql_runs_once(database: str, postgresql: PostgreSQL, tmp_path: Path) -> None:
    file = tmp_path / "seed.sql"
    file.write_text(
        "-- 100% sure; really\nBEGIN;\n"
        "CREATE TABLE users (id int PRIMARY KEY, name text);\n"
        "INSERT INTO users VALUES (1, '100%s; %(x)s é'), (2, $$a;b$$);\n"
        "CREATE FUNCTION one() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;\nCOMMIT;\n"
    )
    step = kinds.Sql(url=database, file=str(file), unless="SELECT 1 FROM users")
    first = drive(step)
    assert first.outcome == "changed"
    (change,) = first.finished.changes
    assert str(change) == f"+ sql {file}"
    assert change.details == ('unless: relation "users" does not exist',)
    assert drive(step).outcome == "unchanged"
    assert postgresql.execute("SELECT name FROM users ORDER BY id", name_of(database)) == [
        ("100%s; %(x)s é",),
        ("a;b",),
    ]


def test_sql_without_a_guard_runs_each_time(database: str, postgresql: PostgreSQL) -> None:
    postgresql.execute("CREATE TABLE log (at timestamptz)", name_of(database))
    step = kinds.Sql(url=database, sql="INSERT INTO log VALUES (now());")
    assert [str(change) for change in check(step)] == ["? sql of 1 statement"]
    for _ in range(2):
        assert drive(step).outcome == "changed"
    assert postgresql.execute("SELECT count(*) FROM log", name_of(database)) == [(2,)]


@pytest.mark.parametrize(
    ("case", "sql"),
    [
        ("syntax", "CREATE TABLE t (a int);\n  SELEKT 1;"),
        ("undefined-column", "CREATE TABLE t (a int);\nINSERT INTO t (b)\n  VALUES (1);"),
        (
            "violation",
            "CREATE TABLE t (a int PRIMARY KEY);\nINSERT INTO t VALUES (1);\n\nINSERT INTO t VALUES (1);",
        ),
        ("vacuum", "CREATE TABLE t (a int);\nVACUUM;"),
    ],
)
def test_failed_sql_is_rolled_back_whole(database: str, postgresql: PostgreSQL, case: str, sql: str) -> None:
    is_golden(f"sql-{case}", kinds.Sql(url=database, sql=sql))
    assert postgresql.execute("SELECT 1 FROM pg_tables WHERE tablename = 't'", name_of(database)) == []


def test_a_copy_that_came_after_the_plan_was_read(database: str, postgresql: PostgreSQL) -> None:
    """A plan with it is refused."""
    step = kinds.Sql(url=database, sql="CREATE TABLE t (a int);\nDO 'BEGIN END'; COPY t TO STDOUT;")
    with pytest.raises(StepFailed, match="sql: COPY from or to the client"):
        step.apply(Context("step", Span.root(), Stream(()), None), ())
    assert postgresql.execute("SELECT 1 FROM pg_tables WHERE tablename = 't'", name_of(database)) == []


def test_guard_that_does_not_hold_after_all(database: str, postgresql: PostgreSQL) -> None:
    made = "CREATE TABLE t (a int); INSERT INTO t VALUES (1)"
    is_golden("guard-unmet", kinds.Sql(url=database, sql=made, unless="SELECT 1 FROM t WHERE a = 2"))
    is_golden("guard-misspelt", kinds.Sql(url=database, sql=made, unless="SELECT 1 FROM tt"))
    is_golden("guard-bad", kinds.Sql(url=database, sql=made, unless="SELEKT 1"))
    assert postgresql.execute("SELECT 1 FROM pg_tables WHERE tablename = 't'", name_of(database)) == []


def test_guard_cannot_write(database: str, postgresql: PostgreSQL) -> None:
    postgresql.execute("CREATE TABLE t (a int)", name_of(database))
    step = kinds.Sql(url=database, sql="SELECT 1", unless="INSERT INTO t VALUES (1) RETURNING 1")
    is_golden("guard-writes", step)
    assert postgresql.execute("SELECT * FROM t", name_of(database)) == []


def test_notices_reach_the_log(database: str) -> None:
    driven = drive(
        kinds.Sql(url=database, sql="DROP TABLE IF EXISTS t; DO $$ BEGIN RAISE WARNING 'mind the gap'; END $$")
    )
    assert driven.log == ('NOTICE: table "t" does not exist, skipping', "WARNING: mind the gap")


def test_script_that_commits_in_the_middle_says_so(database: str) -> None:
    driven = drive(kinds.Sql(url=database, sql="CREATE TABLE t (a int); COMMIT; CREATE TABLE u (a int)"))
    assert driven.outcome == "changed"
    assert any("ends the transaction itself" in line for line in driven.log)


def test_big_scripts_go_through(database: str, postgresql: PostgreSQL) -> None:
    rows = ",\n".join(f"({number}, '{'x' * 100}')" for number in range(100_000))
    step = kinds.Sql(url=database, sql=f"CREATE TABLE t (a int, b text);\nINSERT INTO t VALUES\n{rows};")
    assert drive(step).outcome == "changed"
    assert postgresql.execute("SELECT count(*) FROM t", name_of(database)) == [(100_000,)]


def test_lost_connection_is_tried_again_from_the_check(database: str, postgresql: PostgreSQL) -> None:
    step = kinds.Sql(
        url=database,
        sql="CREATE TABLE t (); SELECT pg_sleep(1)",
        unless="SELECT 1 FROM pg_tables WHERE tablename = 't'",
    )

    def terminate() -> None:
        sleeping = f"datname = '{name_of(database)}' AND wait_event = 'PgSleep'"
        until(lambda: bool(postgresql.execute(f"SELECT 1 FROM pg_stat_activity WHERE {sleeping}")))
        postgresql.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {sleeping}")

    killer = threading.Thread(target=terminate)
    killer.start()
    driven = drive(step)
    killer.join()
    assert (driven.outcome, driven.finished.attempts) == ("changed", 2)
    assert driven.waited_for == ("sql: connection lost: terminating connection due to administrator command",)


def test_deadlock_is_tried_again(database: str, postgresql: PostgreSQL) -> None:
    import psycopg

    postgresql.execute("CREATE TABLE t (a int PRIMARY KEY, b int)", name_of(database))
    postgresql.execute("INSERT INTO t VALUES (1, 0), (2, 0)", name_of(database))
    sql = """
        SET LOCAL deadlock_timeout = '50ms';
        UPDATE t SET b = 1 WHERE a = 1;
        SELECT pg_advisory_xact_lock(1);
        UPDATE t SET b = 1 WHERE a = 2
    """
    results = []

    def waits(event: str) -> bool:
        waiting = f"datname = '{name_of(database)}' AND wait_event = '{event}'"
        return bool(postgresql.execute(f"SELECT 1 FROM pg_stat_activity WHERE {waiting}"))

    with psycopg.connect(database) as gate, psycopg.connect(database) as other:
        gate.execute("SELECT pg_advisory_xact_lock(1)")
        other.execute("SET deadlock_timeout = '30s'")
        other.execute("UPDATE t SET b = 2 WHERE a = 2")
        thread = threading.Thread(target=lambda: results.append(drive(kinds.Sql(url=database, sql=sql))))
        thread.start()
        until(lambda: waits("advisory"))
        update = threading.Thread(target=other.execute, args=("UPDATE t SET b = 2 WHERE a = 1",))
        update.start()
        until(lambda: waits("transactionid"))
        gate.commit()
        update.join()
    thread.join()
    assert results[0].outcome == "changed"
    assert "deadlock detected" in results[0].waited_for[0]


def test_cancel_ends_the_statement_on_the_server(database: str, postgresql: PostgreSQL) -> None:
    running = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name_of(database)}' AND state <> 'idle'"
    step = kinds.Sql(url=database, sql="CREATE TABLE t (); SELECT pg_sleep(60)")
    result, seconds = stopped_when(step, lambda: bool(postgresql.execute(running)))
    assert result.steps[0].outcome == "cancelled"
    assert seconds < PROMPTLY
    until(lambda: not postgresql.execute(running))
    assert postgresql.execute("SELECT 1 FROM pg_tables WHERE tablename = 't'", name_of(database)) == []


def test_cancel_of_a_frozen_server() -> None:
    with PostgreSQL() as server:
        url = server.create_database()
        step = kinds.Sql(url=url, sql="CREATE TABLE t (); SELECT pg_sleep(1)")

        def frozen() -> bool:
            if not server.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
                return False
            server.freeze()
            return True

        result, seconds = stopped_when(step, frozen)
        server.thaw()
        assert result.steps[0].outcome == "cancelled"
        assert seconds < PROMPTLY
        until(lambda: not server.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"))
        assert server.execute("SELECT 1 FROM pg_tables WHERE tablename = 't'", name_of(url)) == []


def test_a_killed_step_leaves_nothing_running(database: str, postgresql: PostgreSQL) -> None:
    running = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name_of(database)}' AND wait_event = 'PgSleep'"
    step = f"database.Sql(url={database!r}, sql='SELECT pg_sleep(60)')"
    code = f"import inithold.testing; from inithold.steps import database; inithold.testing.drive({step})"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        until(lambda: bool(postgresql.execute(running)))
        process.kill()
    until(lambda: not postgresql.execute(running))


def test_cancel_while_connecting() -> None:
    connected = threading.Event()

    def behaviour(connection: object) -> None:
        connected.set()
        be_silent(connection)  # type: ignore[arg-type]

    with fake_server(behaviour) as port:
        step = kinds.Ready(url=f"postgresql://app@127.0.0.1:{port}/x")
        result, seconds = stopped_when(step, connected.is_set)
    assert result.steps[0].outcome == "cancelled"
    assert seconds < PROMPTLY


def test_timeout_ends_the_statement(database: str, postgresql: PostgreSQL) -> None:
    driven = drive(kinds.Sql(url=database, sql="SELECT pg_sleep(60)"), timeout=0.7)
    assert driven.outcome == "failed"
    assert driven.reason.startswith("its time (700ms) is up")
    running = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{name_of(database)}' AND state <> 'idle'"
    until(lambda: not postgresql.execute(running))


# -- through PgBouncer


def test_through_pgbouncer(postgresql: PostgreSQL, database: str) -> None:
    with PgBouncer(postgresql) as proxy:
        url = proxy.dsn(name_of(database))
        assert drive(kinds.Ready(url=url)).outcome == "unchanged"
        step = kinds.Sql(url=url, sql="CREATE TABLE t (a int); INSERT INTO t VALUES (1)", unless="SELECT 1 FROM t")
        assert [drive(step).outcome, drive(step).outcome] == ["changed", "unchanged"]
        varying = {str(proxy.port): "PORT"}
        is_golden("pgbouncer-password", kinds.Ready(url=proxy.dsn(password=SECRET)), **varying)
        is_golden("pgbouncer-options", kinds.Ready(url=f"{url}?options=-csearch_path%3Dx"), **varying)


def test_pgbouncer_before_a_server_that_is_down() -> None:
    with PostgreSQL() as server, PgBouncer(server) as proxy:
        proxy.stop()
        with (proxy.folder / "pgbouncer.ini").open("a") as configuration:
            configuration.write("server_login_retry = 1\n")
        proxy.start()
        server.stop()
        threading.Timer(3.0, server.start).start()
        driven = drive(kinds.Ready(url=proxy.dsn()))
        until(server.is_ready)
    assert driven.outcome == "unchanged", driven


# -- why a connection is refused, asked again by hand


METHODS = {
    "scram-sha-256": "\u2168 é\u00a0\u00adß",
    "md5": ODD_PASSWORD,
    "password": ODD_PASSWORD,
    "trust": ODD_PASSWORD,
}


@pytest.fixture(scope="module")
def methods() -> Iterator[PostgreSQL]:
    """A server with a pair of users for each way to authenticate: one lets in, one has no connection to spare."""
    with PostgreSQL(tls="required") as server:
        rules = []
        for method, password in METHODS.items():
            name = method.replace("-", "_")
            for user in (f"{name}_free", f"{name}_full"):
                server.create_user(user, password)
                rules.append(f"host all {user} 127.0.0.1/32 {method}")
            server.execute(f"ALTER ROLE {name}_full CONNECTION LIMIT 0")
        server.execute("SET password_encryption = 'md5'; ALTER ROLE md5_free PASSWORD 'p'; RESET ALL")
        server.execute("CREATE DATABASE closed")
        server.execute("REVOKE CONNECT ON DATABASE closed FROM PUBLIC")
        file = server.folder / "data" / "pg_hba.conf"
        file.write_text("\n".join([*rules, file.read_text()]))
        server.execute("SELECT pg_reload_conf()")
        yield server


@pytest.mark.parametrize("sslmode", ["disable", "prefer", "require"])
@pytest.mark.parametrize("method", METHODS)
def test_a_refusal_is_understood_whatever_the_authentication(
    methods: PostgreSQL, method: str, sslmode: str
) -> None:
    name, password = method.replace("-", "_"), METHODS[method]
    free = {"user": f"{name}_free", "password": "p" if method == "md5" else password}
    query = f"sslmode={sslmode}"
    for database, sqlstate in (("nowhere", "3D000"), ("closed", "42501")):
        with pytest.raises(RefusedConnection) as error:
            check(kinds.Ready(url=methods.dsn(database, query=query, **free)))
        assert error.value.sqlstate == sqlstate
    assert check(kinds.Ready(url=methods.dsn(query=query, **free))) == ()
    with pytest.raises(NotYet, match="too many connections for role"):
        check(kinds.Ready(url=methods.dsn(user=f"{name}_full", password=password, query=query)))
    if method != "trust":
        with pytest.raises(RefusedConnection) as error:
            check(kinds.Ready(url=methods.dsn(user=f"{name}_free", password="wrong-one", query=query)))
        assert error.value.sqlstate == "28P01"
