"""A failing step: nothing starts, nothing is left, the log says why and which command works once it is fixed."""

from __future__ import annotations

import re
import time

from e2e.engine import poll
from e2e.moments import moment
from e2e.sampling import assert_never_healthy, sampled
from e2e.stack import DEPENDENTS, Stack

REVISION = '''"""a mistake"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("ALTER TABLE users ADD COLUMN nickname text")
    op.execute("ALTER TABLE TABLE_NAME ADD COLUMN motto text")
'''
TABLES = "select count(*) from information_schema.tables where table_schema = 'public'"


def check_prompt(log: str, returned: float) -> None:
    """`up` gives up at the first of its looks, two a second, that meets the engine's pause before a restart.

    The pauses are 0.1 s, 0.2 s, 0.4 s and so on: one of the first four is met, of the first six on a busy machine,
    whose looks are slower. How long an attempt takes is the machine's matter.
    """
    failures = [moment(at) for at in re.findall(r"^(\S+Z) .*error: failed", log, re.MULTILINE)]
    before = [at for at in failures if at < returned]
    print(
        f"`up --wait` returned {returned - failures[0]:.1f} s after the first failure, after {len(before)} of them"
    )
    assert 1 <= len(before) <= 6
    assert returned - failures[0] < 100, "not the 15 minutes of the start period"


def test_a_revision_that_fails_and_is_mended(stack: Stack) -> None:
    stack.override(init={"volumes": ["./migrations:/app/migrations:ro"]})
    stack.write("migrations/versions/0008_broken.py", REVISION.replace("TABLE_NAME", "userz"))

    with sampled(stack) as samples:
        up = stack.compose("up", "-d", "--wait", check=False)
        returned = time.time()
        poll(lambda: stack.inspect("init").get("RestartCount", 0) >= 2, 60, "the engine starts init again")
        state = poll(lambda: (s := stack.state("init"))["Status"] == "restarting" and s, 30, "init waits")
    assert up.returncode != 0
    assert "init" in up.stderr
    log = stack.logs("init")
    check_prompt(log, returned)
    assert state["ExitCode"] == 1
    assert_never_healthy(samples, since=0)
    assert {stack.state(name).get("Status") for name in DEPENDENTS} == {"created"}
    assert stack.sql(TABLES) == "0", "each attempt is rolled back whole"
    end = log[log.rindex("step migrate") :]
    assert 'relation "userz" does not exist' in end
    assert "0008" in end
    assert "docker compose up -d --wait --force-recreate --no-deps INIT && docker compose up -d --wait" in end

    stack.write("migrations/versions/0008_broken.py", REVISION.replace("TABLE_NAME", "users"))
    stack.compose("up", "-d", "--wait", "--force-recreate", "--no-deps", "init")
    stack.compose("up", "-d", "--wait")
    assert {stack.health(name) for name in stack.containers()} == {"healthy"}
    assert stack.sql("select version_num from alembic_version") == "0008"
    assert stack.record()["outcome"] == "ready"
