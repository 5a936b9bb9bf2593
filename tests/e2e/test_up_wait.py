"""docs/how-to/up-wait.md: what the engine says of a container that has ended, and of one that stays."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from docs.pages import DOCS, blocks
from e2e.conftest import Maker
from e2e.images import STAND_INS
from e2e.project import exports
from e2e.stack import Stack

COMPOSE = ("2.40.3", "5.6.1")
DEPENDS: dict[str, Any] = {
    "nobody": [],
    "short form": ["migrate"],
    "service_started": {"migrate": {"condition": "service_started"}},
    "service_completed_successfully": {"migrate": {"condition": "service_completed_successfully"}},
}


def one_shot(make_stack: Maker, version: str, depends_on: Any) -> Stack:
    """A stack with an init container that ends, and one service; the image has `true` and `sleep`."""
    stack = make_stack("compose.wait.yaml")
    if stack.images.wheels:
        # The folder whose plug-in is Compose of that version.
        stack.variables["DOCKER_CONFIG"] = exports(version)["DOCKER_CONFIG"]
    image = {"image": stack.images.example, "pull_policy": "never", "network_mode": "none"}
    services = {
        "migrate": {**image, "entrypoint": ["true"], "command": []},
        "app": {
            **image,
            "entrypoint": ["sleep", "600"],
            "command": [],
            "depends_on": depends_on,
            "stop_grace_period": "0s",
        },
    }
    stack.write("compose.wait.yaml", yaml.safe_dump({"services": services}))
    return stack


@pytest.mark.parametrize("who_waits", DEPENDS)
@pytest.mark.parametrize("version", COMPOSE)
def test_an_ended_container(version: str, who_waits: str, make_stack: Maker) -> None:
    stack = one_shot(make_stack, version, DEPENDS[who_waits])
    forgiven = who_waits == "service_completed_successfully"
    for _ in range(2):
        done = stack.compose("up", "-d", "--wait", check=False)
        assert (done.returncode == 0) is forgiven, done.stderr
        assert forgiven or "exited (0)" in done.stderr
    by_name = stack.compose("up", "-d", "--wait", "migrate", check=False)
    assert by_name.returncode == 1
    assert "exited (0)" in by_name.stderr


def reported(stack: Stack) -> tuple[str, str, dict[str, Any]]:
    """What the engine answers to whoever asks: about the stack, and about init, in words and as its state."""
    listed = json.loads(stack.compose("ls", "-a", "--format", "json").stdout)
    (status,) = (each["Status"] for each in listed if each["Name"] == stack.project)
    line = stack.compose("ps", "-a", "--format", "{{.Status}}", "migrate").stdout.strip()
    return status, line, stack.state("migrate")


@pytest.mark.parametrize("version", COMPOSE)
def test_what_is_reported_of_an_ended_container(version: str, make_stack: Maker) -> None:
    stack = one_shot(make_stack, version, DEPENDS["service_completed_successfully"])
    stack.compose("up", "-d", "--wait", "--scale", "app=2")
    status, line, state = reported(stack)
    assert status == "exited(1), running(2)"
    assert line.startswith("Exited (0) ")
    assert state["Status"] == "exited"


def test_one_that_stays(make_stack: Maker) -> None:
    (block,) = (block for block in blocks(DOCS / "how-to" / "up-wait.md") if block.file == "compose.yaml")
    stack = make_stack("compose.page.yaml")
    content = yaml.safe_load(block.text)
    for service in content["services"].values():
        image = stack.images.example if service["image"] == "my-app" else STAND_INS["POSTGRES_IMAGE"]
        service |= {"image": image, "pull_policy": "never"}
    stack.write("compose.page.yaml", yaml.safe_dump(content))
    for services in ((), (), ("migrate",)):
        stack.compose("up", "-d", "--wait", *services)
    status, line, state = reported(stack)
    assert status == "running(3)"
    assert re.fullmatch(r"Up .* \(healthy\)", line)
    assert (state["Status"], state["Health"]["Status"]) == ("running", "healthy")
    log = stack.logs("migrate")
    assert log.count("holding") == 1, log
