"""The example's migrations and services on a real PostgreSQL and a real RabbitMQ, without containers."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from servers.ports import accepts, free_port
from servers.postgresql import PostgreSQL
from servers.process import kill
from servers.rabbitmq import RabbitMQ
from servers.run import remember

EXAMPLE = Path(__file__).parents[2] / "examples" / "game-scheduler"
TABLES = {
    "users",
    "guild_configurations",
    "channel_configurations",
    "game_templates",
    "game_sessions",
    "participants",
    "notification_schedule",
    "status_schedule",
}
SERVICES = ("api", "bot", "notification_daemon", "status_transition_daemon", "retry")

NEEDED = ("fastapi", "uvicorn", "httpx", "sqlalchemy", "psycopg", "pika", "alembic")
if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
    raise ImportError(f"not installed: {', '.join(missing)}. pip install -r {EXAMPLE / 'requirements.txt'}")


class Process:
    """One service; what it wrote is in `output`."""

    def __init__(self, command: list[str], env: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            self.popen = subprocess.Popen(command, env=env, cwd=EXAMPLE, stdout=out, stderr=out)
        remember(self.popen.pid)

    @property
    def output(self) -> str:
        return self.log.read_text()

    def wait(self, seconds: float = 30) -> int:
        try:
            return self.popen.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {seconds:g} s:\n{self.output}") from None


class Stack:
    """A database, a virtual host and the services on them."""

    def __init__(self, folder: Path, postgres: PostgreSQL, dsn: str, rabbit: RabbitMQ, vhost: str) -> None:
        self.folder = folder
        self.postgres, self.dsn = postgres, dsn
        self.rabbit, self.vhost = rabbit, vhost
        self.started: list[Process] = []
        self.env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(EXAMPLE),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DATABASE_URL": dsn,
            "RABBITMQ_URL": rabbit.url(vhost),
            "RABBITMQ_MANAGEMENT_URL": rabbit.management_url(),
            "INITHOLD_MARKER": str(folder / "init-complete"),
            "POLL_SECONDS": "0.1",
            "REMINDER_SECONDS": "1",
            "RETRY_DELAY_SECONDS": "0.3",
            "RETRY_LIMIT": "3",
        }

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command],
            env=self.env | env,
            cwd=EXAMPLE,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def alembic(self, *arguments: str) -> str:
        done = self.run("-m", "alembic", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def initialize(self) -> None:
        done = self.run("-m", "inithold", "run", "--once", "inithold.yaml")
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, module: str, **env: str) -> Process:
        name = f"{module}-{len(self.started)}"
        own = {"ALIVE_FILE": str(self.folder / f"{name}.alive")} | env
        process = Process([sys.executable, "-m", module], self.env | own, self.folder / f"{name}.log")
        self.started.append(process)
        return process

    def start_api(self) -> str:
        port = free_port()
        process = self.start("services.api.main", PORT=str(port))
        until(lambda: accepts(port) or process.popen.poll() is not None, lambda: process.output)
        assert process.popen.poll() is None, process.output
        return f"http://127.0.0.1:{port}"

    @property
    def database(self) -> str:
        return self.dsn.rsplit("/", 1)[1]

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return self.postgres.execute(statement, self.database)

    def tables(self) -> set[str]:
        return {name for (name,) in self.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """The first messages of a queue, which stay in it."""
        path = f"/api/queues/{quote(self.vhost, safe='')}/{queue}/get"
        wanted = {"count": 1000, "ackmode": "ack_requeue_true", "encoding": "auto"}
        answer: list[dict[str, Any]] = self.rabbit.api("POST", path, wanted)
        return answer

    def logs(self) -> str:
        return "\n".join(f"--- {process.log.name}\n{process.output}" for process in self.started)

    def end(self) -> None:
        for process in self.started:
            kill(process.popen.pid)
            with suppress(subprocess.TimeoutExpired):
                process.popen.wait(timeout=5)


def until(true: Callable[[], bool], why: Callable[[], str], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds:g} s:\n{why()}"
        time.sleep(0.05)


def call(url: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def new_session(starts_in: float = 3600, lasts: float = 3600, **changes: Any) -> dict[str, Any]:
    start = datetime.now(UTC) + timedelta(seconds=starts_in)
    return {
        "guild_id": 11,
        "channel_id": 12,
        "host": {"discord_id": 13, "display_name": "Ada"},
        "title": "Friday game",
        "game": "Chess",
        "starts_at": start.isoformat(),
        "ends_at": (start + timedelta(seconds=lasts)).isoformat(),
        "max_players": 2,
    } | changes


@pytest.fixture
def stack(
    tmp_path: Path, postgresql: PostgreSQL, database: str, rabbitmq: RabbitMQ, vhost: Any
) -> Iterator[Stack]:
    stack = Stack(tmp_path, postgresql, database, rabbitmq, vhost.name)
    try:
        yield stack
    finally:
        stack.end()


@pytest.fixture(scope="module")
def made_by_init(
    tmp_path_factory: pytest.TempPathFactory, postgresql: PostgreSQL, rabbitmq: RabbitMQ
) -> Iterator[Stack]:
    """A stack after its init, of which the others get copies."""
    dsn, vhost = postgresql.create_database(), rabbitmq.create_vhost()
    made = Stack(tmp_path_factory.mktemp("made"), postgresql, dsn, rabbitmq, vhost)
    made.initialize()
    yield made
    rabbitmq.delete_vhost(vhost)
    postgresql.drop_database(made.database)


@pytest.fixture
def ready(stack: Stack, made_by_init: Stack) -> Stack:
    """A stack whose database and virtual host have what init makes."""
    stack.postgres.drop_database(stack.database)
    stack.postgres.execute(f'CREATE DATABASE "{stack.database}" TEMPLATE "{made_by_init.database}"')
    definitions = stack.rabbit.api("GET", f"/api/definitions/{made_by_init.vhost}")
    stack.rabbit.api("POST", f"/api/definitions/{stack.vhost}", definitions)
    return stack


def test_migrations_go_up_match_the_models_and_go_down(stack: Stack) -> None:
    stack.alembic("upgrade", "head")
    assert stack.tables() == TABLES | {"alembic_version"}
    assert "No new upgrade operations detected" in stack.alembic("check")
    stack.alembic("downgrade", "base")
    assert stack.tables() == {"alembic_version"}
    stack.alembic("upgrade", "head")
    assert stack.tables() == TABLES | {"alembic_version"}


def test_migrations_take_the_data_along(stack: Stack) -> None:
    stack.alembic("upgrade", "0003")
    stack.execute(
        "INSERT INTO users (discord_id, display_name) SELECT n, 'user ' || n FROM generate_series(1, 7) n"
    )
    stack.execute("INSERT INTO guild_configurations (discord_id, name) VALUES (1, 'guild')")
    stack.execute("INSERT INTO channel_configurations (guild_id, discord_id) VALUES (1, 1)")
    stack.execute(
        "INSERT INTO game_sessions (channel_id, host_id, title, game, starts_at, duration_minutes) VALUES"
        " (1, 1, 'over', 'Go', now() - interval '1 day', 90),"
        " (1, 1, 'coming', 'Go', now() + interval '1 day', 45),"
        " (1, 1, 'odd', 'Go', now() + interval '1 day', 0)"
    )
    stack.execute("INSERT INTO participants (session_id, user_id) SELECT 2, n FROM generate_series(1, 7) n")

    stack.alembic("upgrade", "head")
    minutes = "extract(epoch FROM ends_at - starts_at)::int / 60"
    assert stack.execute(f"SELECT title, {minutes}, status, max_players FROM game_sessions ORDER BY id") == [
        ("over", 90, "completed", 5),
        ("coming", 45, "scheduled", 7),
        ("odd", 120, "scheduled", 5),
    ]
    assert stack.execute("SELECT session_id, status FROM status_schedule ORDER BY session_id, due_at") == [
        (2, "in_progress"),
        (2, "completed"),
        (3, "in_progress"),
        (3, "completed"),
    ]

    stack.alembic("downgrade", "0003")
    assert stack.execute("SELECT duration_minutes FROM game_sessions ORDER BY id") == [(90,), (45,), (120,)]


def test_an_upgrade_that_fails_leaves_nothing_behind(stack: Stack) -> None:
    stack.alembic("upgrade", "0002")
    stack.execute("CREATE TABLE game_templates ()")
    before = stack.tables()
    done = stack.run("-m", "alembic", "upgrade", "head")
    assert done.returncode != 0
    assert 'relation "game_templates" already exists' in done.stderr
    assert stack.tables() == before
    assert stack.execute("SELECT version_num FROM alembic_version") == [("0002",)]


@pytest.mark.parametrize("seed", ["true", "false"])
def test_the_plan_in_yaml_and_the_plan_in_python_are_the_same(stack: Stack, seed: str) -> None:
    def found(plan: str) -> Any:
        done = stack.run("-m", "inithold", "plan", "--json", plan, SEED_DATA=seed)
        assert done.returncode == 0, done.stdout + done.stderr
        return {key: value for key, value in json.loads(done.stdout).items() if key != "digest"}

    assert found("services.init.main:plan") == found("inithold.yaml")
    stack.initialize()
    assert found("services.init.main:plan") == found("inithold.yaml")


def test_init_is_kept_in_python_as_well(stack: Stack) -> None:
    """`command: [python, -m, services.init.main]`, as the README has it."""
    once = {"INITHOLD_ONCE": "true", "SEED_DATA": "true"}
    for outcome in ("changed", "unchanged"):
        done = stack.run("-m", "services.init.main", **once)
        assert done.returncode == 0, done.stdout + done.stderr
        record = json.loads((stack.folder / "init-complete.record.json").read_text())
        states = {step["id"]: step["state"] for step in record["steps"]}
        assert {states[step] for step in ("migrate", "topology", "seed")} == {outcome}
        assert stack.execute("SELECT title FROM game_sessions") == [("Test session",)]


@pytest.mark.parametrize(
    ("service", "missing"),
    [
        ("api", "no table channel_configurations, game_sessions"),
        ("notification_daemon", "no table notification_schedule"),
        ("status_transition_daemon", "no table game_sessions"),
        ("bot", "no queue 'bot_events'"),
        ("retry", "no exchange 'game_events.retry'"),
    ],
)
def test_a_service_without_what_init_makes_fails_and_says_so(stack: Stack, service: str, missing: str) -> None:
    process = stack.start(f"services.{service}.main", PORT=str(free_port()))
    assert process.wait() == 1, process.output
    assert missing in process.output
    assert "docker compose logs init" in process.output
    assert "Traceback" not in process.output


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_ends_at_once_on_sigterm(ready: Stack, service: str) -> None:
    process = ready.start(f"services.{service}.main", PORT=str(free_port()))
    working = {"api": "Uvicorn running", "bot": "bot posts to", "retry": "brings dead letters back"}
    until(lambda: working.get(service, "looks every") in process.output, lambda: process.output)
    time.sleep(0.3)
    process.popen.send_signal(signal.SIGTERM)
    assert process.wait(8) == 0, process.output


def test_work_that_hangs_is_cut_off_and_not_lost(ready: Stack) -> None:
    """A Discord that accepts and never answers holds the bot for seconds; SIGTERM does not wait for it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        bot = ready.start("services.bot.main", DISCORD_TOKEN="token", DISCORD_API_URL=address)
        ready.start("services.notification_daemon.main")
        call(f"{ready.start_api()}/sessions", new_session())
        silent.settimeout(30)
        connection, _ = silent.accept()
        connection.recv(1)
        bot.popen.send_signal(signal.SIGTERM)
        assert bot.wait(4) == 0, bot.output
        assert "cut off" in bot.output
        connection.close()
    until(lambda: len(ready.messages("bot_events")) == 1, ready.logs)
    assert ready.messages("dead_letters") == []


