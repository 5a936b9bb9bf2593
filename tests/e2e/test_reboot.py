"""All containers started at once and in no order, as after a reboot: the engine knows no `depends_on`."""

from __future__ import annotations

import subprocess

from e2e.engine import poll
from e2e.stack import DEPENDENTS, Stack


def test_init_runs_again_and_disturbs_nobody(running: Stack) -> None:
    running.sql("insert into users (discord_id, display_name) values (4711, 'Ada')")
    before = running.record()
    ids = {name: running.container(name) for name in running.containers()}
    running.engine.docker("stop", "-t", "5", *ids.values())

    order = [*DEPENDENTS, "init", "grafana-alloy", "rabbitmq", "postgres"]
    starts = [
        subprocess.Popen(["env", "docker", "start", ids[name]], env=dict(running.engine.environment))
        for name in order
    ]
    assert [start.wait(60) for start in starts] == [0] * len(order)
    poll(lambda: {running.health(name) for name in order} == {"healthy"}, 120, "all is healthy again", every=0.3)

    record = running.record()
    assert record["run_id"] != before["run_id"]
    assert record["outcome"] == "ready"
    assert {step["state"] for step in record["steps"]} <= {"unchanged", "skipped"}
    assert [running.inspect(name)["RestartCount"] for name in order] == [0] * len(order)
    assert {name: running.container(name) for name in order} == ids
    assert running.sql("delete from users where discord_id = 4711 returning display_name").split()[0] == "Ada"
