"""A secret file that changes while a step waits is read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from alembic_project import SYNC_ENV, AlembicProject
from inithold.testing import drive
from servers.inithold import Inithold
from servers.postgresql import PostgreSQL
from servers.redis import Redis

PLAN = """
version: 1
name: rotation
steps:
  - id: cache
    uses: redis.ready
    timeout: 20s
    with:
      url: "redis://:${{secret:cache|url}}@127.0.0.1:{port}/0"
      {more}
"""
CHANGED = "a secret file has changed: going on with its new content"


def prepared(run_inithold: Inithold, port: int, more: str = "") -> Path:
    (run_inithold.folder / "inithold.yaml").write_text(PLAN.format(port=port, more=more))
    secret = run_inithold.folder / "secrets" / "cache"
    secret.parent.mkdir()
    secret.write_text("planted-old-password\n")
    return secret


@pytest.mark.parametrize(
    ("command", "more"), [(("wait",), ""), (("run", "--once"), "retry_auth: true")], ids=["gate", "run"]
)
def test_a_corrected_secret_is_taken(
    run_inithold: Inithold, redis_server: Redis, command: tuple[str, ...], more: str
) -> None:
    secret = prepared(run_inithold, redis_server.port, more)
    process = run_inithold.start(*command, env={"INITHOLD_SECRETS_DIR": str(secret.parent)})
    process.wait_for_output("rejects the login")
    # In place at once, as Kubernetes exchanges the files of a Secret.
    new = secret.with_name("new")
    new.write_text(f"{redis_server.password}\n")
    new.replace(secret)
    assert process.wait() == 0
    assert process.output.count(CHANGED) == 1
    assert redis_server.password not in process.output
    assert "planted-old-password" not in process.output


def test_a_step_with_a_process_of_its_own_takes_it_too(
    run_inithold: Inithold, database: str, postgresql: PostgreSQL
) -> None:
    project = AlembicProject(run_inithold.folder)
    project.tables("users")
    login, place = database.removeprefix("postgresql://").split("@")
    secret = run_inithold.folder / "secrets" / "db"
    secret.parent.mkdir()
    secret.write_text("planted-old-password\n")
    (run_inithold.folder / "inithold.yaml").write_text(
        "version: 1\nsteps:\n  - id: migrate\n    uses: alembic.upgrade\n    timeout: 60s\n    with:\n"
        f'      url: "postgresql://{login.partition(":")[0]}:${{secret:db|url}}@{place}"\n'
    )
    drive(project.upgrade(database))
    project.env.write_text(SYNC_ENV.replace("connection=connection", "connection=connection, opts={}"))
    gate = run_inithold.start("wait", env={"INITHOLD_SECRETS_DIR": str(secret.parent)})
    gate.wait_for_output("password authentication failed")
    new = secret.with_name("new")
    new.write_text(f"{postgresql.password}\n")
    new.replace(secret)
    assert gate.wait() == 0
    assert gate.output.count(CHANGED) == 1
    assert "planted" not in gate.output


def test_one_that_is_still_wrong_is_scrubbed_too(run_inithold: Inithold, redis_server: Redis) -> None:
    secret = prepared(run_inithold, redis_server.port)
    process = run_inithold.start("wait", "--timeout", "4s", env={"INITHOLD_SECRETS_DIR": str(secret.parent)})
    process.wait_for_output("rejects the login")
    secret.write_text("planted-new-password\n")
    process.wait_for_output(CHANGED)
    assert process.wait() == 1
    assert "planted" not in process.output
