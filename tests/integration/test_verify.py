"""A hold that verifies the example's plan on real servers: what is drift, what is not, and what comes of it."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from conftest import Vhost
from servers.inithold import Inithold, Running
from servers.postgresql import PostgreSQL

EXAMPLE = Path(__file__).parents[2] / "examples" / "game-scheduler"
ROLES = """
  - id: roles
    uses: postgres.roles
    needs: [schema]
    with:
      url: ${DATABASE_URL}
      roles: [{name: "${ROLE}", password: pw-of-the-role, login: true}]
      grants: [{to: "${ROLE}", privileges: [SELECT], schema: public, tables: all}]
"""
DEFINITIONS = """
  - id: definitions
    uses: rabbitmq.topology
    needs: [broker]
    with: {url: "${RABBITMQ_URL}", definitions: definitions.json}
"""
REVISION = '''"""more"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("CREATE TABLE more (id int)")
'''


class Environment:
    """The example's plan in a folder of the test's own, and its servers."""

    def __init__(self, run_inithold: Inithold, folder: Path, database: str, vhost: Vhost) -> None:
        self.run_inithold = run_inithold
        self.folder = folder
        self.database = database
        self.role = f"role_of_{database.rpartition('/')[2]}"
        self.variables = {
            "DATABASE_URL": database,
            "RABBITMQ_URL": vhost.url,
            "RABBITMQ_MANAGEMENT_URL": vhost.management_url,
            "ROLE": self.role,
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.init: Running

    def start(self, more: str = "", *, marker: str | None = None, **hold: str) -> Running:
        """Start init, and wait until it holds."""
        keys = ", ".join(f"{key}: {value}" for key, value in {"verify": "1s", **hold}.items())
        plan = (EXAMPLE / "inithold.yaml").read_text()
        (self.folder / "inithold.yaml").write_text(f"{plan}{more}hold: {{{keys}}}\n")
        self.init = self.another(marker)
        return self.init

    def another(self, marker: str | None = None) -> Running:
        """One more init of the same plan."""
        own = {"INITHOLD_MARKER": str(self.folder / marker)} if marker else {}
        init = self.run_inithold.start("run", env={**self.variables, **own}, cwd=self.folder)
        init.wait_for_hold(60)
        return init

    def sql(self, *statements: str, database: str = "") -> list[tuple[object, ...]]:
        """Rows of the last statement, as the superuser."""
        with psycopg.connect(database or self.database, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def record(self, init: Running | None = None) -> dict[str, object]:
        """The account of the last run; empty just between two."""
        path = Path(f"{(init or self.init).marker}.record.json")
        found: dict[str, object] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def runs_again(self, act: Callable[[], object], *why: str) -> None:
        """Do something, and wait until init has run again for one of these reasons and is ready."""
        before = self.record()["run_id"]
        act()
        self.init.wait_until(lambda: self._ready_after(before), f"another run: {why}", 60)
        assert any(one in str(self.record()["reason"]) for one in why), self.init.output
        self.init.wait_for_hold(60)
        assert self.is_ready()

    def _ready_after(self, run: object) -> bool:
        record = self.record()
        return record.get("run_id") not in (run, None) and record["outcome"] == "ready"

    def is_ready(self) -> bool:
        return self.run_inithold("health").returncode == 0


@pytest.fixture
def environment(run_inithold: Inithold, tmp_path: Path, database: str, vhost: Vhost) -> Iterator[Environment]:
    folder = tmp_path / "game-scheduler"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".*", "__pycache__", "wheels"))
    environment = Environment(run_inithold, folder, database, vhost)
    yield environment
    run_inithold.end_all()
    server = database.rpartition("/")[0] + "/postgres"
    with psycopg.connect(database, autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [environment.role]).fetchone():
            connection.execute(f"DROP OWNED BY {environment.role}".encode())
            environment.sql(f"DROP ROLE {environment.role}", database=server)


def queue(vhost: Vhost, name: str) -> str:
    return f"/api/queues/{quote(vhost.name, safe='')}/{name}"


def queues(vhost: Vhost) -> set[str]:
    return {one["name"] for one in vhost.server.api("GET", f"/api/queues/{quote(vhost.name, safe='')}")}


def test_what_is_deleted_is_made_again(environment: Environment, vhost: Vhost) -> None:
    init = environment.start(ROLES)
    first = json.loads(init.marker.read_text())["vouched_by"]

    # A check that is under way may have seen the queue, and then miss its binding.
    environment.runs_again(
        lambda: vhost.server.api("DELETE", queue(vhost, "bot_events")),
        "topology: + queue bot_events",
        "topology: + binding game_events -> bot_events",
    )
    assert "bot_events" in queues(vhost)

    role = environment.role
    environment.runs_again(
        lambda: environment.sql(f"DROP OWNED BY {role}", f"DROP ROLE {role}"), f"roles: + role {role}"
    )
    assert environment.sql(f"SELECT has_table_privilege('{role}', 'users', 'SELECT')") == [(True,)]

    assert json.loads(init.marker.read_text())["vouched_by"] == first, "the same process all the time"
    assert "pw-of-the-role" not in init.output
    assert "pw-of-admin" not in init.output
    init.signal(signal.SIGTERM)
    assert init.wait() in (0, 128 + signal.SIGTERM, -signal.SIGTERM)


def test_what_is_mounted_anew_is_applied(environment: Environment, vhost: Vhost) -> None:
    definitions = environment.folder / "definitions.json"
    text = '{"queues": [%s], "exchanges": [], "bindings": []}'
    one = f'{{"name": "%s", "vhost": "{vhost.name}", "durable": true, "auto_delete": false, "arguments": {{}}}}'
    definitions.write_text(text % (one % "first"))
    environment.start(DEFINITIONS)
    assert "first" in queues(vhost)

    both = ", ".join((one % "first", one % "second"))
    environment.runs_again(lambda: definitions.write_text(text % both), "the plan has changed")
    assert "second" in queues(vhost)

    revision = environment.folder / "migrations" / "versions" / "0008_more.py"
    environment.runs_again(lambda: revision.write_text(REVISION), "migrate: ~ schema 0007 -> head (1 revision)")
    assert environment.sql("SELECT count(*) FROM more") == [(0,)]


def test_a_database_ahead_of_the_files_is_reported_and_left_alone(environment: Environment) -> None:
    init = environment.start()
    run = environment.record()["run_id"]
    environment.sql("UPDATE alembic_version SET version_num = '0009'")
    init.wait_for_output("left alone")
    time.sleep(2)
    assert init.stderr.count("left alone") == 1, "news, not a refrain"
    assert environment.is_ready()
    assert environment.record()["run_id"] == run
    status = environment.run_inithold("status").stdout
    assert "left alone" in status
    environment.sql("UPDATE alembic_version SET version_num = '0007'")
    init.wait_until(lambda: environment.record()["verification"] is None, "nothing to be reported")


def test_a_dropped_table_fails_the_run_by_its_name(environment: Environment) -> None:
    init = environment.start()
    environment.sql("DROP TABLE status_schedule")
    assert init.wait(60) == 1
    assert "no longer in place: schema: table status_schedule is missing" in init.stderr
    assert "schema    error: failed" in init.stderr
    assert "step schema (database.tables" in init.stderr
    assert not init.marker.exists()
    assert not Path(f"{init.marker}.withdrawn").exists()
    assert environment.record()["outcome"] == "failed"


def test_a_database_recreated_empty_is_filled_again(environment: Environment) -> None:
    environment.start()
    name = environment.database.rpartition("/")[2]
    server = environment.database.rpartition("/")[0] + "/postgres"

    def recreate() -> None:
        environment.sql(f"CREATE DATABASE {name}_new", database=server)
        swap = f"ALTER DATABASE {name} RENAME TO {name}_old; ALTER DATABASE {name}_new RENAME TO {name}"
        deadline = time.monotonic() + 30
        while True:
            try:
                # At once, so that no check falls between: an unknown database ends the run, and init with it.
                environment.sql(swap, database=server)
                break
            except psycopg.errors.ObjectInUse:
                assert time.monotonic() < deadline, "checks always have a connection"
        environment.sql(f"DROP DATABASE {name}_old WITH (FORCE)", database=server)

    environment.runs_again(recreate, "schema")
    assert environment.sql("SELECT version_num FROM alembic_version") == [("0007",)]


@pytest.fixture
def own_server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as server:
        yield server


class TestOwnServer:
    """With a PostgreSQL that may be stopped."""

    @pytest.fixture
    def database(self, own_server: PostgreSQL) -> str:
        return own_server.create_database()

    def test_a_restart_is_no_drift(self, environment: Environment, own_server: PostgreSQL) -> None:
        init = environment.start()
        run = environment.record()["run_id"]
        own_server.stop()
        for _ in range(8):
            time.sleep(0.5)
            assert init.marker.exists()
        own_server.start()
        init.wait_for_output("was away for")
        assert environment.is_ready()
        assert environment.record()["run_id"] == run
        assert "no longer in place" not in init.output

    def test_a_server_that_accepts_and_says_nothing(
        self, environment: Environment, own_server: PostgreSQL
    ) -> None:
        init = environment.start()
        own_server.freeze()
        time.sleep(4)
        own_server.thaw()
        time.sleep(2)
        assert environment.is_ready()
        assert "no longer in place" not in init.output

    def test_away_for_longer_than_the_grace(self, environment: Environment, own_server: PostgreSQL) -> None:
        init = environment.start(grace="1s")
        own_server.stop()
        init.wait_for_output("no longer in place: database: away for 1s: ")
        assert not init.marker.exists()
        init.wait_for_output("waiting")
        own_server.start()
        init.wait_for_hold(60)
        assert environment.is_ready()

    @pytest.mark.parametrize("on_drift", ["rerun", "unhealthy"])
    def test_a_password_that_is_rejected_now(
        self, environment: Environment, own_server: PostgreSQL, on_drift: str
    ) -> None:
        init = environment.start(on_drift=on_drift)
        environment.sql("ALTER ROLE admin PASSWORD 'another-one-by-now'")
        try:
            init.wait_for_output("no longer in place: database: ")
            if on_drift == "rerun":
                assert init.wait(60) == 1
            else:
                init.wait_until(lambda: not init.marker.exists(), "the marker to go")
        finally:
            with psycopg.connect(own_server.dsn(password="another-one-by-now"), autocommit=True) as connection:
                connection.execute("ALTER ROLE admin PASSWORD 'pw-of-admin'")
        if on_drift == "unhealthy":
            init.wait_for_marker()
            assert environment.is_ready()
        else:
            assert not init.marker.exists()
        assert "password authentication failed" in init.output
        assert "pw-of-admin" not in init.output


def test_replicas_that_both_verify_do_the_work_once(environment: Environment, vhost: Vhost) -> None:
    inits = [environment.start(), environment.another("marker-of-the-other")]
    before = [environment.record(init)["run_id"] for init in inits]
    vhost.server.api("DELETE", queue(vhost, "bot_events"))
    vhost.server.api("DELETE", queue(vhost, "parked_events"))
    first = inits[0]
    first.wait_until(lambda: {"bot_events", "parked_events"} <= queues(vhost), "the queues")
    time.sleep(3)
    for init in inits:
        assert init.process.poll() is None, init.output
        init.wait_for_hold(60)
    after = [environment.record(init) for init in inits]
    made = [
        step["id"]
        for record, run in zip(after, before, strict=True)
        for step in record["steps"]  # type: ignore[attr-defined]
        if record["run_id"] != run and step["state"] == "changed"
    ]
    assert made == ["topology"], "whoever came second found it done"
