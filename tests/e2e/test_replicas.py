"""Two replicas of init, started together: one does the work, the other waits, looks, and is ready too."""

from __future__ import annotations

import json

import pytest

from e2e.conftest import Maker
from e2e.engine import poll
from e2e.stack import MARKER


@pytest.mark.timeout(400)
def test_two_replicas_do_the_work_once(make_stack: Maker) -> None:
    stack = make_stack("compose.yaml", "compose.scale.yaml")
    stack.override(postgres={"command": ["postgres", "-c", "log_statement=ddl"]})
    scales = ("--scale", "init=2", "--scale", "bot=2")
    stack.up(*scales)

    replicas = stack.ids("init")
    assert len(replicas) == 2 and len(stack.ids("bot")) == 2
    inspected = [stack.engine.inspect(replica) or {} for replica in replicas]
    assert [one["State"]["Health"]["Status"] for one in inspected] == ["healthy", "healthy"]
    assert [one["RestartCount"] for one in inspected] == [0, 0]

    records = [json.loads(stack.engine.docker("exec", one, "cat", f"{MARKER}.record.json")) for one in replicas]
    first, second = sorted(records, key=lambda record: float(record["ended"]))
    assert second["started"] < first["ended"], "they ran at the same time"
    assert second["lock_waited"] > first["lock_waited"]
    outcomes = [{step["id"]: step["state"] for step in record["steps"]} for record in (first, second)]
    assert (outcomes[0]["migrate"], outcomes[0]["topology"]) == ("changed", "changed")
    assert set(outcomes[1].values()) == {"unchanged", "skipped"}
    # Counted by the database, which has logged each statement that defines something.
    assert stack.logs("postgres").count("CREATE TABLE users (") == 1

    # Either may go: the other holds, and nothing runs again for those that depend on them.
    before = {name: state["StartedAt"] for name, state in stack.containers().items()}
    stack.engine.docker("rm", "-f", replicas[0])
    stack.up(*scales)
    poll(lambda: len(stack.ids("init")) == 2, 10, "there are two again")
    after = {name: state["StartedAt"] for name, state in stack.containers().items()}
    others = {name for name in before if not name.startswith("init")}
    assert others and others == {name for name in after if not name.startswith("init")}
    assert {name for name in others if before[name] != after[name]} == set()
    assert (stack.engine.inspect(replicas[1]) or {})["State"]["StartedAt"] == inspected[1]["State"]["StartedAt"]
    assert stack.logs("postgres").count("CREATE TABLE users (") == 1
