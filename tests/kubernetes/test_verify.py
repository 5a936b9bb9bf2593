"""Init as the Deployment holds it: what is lost or changed takes readiness away, and is fixed in place."""

from __future__ import annotations

import re
import signal

import pytest
import yaml

from kubernetes.manifests import PASSWORDS, Document, applied
from kubernetes.sandbox import Sandbox, available
from kubernetes.servers import Make, Servers
from servers.inithold import Inithold, Running

pytestmark = pytest.mark.skipif(not available(), reason="needs root and leave to mount, on Linux")
LOST = r"topology: \+ (queue bot_events|binding \S+ -> bot_events)"
"""What a check misses of a queue that is gone: its binding, where it was under way and had seen the queue."""


def holding(make: Make) -> tuple[Sandbox, Running, Document]:
    """Init in its hold; it looks each second, not each minute."""
    manifests = applied()
    (container,) = manifests.pod("init").containers
    sandbox = make(manifests, "init", INITHOLD_VERIFY="1s")
    init = sandbox.start(container)
    init.wait_for_output("holding")
    assert is_ready(sandbox, init, container)
    return sandbox, init, container


def is_ready(sandbox: Sandbox, init: Running, container: Document) -> bool:
    """What the readiness probe says."""
    return sandbox.exec(init, container, container["readinessProbe"]["exec"]["command"]).returncode == 0


def test_the_plan_is_verified() -> None:
    hold = applied().plan().hold
    assert (hold.verify, hold.on_drift) == (60, "rerun")


def test_a_lost_queue_takes_readiness_away_until_it_is_back(
    make: Make, servers: Servers, run_inithold: Inithold
) -> None:
    sandbox, init, container = holding(make)
    process = sandbox.process(init)

    # The init of a node that was cut off, and still works: the run of this one waits for it, and can be looked at.
    other = {
        "version": 1,
        "name": "game-scheduler",
        "lock": f"postgresql://scheduler:{PASSWORDS['database-password']}@127.0.0.1:{servers.postgres.port}/scheduler",
        "steps": [{"id": "work", "uses": "command.run", "with": {"run": ["sleep", "60"]}}],
    }
    (run_inithold.folder / "other.yaml").write_text(yaml.safe_dump(other))
    cut_off = run_inithold.start("run", "other.yaml")
    cut_off.wait_for_output("runs each time")

    servers.rabbit.api("DELETE", "/api/queues/%2F/bot_events")
    init.wait_for_output("no longer in place: topology: + ")
    assert re.search(LOST, init.output)
    init.wait_for_output("waiting for the lock")
    assert not is_ready(sandbox, init, container)
    assert "bot_events" not in servers.queues()

    cut_off.signal(signal.SIGTERM)
    init.wait_until(lambda: is_ready(sandbox, init, container), "init to be ready again")
    assert "bot_events" in servers.queues()
    assert re.search(f"again: {LOST}", init.output)
    assert sandbox.process(init) == process, "no container was restarted"
    assert not any(password in init.output for password in PASSWORDS.values())


def test_a_changed_config_map_is_run_in_place(make: Make, servers: Servers) -> None:
    sandbox, init, container = holding(make)
    manifests, process = applied(), sandbox.process(init)
    text = manifests.plan_text()
    changed = re.sub(r"( *)- \{name: parked_events\}\n", r"\g<0>\1- {name: audit_events}\n", text)
    assert changed != text

    sandbox.renew(init, "/etc/inithold/plan/inithold.yaml", changed)
    init.wait_for_output("again: the plan has changed")
    init.wait_until(lambda: is_ready(sandbox, init, container), "init to be ready again")
    assert "audit_events" in servers.queues()
    assert sandbox.process(init) == process, "no container was restarted"
