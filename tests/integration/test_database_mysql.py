"""The database kinds on a real MariaDB, which speaks MySQL's protocol."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from fake_server import Behaviour, be_silent, fake_server, hang_up_at_once, refuse_as_mysql
from golden import assert_golden
from inithold.errors import Rejected, StepFailed
from inithold.steps import database as kinds
from inithold.steps.base import Step
from inithold.testing import check, drive
from promptness import PROMPTLY
from servers.certificates import Certificate, make_certificate
from servers.inithold import Inithold
from servers.mariadb import MariaDB
from servers.ports import closed_port
from servers.run import new_folder
from stopping import stopped_when, until

pytestmark = pytest.mark.usefixtures("no_authorities")

ODD_PASSWORD = "p%40@s/:#? w%rd&+'\"\\é$x"
SECRET = "pw-nobody-may-see"


def name_of(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


def is_golden(case: str, step: Step, **varying: str) -> None:
    driven = drive(step)
    assert driven.outcome == "failed", driven
    assert driven.finished.attempts == 1
    assert SECRET not in "\n".join([driven.reason, *driven.log, *driven.waited_for])
    assert_golden(f"mysql/{case}", driven.reason, driven.finished.hint, varying=varying)


@pytest.fixture
def port(mariadb: MariaDB) -> str:
    return str(mariadb.port)


# -- ready


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+pymysql", "mysql+aiomysql"])
def test_urls_as_stacks_have_them(mysql_database: str, scheme: str) -> None:
    assert check(kinds.Ready(url=f"{scheme}{mysql_database.removeprefix('mysql')}?charset=utf8mb4")) == ()


def test_socket(mariadb: MariaDB) -> None:
    url = f"mysql://{mariadb.user}:{mariadb.password}@/mysql?unix_socket={mariadb.folder}/socket"
    assert check(kinds.Ready(url=url)) == ()


def test_odd_passwords(mariadb: MariaDB) -> None:
    name = f"odd_{uuid4().hex[:8]}"
    quoted = ODD_PASSWORD.replace("\\", "\\\\").replace("'", "''")
    mariadb.execute(f"CREATE USER '{name}'@'%' IDENTIFIED BY '{quoted}'")
    try:
        assert check(kinds.Ready(url=mariadb.url("", user=name, password=ODD_PASSWORD))) == ()
    finally:
        mariadb.execute(f"DROP USER '{name}'@'%'")


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (hang_up_at_once, "connection lost"),
        (refuse_as_mysql(1040, "Too many connections"), "Too many connections"),
        (refuse_as_mysql(1053, "Server shutdown in progress"), "Server shutdown in progress"),
        (refuse_as_mysql(1203, "User app already has more than"), "User app already has more than"),
    ],
)
def test_not_yet(behaviour: Behaviour, words: str) -> None:
    with fake_server(behaviour) as port:
        driven = drive(kinds.Ready(url=f"mysql://app:{SECRET}@127.0.0.1:{port}/games"), timeout=0.7)
    assert driven.outcome == "failed"
    assert driven.waited_for[0] == f"127.0.0.1:{port}: {words}"


def test_no_answer_refused_and_missing_socket_are_not_yet(tmp_path: Path) -> None:
    with fake_server(be_silent) as port:
        driven = drive(kinds.Ready(url=f"mysql://app@127.0.0.1:{port}/games?connect_timeout=1"), timeout=2)
        assert driven.waited_for == (f"127.0.0.1:{port}: accepts connections but does not answer",)
    with closed_port() as port:
        driven = drive(kinds.Ready(url=f"mysql://app@127.0.0.1:{port}/games"), timeout=0.3)
        assert driven.waited_for == (f"127.0.0.1:{port}: connection refused",)
    driven = drive(kinds.Ready(url=f"mysql://app@/games?unix_socket={tmp_path}/none"), timeout=0.3)
    assert driven.waited_for == (f"{tmp_path}/none: no such file or directory",)


def test_a_full_server_is_not_yet_and_one_that_comes_up_is_noticed() -> None:
    with MariaDB() as server:
        server.execute("SET GLOBAL max_connections = 10")
        taken = [server.connect("mysql") for _ in range(11)]
        threading.Timer(1.0, lambda: [each.close() for each in taken]).start()
        driven = drive(kinds.Ready(url=server.url()))
        assert driven.outcome == "unchanged"
        assert driven.waited_for == (f"127.0.0.1:{server.port}: Too many connections",)

        server.stop()
        threading.Timer(0.5, server.start).start()
        driven = drive(kinds.Ready(url=server.url()))
        assert driven.outcome == "unchanged"
        assert driven.waited_for[0] == f"127.0.0.1:{server.port}: connection refused"
        until(server.is_ready)


def test_never(mariadb: MariaDB, port: str) -> None:
    varying = {port: "PORT"}
    is_golden("rejected-password", kinds.Ready(url=mariadb.url(password=SECRET)), **varying)
    is_golden("unknown-database", kinds.Ready(url=mariadb.url("nowhere")), **varying)
    tls = "ssl_mode=VERIFY_IDENTITY&ssl_ca=/nowhere"
    is_golden("tls-no-file", kinds.Ready(url=f"{mariadb.url()}?{tls}"), **varying)
    is_golden("tls-refused", kinds.Ready(url=f"{mariadb.url()}?ssl_mode=REQUIRED"), **varying)


def test_not_mysql() -> None:
    with fake_server(lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9)) as port:
        driven = drive(kinds.Ready(url=f"mysql://app:{SECRET}@127.0.0.1:{port}/x"), timeout=2)
    assert driven.outcome == "failed"
    assert driven.reason.startswith(f"127.0.0.1:{port}: "), driven.reason


@pytest.mark.parametrize(
    "first", [b"\0" * 64, b"\x01\0\0\0\x0a", b"\x05\0\0\0\x0a8.0\0", b"\xff" * 64, bytes(range(256))]
)
def test_zeros_and_garbage(first: bytes) -> None:
    def behaviour(connection: socket.socket) -> None:
        connection.sendall(first)
        connection.recv(1024)

    with fake_server(behaviour) as port:
        driven = drive(kinds.Ready(url=f"mysql://app:{SECRET}@127.0.0.1:{port}/x?connect_timeout=1"), timeout=3)
    assert driven.outcome == "failed"
    assert driven.finished.attempts == 1
    assert driven.reason.startswith(f"127.0.0.1:{port}: what answers there is not MySQL"), driven.reason
    assert driven.finished.hint == "check host and port"


def test_database_without_privilege(mariadb: MariaDB, mysql_database: str) -> None:
    name = f"role_{uuid4().hex[:8]}"
    mariadb.execute(f"CREATE USER '{name}'@'%' IDENTIFIED BY '{SECRET}'")
    try:
        with pytest.raises(Rejected, match="Access denied for user"):
            check(kinds.Ready(url=mariadb.url(name_of(mysql_database), user=name, password=SECRET)))
    finally:
        mariadb.execute(f"DROP USER '{name}'@'%'")


def test_retry_auth_waits_for_a_late_database(mariadb: MariaDB) -> None:
    name = f"late_{uuid4().hex[:8]}"
    threading.Timer(0.5, lambda: mariadb.create_database(name)).start()
    driven = drive(kinds.Ready(url=mariadb.url(name), retry_auth=True))
    mariadb.drop_database(name)
    assert driven.outcome == "unchanged"
    assert driven.waited_for[0].endswith(f"Unknown database '{name}'")


@pytest.fixture
def secure() -> Iterator[tuple[MariaDB, Certificate]]:
    """A server that offers TLS, and its certificate."""
    import servers.mariadb as module

    certificate = make_certificate(new_folder("tls"))
    certificate.key_file.chmod(0o644)
    certificate.cert_file.parent.chmod(0o755)
    started = module.start

    def start_with_tls(command: list[str | Path], *, log: Path, user: str | None, cwd: Path) -> int:
        options = [f"--ssl-cert={certificate.cert_file}", f"--ssl-key={certificate.key_file}"]
        return started([*command, *options], log=log, user=user, cwd=cwd)

    patch = pytest.MonkeyPatch()
    patch.setattr(module, "start", start_with_tls)
    server = MariaDB()
    try:
        server.start()
        yield server, certificate
    finally:
        patch.undo()
        server.close()


def test_tls(secure: tuple[MariaDB, Certificate]) -> None:
    server, certificate = secure
    url, ca = server.url(), certificate.ca_file
    for query in (
        "",
        "ssl_mode=PREFERRED",
        "ssl=true",
        "ssl-mode=REQUIRED",
        f"ssl_ca={ca}",
        f"ssl_mode=VERIFY_IDENTITY&ssl_ca={ca}",
        "ssl_mode=DISABLED",
    ):
        assert check(kinds.Ready(url=f"{url}?{query}")) == (), query
    with pytest.raises(StepFailed, match="certificate"):
        check(kinds.Ready(url=f"{url}?ssl_mode=VERIFY_CA"))
    is_golden(
        "tls-bad-file", kinds.Ready(url=f"{url}?ssl_cert={ca}"), **{str(server.port): "PORT", str(ca): "ca.crt"}
    )
    server.execute("SET GLOBAL require_secure_transport = ON")
    with pytest.raises(StepFailed, match=r"secure|Access denied"):
        check(kinds.Ready(url=f"{url}?ssl_mode=DISABLED"))


# -- tables


def test_tables(mysql_database: str, mariadb: MariaDB) -> None:
    name = name_of(mysql_database)
    mariadb.execute("CREATE TABLE users (id int, name text)", name)
    mariadb.execute("CREATE VIEW names AS SELECT name FROM users", name)
    present: list[str | dict[str, list[str]]] = ["users", {f"{name}.users": ["ID", "name"]}, "names"]
    assert drive(kinds.Tables(url=mysql_database, tables=present)).outcome == "unchanged"
    absent = kinds.Tables(url=mysql_database, tables={"Users": None, "users": ["email"], "mysql.nothing": ["id"]})
    assert [(str(change), change.details) for change in check(absent)] == [
        ("! table Users is missing", (f"there is {name}.users",)),
        ("! column users.email is missing", ()),
        ("! table mysql.nothing is missing", ()),
    ]
    assert drive(absent).finished.attempts == 1


# -- sql


def test_sql_runs_once(mysql_database: str, mariadb: MariaDB, tmp_path: Path) -> None:
    file = tmp_path / "seed.sql"
    file.write_text(
        "-- 100% sure; really\n# and; this\n/*!40101 SET NAMES utf8mb4 */;\n"
        "CREATE TABLE users (id int PRIMARY KEY, name text);;\n"
        "INSERT INTO users VALUES (1, '100%s; %(x)s \\'é'), (2, \"a;b\");\n"
        "CREATE PROCEDURE one() BEGIN SELECT 1; SELECT 2; END;\nCALL one();\n-- the end;\n"
    )
    step = kinds.Sql(url=mysql_database, file=str(file), unless="SELECT 1 FROM users")
    first = drive(step)
    assert first.outcome == "changed", first
    assert "doesn't exist" in first.finished.changes[0].details[0]
    assert drive(step).outcome == "unchanged"
    rows = mariadb.execute("SELECT name FROM users ORDER BY id", name_of(mysql_database))
    assert rows == [("100%s; %(x)s 'é",), ("a;b",)]


def test_failed_sql_is_rolled_back(mysql_database: str, mariadb: MariaDB) -> None:
    name = name_of(mysql_database)
    mariadb.execute("CREATE TABLE t (a int PRIMARY KEY)", name)
    url = mysql_database
    is_golden("sql-violation", kinds.Sql(url=url, sql="INSERT INTO t VALUES (1);\n\nINSERT INTO t VALUES (1);"))
    is_golden("sql-syntax", kinds.Sql(url=url, sql="INSERT INTO t VALUES (1);\nSELEKT 1;"))
    is_golden(
        "sql-committed",
        kinds.Sql(url=url, sql="CREATE TABLE u (a int);\nINSERT INTO nothing VALUES (1);"),
        **{name: "games"},
    )
    is_golden(
        "guard-unmet", kinds.Sql(url=url, sql="INSERT INTO t VALUES (1)", unless="SELECT 1 FROM t WHERE a = 2")
    )
    is_golden("guard-writes", kinds.Sql(url=url, sql="DO 1", unless="INSERT INTO t VALUES (1)"))
    is_golden("guard-bad", kinds.Sql(url=url, sql="DO 1", unless="SELEKT 1"))
    assert mariadb.execute("SELECT * FROM t", name) == []


def test_a_password_in_a_statement_that_the_server_quotes(mysql_database: str, tmp_path: Path) -> None:
    (tmp_path / "users.sql").write_text(f"SELECT 1;\nCREATE USR app IDENTIFIED BY '{SECRET}';\n")
    for sql in ({"file": str(tmp_path / "users.sql")}, {"sql": f"ALTER USER app PASSWORD '{SECRET}'"}):
        driven = drive(kinds.Sql(url=mysql_database, **sql))
        assert "right syntax to use near" in driven.reason
        assert SECRET not in driven.reason


def test_lock_timeout_and_lost_connection_are_tried_again(mysql_database: str, mariadb: MariaDB) -> None:
    name = name_of(mysql_database)
    mariadb.execute("CREATE TABLE t (a int PRIMARY KEY)", name)
    sql = "INSERT INTO t VALUES (1); SELECT SLEEP(1)"
    running = f"SELECT id FROM information_schema.processlist WHERE db = '{name}' AND info LIKE '%SLEEP%'"

    def kill() -> None:
        until(lambda: bool(mariadb.execute(running)))
        for (number,) in mariadb.execute(running):
            mariadb.execute(f"KILL {number}")

    killer = threading.Thread(target=kill)
    killer.start()
    driven = drive(kinds.Sql(url=mysql_database, sql=sql, unless="SELECT 1 FROM t"))
    killer.join()
    assert (driven.outcome, driven.finished.attempts) == ("changed", 2), driven
    assert "connection lost" in driven.waited_for[0] or "killed" in driven.waited_for[0]


def test_cancel_ends_the_statement_on_the_server(mysql_database: str, mariadb: MariaDB) -> None:
    name = name_of(mysql_database)
    mariadb.execute("CREATE TABLE t (a int PRIMARY KEY)", name)
    running = f"SELECT 1 FROM information_schema.processlist WHERE db = '{name}' AND state = 'User sleep'"
    step = kinds.Sql(url=mysql_database, sql="INSERT INTO t VALUES (1); SELECT SLEEP(60)")
    result, seconds = stopped_when(step, lambda: bool(mariadb.execute(running)))
    assert result.steps[0].outcome == "cancelled"
    assert seconds < PROMPTLY
    until(lambda: not mariadb.execute(running))
    assert mariadb.execute("SELECT * FROM t", name) == []


def test_cancel_of_a_frozen_server() -> None:
    with MariaDB() as server:
        url = server.create_database()
        server.execute("CREATE TABLE t (a int)", name_of(url))
        running = "SELECT 1 FROM information_schema.processlist WHERE state = 'User sleep'"

        def frozen() -> bool:
            if not server.execute(running):
                return False
            server.freeze()
            return True

        step = kinds.Sql(url=url, sql="INSERT INTO t VALUES (1); SELECT SLEEP(2)")
        result, seconds = stopped_when(step, frozen)
        time.sleep(0.5)
        server.thaw()
        assert result.steps[0].outcome == "cancelled"
        assert seconds < PROMPTLY
        until(lambda: not server.execute(running))
        assert server.execute("SELECT * FROM t", name_of(url)) == []


def test_what_a_killed_run_left_on_the_server_is_waited_for(
    mysql_database: str, mariadb: MariaDB, run_inithold: Inithold
) -> None:
    """The server does not notice before the whole script has run; then it rolls back."""
    name = name_of(mysql_database)
    mariadb.execute("CREATE TABLE t (a int) ENGINE = InnoDB", name)
    fields = f"{{url: '{mysql_database}', sql: 'INSERT INTO t VALUES (1); DO SLEEP(5)'}}"
    plan = f"version: 1\nsteps:\n  - {{id: s, uses: database.sql, with: {fields}}}\n"
    (run_inithold.folder / "inithold.yaml").write_text(plan)
    sleeping = f"SELECT id FROM information_schema.processlist WHERE db = '{name}' AND info LIKE 'DO SLEEP%'"
    init = run_inithold.start("run")
    until(lambda: bool(mariadb.execute(sleeping)), 30)
    first = mariadb.execute(sleeping)
    init.signal(signal.SIGKILL)
    init.wait()
    again = run_inithold.start("run", "--once")
    seen = []
    while again.process.poll() is None:
        seen.append(len(mariadb.execute(sleeping)))
        time.sleep(0.05)
    assert again.wait() == 0
    assert max(seen) == 1, "never beside each other"
    assert first, "the first was there"
    assert mariadb.execute("SELECT * FROM t", name) == [(1,)]
