"""A hold that verifies, with the example's servers: what is broken while everything runs is noticed and fixed.

One stack for all, in this order: each test leaves it ready, but for the last.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e.engine import Engine, busy, poll
from e2e.images import EXAMPLE, Images
from e2e.moments import moment
from e2e.stack import MARKER, Stack, started

GATED = "notification-daemon"
ROLES = """
  - id: roles
    uses: postgres.roles
    needs: [schema]
    with:
      url: ${DATABASE_URL}
      roles: [{name: reporting}]
      grants: [{to: reporting, privileges: [SELECT], schema: public, tables: all}]
"""
REVISION = '''"""more"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("CREATE TABLE more (id int)")
'''
FIRST = "migrations/versions/0001_users_and_configuration.py"
HELD = "migrations/versions/held"
"""While this file is there the first migration waits, and with it the run."""
PACE = "1s"
VERIFY = "compose.verify.yaml"
HEALTHS = "healths.jsonl"
"""Each change of the health of a container, as the engine tells it."""


def prepare(stack: Stack) -> None:
    plan = (EXAMPLE / "inithold.yaml").read_text()
    # A database that restarts may take its time where many tests run.
    stack.write("inithold.yaml", f"{plan}{ROLES}hold: {{grace: 1m}}\n")
    waits = f'    while pathlib.Path("/app/{HELD}").exists():\n        time.sleep(0.05)\n'
    head, upgrade, rest = (stack.folder / FIRST).read_text().partition("def upgrade() -> None:\n")
    stack.write(FIRST, f"{head}import pathlib\nimport time\n\n\n{upgrade}{waits}{rest}")
    stack.override(
        init={
            "volumes": ["./inithold.yaml:/app/inithold.yaml:ro", "./migrations:/app/migrations:ro"],
            # A probe that does not wait shows that there is no marker. Each costs the machine a tenth of a second.
            "healthcheck": {"test": ["CMD", "inithold", "health"], "interval": "1s", "retries": 1},
        },
        notification_daemon={
            "command": ["inithold", "wait", "--", "python", "-m", "services.notification_daemon.main"],
            "environment": {"RABBITMQ_MANAGEMENT_URL": "http://scheduler:mq-secret-of-the-test@rabbitmq:15672"},
        },
    )


@pytest.fixture(scope="module")
def stack(engine: Engine, images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Init, its servers, and a dependent behind its own gate."""
    folder = tmp_path_factory.mktemp("verify")
    with started(engine, images, folder, prepare=prepare, services=("init", GATED)) as stack:
        # The engine itself keeps only its last 256 events, of all that runs on it.
        events = ["docker", "events", "--since", str(time.time()), "--filter", "event=health_status"]
        events += ["--filter", f"label=com.docker.compose.project={stack.project}", "--format", "{{json .}}"]
        with (folder / HEALTHS).open("w") as file:
            following = subprocess.Popen(["env", *events], env=dict(engine.environment), stdout=file)
        yield stack
        following.kill()
        following.wait()


def wire(stack: Stack, *files: str) -> None:
    """Give init these override files for verification, and bring it up anew where that changes anything."""
    wanted = [file for file in stack.files if file != VERIFY] + list(files)
    if wanted != stack.files:
        stack.files[:] = wanted
        stack.compose("up", "-d", "--wait", "--no-deps", "init")


@pytest.fixture
def plain(stack: Stack) -> None:
    """Init does not verify."""
    wire(stack)


@pytest.fixture
def verifying(stack: Stack) -> None:
    """Init verifies."""
    stack.variables["INIT_VERIFY"] = PACE
    wire(stack, VERIFY)


class Watched:
    """What happens to init while something is done to its environment."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._began = time.time_ns()
        self.run = stack.record()["run_id"]
        self._marker = stack.marker()
        self._container = self._facts()

    def _facts(self) -> tuple[Any, ...]:
        found = self._stack.inspect("init")
        return found["Id"], found["State"]["Pid"], found["State"]["StartedAt"], found["RestartCount"]

    def healths(self) -> list[str]:
        """What the engine has said of init's health, each change."""
        lines = (self._stack.folder.parent / HEALTHS).read_text().splitlines()
        events = [event for event in map(json.loads, lines) if event["timeNano"] > self._began]
        return [event["Action"].rpartition(" ")[2] for event in events if event["id"] == self._container[0]]

    def runs_again(self, *why: str, seconds: float = 60) -> None:
        """Wait until init is ready by another run, in place, and that was for one of these reasons."""
        poll(lambda: self._account()[0] not in (self.run, None), seconds, f"another run: {why}", every=0.3)
        poll(lambda: self._stack.health("init") == "healthy", seconds, "init is healthy")
        reason = self._account()[1]
        assert any(one in reason for one in why), reason
        assert self._facts() == self._container, "in place: the same process of the same container"

    def _account(self) -> tuple[str | None, str]:
        done = self._stack.exec("init", "cat", f"{MARKER}.record.json", check=False)
        # Just between the earlier record and the new one there is none.
        record = json.loads(done.stdout or "{}")
        return (record["run_id"] if record.get("outcome") == "ready" else None), record.get("reason", "")

    def did_nothing(self) -> None:
        """Make sure that init holds as it did, and was so all the time."""
        assert self._stack.record()["run_id"] == self.run
        assert self._stack.marker() == self._marker, "it was never taken away"
        assert self._facts() == self._container
        assert set(self.healths()) <= {"healthy"}
        assert self._stack.health("init") == "healthy"


def replace_volume(stack: Stack) -> None:
    """Remove PostgreSQL's volume while everything runs, and start PostgreSQL on a new one."""
    stack.compose("rm", "-sf", "postgres")
    stack.engine.docker("volume", "rm", f"{stack.project}_postgres-data")
    stack.compose("up", "-d", "--wait", "--no-deps", "postgres")


@pytest.mark.usefixtures("plain")
def test_without_verification_it_vouches_for_an_empty_database(stack: Stack) -> None:
    watched = Watched(stack)
    replace_volume(stack)
    assert stack.sql("select to_regclass('users') is null") == "t"
    poll(lambda: stack.inspect(GATED)["RestartCount"] > 0, 60, "the service that misses its table ends")
    poll(lambda: "waiting" in stack.logs(GATED), 60, "its gate, which asks the environment, keeps it back")
    watched.did_nothing()
    assert stack.exec("init", "inithold", "health").stdout == "ready\n", "the lie"
    assert stack.health(GATED) != "healthy"


@pytest.mark.usefixtures("verifying")
def test_with_it_the_volume_may_be_replaced(stack: Stack) -> None:
    stack.wait_health(GATED, "healthy", 90)

    watched = Watched(stack)
    stack.write(HELD, "")
    replace_volume(stack)
    # From the first line that tells it until the run is ready there is no marker.
    stack.wait_health("init", "unhealthy")
    assert "no longer in place" in stack.logs("init")
    (stack.folder / HELD).unlink()
    # On a busy machine a check may begin before the server is back, and only find what its last steps ask for.
    watched.runs_again("schema", "roles: + role reporting")
    poll(lambda: watched.healths()[-2:] == ["unhealthy", "healthy"], 10, "the engine has told both")
    assert stack.sql("select version_num from alembic_version") == "0007"
    stack.wait_health(GATED, "healthy", 90)


@pytest.mark.usefixtures("verifying")
def test_a_queue_is_deleted(stack: Stack) -> None:
    watched = Watched(stack)
    stack.exec("rabbitmq", "rabbitmqctl", "-q", "delete_queue", "bot_events")
    # A check that is under way may have seen the queue, and then miss its binding.
    watched.runs_again("topology: + queue bot_events", "topology: + binding game_events -> bot_events")
    assert "bot_events" in stack.queues()


@pytest.mark.usefixtures("verifying")
def test_a_role_is_dropped(stack: Stack) -> None:
    watched = Watched(stack)
    stack.sql("drop owned by reporting; drop role reporting")
    watched.runs_again("roles: + role reporting")
    assert stack.sql("select has_table_privilege('reporting', 'users', 'select')") == "t"


@pytest.mark.usefixtures("verifying")
def test_a_new_revision_is_mounted_and_taken_away_again(stack: Stack) -> None:
    watched = Watched(stack)
    stack.write("migrations/versions/0008_more.py", REVISION)
    watched.runs_again("migrate: ~ schema 0007 -> head (1 revision)")
    assert stack.sql("select to_regclass('more') is null") == "f"

    # A database that is ahead of the files: a newer init has been there.
    watched = Watched(stack)
    (stack.folder / "migrations/versions/0008_more.py").unlink()
    poll(lambda: "left alone" in stack.logs("init"), 30, "it is reported")
    watched.did_nothing()
    stack.sql("drop table more; update alembic_version set version_num = '0007'")
    poll(lambda: stack.record()["verification"] is None, 30, "nothing is to be reported", every=0.3)


@pytest.mark.usefixtures("verifying")
def test_asked_for_by_compose_exec(stack: Stack) -> None:
    watched = Watched(stack)
    done = stack.compose("exec", "-T", "init", "inithold", "rerun")
    assert "game-scheduler: ready (again: it was asked to (SIGHUP))" in done.stdout
    watched.runs_again("it was asked to")


@pytest.mark.usefixtures("verifying")
def test_the_database_and_the_collector_are_away_for_20_s(stack: Stack) -> None:
    watched = Watched(stack)
    said = len(stack.logs("init").splitlines())
    stack.compose("stop", "--timeout", "5", "postgres", "grafana-alloy")
    time.sleep(20)
    stack.compose("start", "postgres")
    poll(lambda: "was away for" in "\n".join(stack.logs("init").splitlines()[said:]), 60, "it is back")
    watched.did_nothing()
    new = stack.logs("init").splitlines()[said:]
    assert len(new) <= 3, "news of the database, and none of the collector"
    assert all("was away for" in line for line in new)
    stack.compose("start", "grafana-alloy")


@pytest.mark.usefixtures("verifying")
def test_docker_stop_during_a_check(stack: Stack) -> None:
    taken = []
    # The quickest of up to three, since the machine may be busy with other tests.
    while not taken or (min(taken) >= busy() and len(taken) < 3):
        pid = stack.pid("init")
        children = Path(f"/proc/{pid}/task/{pid}/children")
        poll(children.read_text, 20, "a check", every=0.005)
        time.sleep(0.1 * len(taken))
        began = time.time()
        stack.engine.docker("stop", "-t", "10", stack.container("init"))
        state = stack.state("init")
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
        taken.append(moment(state["FinishedAt"]) - began)
        stack.engine.docker("start", stack.container("init"))
        stack.wait_health("init", "healthy")
    print(f"docker stop during a check: {min(taken):.2f} s")
    assert min(taken) < busy()


@pytest.mark.usefixtures("verifying")
def test_a_table_is_dropped_which_nothing_can_mend(stack: Stack) -> None:
    before = stack.inspect("init")["RestartCount"]
    stack.sql("drop table status_schedule")
    poll(
        lambda: stack.inspect("init")["RestartCount"] > before, 60, "the run fails, and the engine starts it again"
    )
    logs = stack.logs("init")
    assert "no longer in place: schema: table status_schedule is missing" in logs
    assert "schema    error: failed" in logs
    assert stack.marker() is None
    assert stack.health("init") != "healthy"
    stack.engine.docker("stop", "-t", "5", stack.container("init"))
    assert stack.state("init")["ExitCode"] in (1, 143)
