"""A queue is lost while everything runs; `docker compose exec init inithold run --only` brings it back."""

from __future__ import annotations

import json

from e2e.stack import MARKER, Stack


def test_one_step_again_beside_the_hold(environment: Stack) -> None:
    first, marker, record = environment.pid("init"), environment.marker(), environment.record()
    environment.exec("rabbitmq", "rabbitmqctl", "-q", "delete_queue", "bot_events")
    assert "bot_events" not in environment.queues()

    done = environment.compose("exec", "-T", "init", "inithold", "run", "--only", "topology")
    assert "game-scheduler, only topology: done in " in done.stdout + done.stderr
    assert "+ queue bot_events" in done.stdout + done.stderr
    assert "bot_events" in environment.queues()

    wrong = environment.compose("exec", "-T", "init", "inithold", "run", "--only", "topologi", check=False)
    assert wrong.returncode == 2
    assert "did you mean 'topology'?" in wrong.stdout + wrong.stderr

    # Nothing that vouches for the environment has been touched.
    assert environment.exec("init", "inithold", "health").stdout == "ready\n"
    assert environment.health("init") == "healthy"
    assert (environment.pid("init"), environment.marker()) == (first, marker)
    assert environment.record() == record
    repair = json.loads(environment.exec("init", "cat", f"{MARKER}.record.repair.json").stdout)
    assert (repair["repair"], [step["id"] for step in repair["steps"]]) == ("only topology", ["topology"])