def test_a_session_goes_all_the_way(ready: Stack) -> None:
    """Created through the API, announced, reminded of, started and over; each post is refused once and retried."""
    port = free_port()
    ready.start("tests.e2e.discord", PORT=str(port), HOST="127.0.0.1", FAIL_FIRST="1")
    discord = f"http://127.0.0.1:{port}"
    until(lambda: accepts(port), ready.logs)
    ready.start("services.bot.main", DISCORD_TOKEN="token", DISCORD_API_URL=discord)
    for service in ("notification_daemon", "status_transition_daemon", "retry"):
        ready.start(f"services.{service}.main")
    api = ready.start_api()

    status, session = call(f"{api}/sessions", new_session(starts_in=3, lasts=2))
    assert (status, session["status"], session["players"]) == (201, "scheduled", ["Ada"])
    joined = call(f"{api}/sessions/{session['id']}/players", {"discord_id": 14, "display_name": "Bo"})
    assert joined[1]["players"] == ["Ada", "Bo"]

    until(lambda: len(call(f"{discord}/posts")[1]) == 4, ready.logs)
    posts = call(f"{discord}/posts")[1]
    contents = [post["content"] for post in posts]
    assert sorted(contents) == sorted(set(contents)), "each is posted once"
    assert [text.split(":")[0] for text in contents[:2]] == ["New session", "Friday game starts soon"]
    assert "<@13> <@14>" in contents[1]
    assert contents[2:] == ["Friday game has started. <@13> <@14>", "Friday game is over. Well played."]
    assert [post["tries"] for post in posts] == [2, 2, 2, 2]
    assert {post["channel"] for post in posts} == {"12"}
    assert [found["status"] for found in call(f"{api}/sessions?status=completed")[1]] == ["completed"]
    assert ready.messages("dead_letters") == []
    assert ready.messages("parked_events") == []


