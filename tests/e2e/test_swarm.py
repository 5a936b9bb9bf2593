"""Docker Swarm, which has no depends_on: the services gate themselves with `inithold wait`."""

from __future__ import annotations

import json

import pytest
import yaml

from e2e.engine import poll
from e2e.sessions import make_session
from e2e.stack import DEPENDENTS, MARKER, Stack
from e2e.swarm import SwarmStack, swarm_mode

# What an engine without IPVS needs, and the one node as the place for data.
VARIABLES = {
    "ENDPOINT_MODE": "dnsrr",
    "PORT_MODE": "host",
    "DATA_NODE": "node.role == manager",
    "API_PORT": "18741",
}
# No init yet, so that the gates are seen closed, also that of a service that depends on it; and a marker that is
# gone is noticed after seconds, not minutes.
LATER = {
    "services": {
        "init": {"deploy": {"replicas": 0}, "healthcheck": {"interval": "1s", "timeout": "3s"}},
        "api": {"depends_on": ["init"]},
    }
}
WORDS = {
    "api": "Uvicorn running",
    "bot": "bot posts to",
    "notification-daemon": "notification-daemon looks",
    "status-transition-daemon": "status-transition-daemon looks",
    "retry": "retry brings dead letters back",
}


@pytest.mark.timeout(500)
def test_the_services_wait_at_their_gates_until_init_is_done(stack: Stack) -> None:
    stack.variables |= VARIABLES
    stack.write("later.yaml", yaml.safe_dump(LATER))
    swarm = SwarmStack(stack)
    with swarm_mode(stack.engine):
        try:
            check(swarm)
        finally:
            swarm.remove()


def check(swarm: SwarmStack) -> None:
    """From the deployment to a session that the bot announces, and a marker that is withdrawn."""
    swarm.deploy("stack.yaml", "later.yaml")
    for service in DEPENDENTS:
        poll(lambda: waits(swarm, service), 120, f"{service} says what it waits for", every=0.5)  # noqa: B023
    assert [service for service in DEPENDENTS if WORDS[service] in swarm.logs(service)] == []
    assert {service: swarm.health(service) for service in DEPENDENTS} == dict.fromkeys(DEPENDENTS, "starting")

    swarm.engine.docker("service", "scale", "--detach", f"{swarm.name}_init=1")
    for service in ("init", *DEPENDENTS):
        poll(lambda: swarm.health(service) == "healthy", 120, f"{service} is healthy", every=0.5)  # noqa: B023
    for service in DEPENDENTS:
        assert WORDS[service] in swarm.logs(service), "the gate has become the service"
    tasks = {service: len(swarm.tasks(service)) for service in ("init", *DEPENDENTS)}
    assert set(tasks.values()) == {1}, f"nothing has failed and been replaced: {tasks}"

    session = make_session(lambda code: swarm.exec("api", "python", "-c", code), starts_in=3600, lasts=60)
    poll(
        lambda: f"channel {session['channel']}: New session" in swarm.logs("bot"), 30, "it is announced", every=0.5
    )

    first = swarm.container("init")
    swarm.exec("init", "rm", MARKER)
    poll(lambda: swarm.container("init") not in ("", first), 60, "Swarm replaces init's task", every=0.5)
    poll(lambda: swarm.health("init") == "healthy", 60, "init is healthy again", every=0.5)
    assert (swarm.engine.inspect(first) or {})["State"]["Health"]["Status"] == "unhealthy"
    record = json.loads(swarm.exec("init", "cat", f"{MARKER}.record.json"))
    assert {step["state"] for step in record["steps"]} == {"unchanged", "skipped"}
    assert [len(swarm.tasks(service)) for service in DEPENDENTS] == [1] * len(DEPENDENTS), "no other was disturbed"


def waits(swarm: SwarmStack, service: str) -> bool:
    """Whether the gate in the service's container has seen a database without its schema."""
    return bool(swarm.container(service)) and "waiting: ~ schema (empty) -> head" in swarm.logs(service)


def test_the_long_form_of_depends_on_is_refused(stack: Stack) -> None:
    """The rule swarm-ignores-depends-on."""
    depends = {"image": "any", "depends_on": {"init": {"condition": "service_healthy"}}}
    stack.write("long.yaml", yaml.safe_dump({"services": {"init": {"image": "any"}, "web": depends}}))
    command = ["docker", "stack", "config", "-c", "long.yaml"]
    done = stack.engine.run(*command, cwd=stack.folder, check=False)
    assert done.returncode != 0
    assert "services.web.depends_on must be a list" in done.stderr