def test_what_cannot_be_posted_is_parked_after_the_last_retry(ready: Stack) -> None:
    ready.start("services.bot.main")
    ready.start("services.retry.main")
    path = f"/api/exchanges/{quote(ready.vhost, safe='')}/game_events/publish"
    message = {"routing_key": "game.session.odd", "payload": "no json", "payload_encoding": "string"}
    answer = ready.rabbit.api("POST", path, message | {"properties": {"message_id": "m1", "delivery_mode": 2}})
    assert answer == {"routed": True}
    until(lambda: bool(ready.messages("parked_events")), ready.logs)
    (parked,) = ready.messages("parked_events")
    assert parked["payload"] == "no json"
    assert parked["properties"]["headers"]["x-parked-from"] == "bot_events"
    assert parked["properties"]["headers"]["x-retries"] == 3
    assert parked["properties"]["delivery_mode"] == 2
    assert ready.logs().count("cannot post game.session.odd") + ready.logs().count("cannot post bot_events") == 4


def test_daemons_share_the_work_and_send_nothing_twice(ready: Stack) -> None:
    api = ready.start_api()
    _, session = call(f"{api}/sessions", new_session())
    ready.execute(
        "INSERT INTO notification_schedule (session_id, kind, due_at)"
        f" SELECT {session['id']}, 'odd ' || n, now() FROM generate_series(1, 300) n"
    )
    for _ in range(2):
        ready.start("services.notification_daemon.main")
    owed = "SELECT count(*) FROM notification_schedule WHERE sent_at IS NULL AND due_at <= now()"
    until(lambda: ready.execute(owed) == [(0,)], ready.logs)
    ids = [message["properties"]["message_id"] for message in ready.messages("bot_events")]
    assert len(ids) == len(set(ids)) == 301


def test_a_daemon_whose_server_goes_away_comes_back(ready: Stack) -> None:
    process = ready.start("services.notification_daemon.main")
    until(lambda: "looks every" in process.output, lambda: process.output)
    ready.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid()"
    )
    for connection in ready.rabbit.api("GET", f"/api/vhosts/{quote(ready.vhost, safe='')}/connections"):
        ready.rabbit.api("DELETE", f"/api/connections/{quote(connection['name'], safe='')}")
    api = ready.start_api()
    call(f"{api}/sessions", new_session())
    until(lambda: len(ready.messages("bot_events")) == 1, ready.logs)
    assert process.popen.poll() is None


def test_a_queue_that_is_deleted_ends_the_bot(ready: Stack) -> None:
    process = ready.start("services.bot.main")
    until(lambda: "bot posts to" in process.output, lambda: process.output)
    time.sleep(0.5)
    ready.rabbit.api("DELETE", f"/api/queues/{quote(ready.vhost, safe='')}/bot_events")
    assert process.wait() == 1, process.output
    assert "queue 'bot_events' was deleted" in process.output


def test_the_api_refuses_what_cannot_be(ready: Stack) -> None:
    api = ready.start_api()
    assert call(f"{api}/health") == (200, {"status": "ok"})
    assert call(f"{api}/sessions", new_session(lasts=-1))[0] == 422
    assert call(f"{api}/sessions", new_session(starts_at="2026-01-01T10:00:00"))[0] == 422, "a time without a zone"
    assert call(f"{api}/sessions", new_session(title=""))[0] == 422
    assert ready.execute("SELECT count(*) FROM game_sessions") == [(0,)]

    _, session = call(f"{api}/sessions", new_session())
    players = f"{api}/sessions/{session['id']}/players"
    assert call(players, {"discord_id": 14, "display_name": "Bo"})[0] == 201
    assert call(players, {"discord_id": 14, "display_name": "Bo"})[1]["players"] == ["Ada", "Bo"]
    assert call(players, {"discord_id": 15, "display_name": "Cy"}) == (409, {"detail": "the session is full"})
    assert call(f"{api}/sessions/999/players", {"discord_id": 15, "display_name": "Cy"})[0] == 404
    ready.execute("UPDATE game_sessions SET status = 'in_progress'")
    assert call(players, {"discord_id": 15, "display_name": "Cy"}) == (409, {"detail": "the session has started"})
    assert len(call(f"{api}/sessions")[1]) == 1


def test_the_api_says_when_its_database_is_away(ready: Stack) -> None:
    api = ready.start_api()
    assert call(f"{api}/health")[0] == 200
    ready.postgres.drop_database(ready.database)
    assert call(f"{api}/health") == (503, {"detail": "the database does not answer as it should"})
    assert call(f"{api}/sessions", new_session())[0] == 503
    ready.postgres.create_database(ready.database)
    assert call(f"{api}/health")[0] == 503, "a new, empty database is not health"
    ready.alembic("upgrade", "head")
    assert call(f"{api}/health")[0] == 200
