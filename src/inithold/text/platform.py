"""Hints that depend on the platform: Kubernetes, another container, or neither.

A container cannot know whether Compose or Swarm has started it, so its hints name both.
"""

from __future__ import annotations

import os

_CONTAINER_FILES = ("/.dockerenv", "/run/.containerenv")
"""Created by Docker and Podman."""


def _here(kubernetes: str, container: str, elsewhere: str) -> str:
    # The kubelet sets this variable in each container of a Pod.
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return kubernetes
    # This one is of systemd's container interface.
    if os.environ.get("container") or any(map(os.path.exists, _CONTAINER_FILES)):  # noqa: SIM112
        return container
    return elsewhere


def recreate() -> str:
    """How to start init from the beginning; follows `to run it all again:`."""
    return _here(
        "kubectl rollout restart the Deployment of init, or delete its Job and apply it again",
        "docker compose up -d --wait --force-recreate --no-deps INIT "
        "(in a swarm: docker service update --force INIT)",
        "end it and start it again",
    )


def other_ways_to_a_plan() -> str:
    """How to get a plan, or to do without one."""
    drafts = "`inithold new` drafts one from a Compose stack, and "
    return f"{_here('', drafts, drafts)}`inithold run -- COMMAND` needs none"


def restart() -> str:
    """How to restart init without recreating it."""
    return _here(
        "kubectl rollout restart the Deployment of init",
        "docker compose restart INIT, or docker service update --force INIT",
        "end it and start it again",
    )


def set_variable() -> str:
    """Where to set a variable; follows `set it`."""
    return _here(
        "under env: of this container",
        "under environment: of this service",
        "here, or under environment: of its service",
    )


def after_failure() -> str:
    """What to do once the cause of a failed run is fixed; empty if it is just to run the same command again."""
    return _here(
        "When the cause is fixed: the Pod of a Deployment is started again by itself; "
        "a failed Job is deleted and applied again.",
        "When the cause is fixed, with Compose (INIT is the name of this service):\n"
        "  docker compose up -d --wait --force-recreate --no-deps INIT && docker compose up -d --wait\n"
        "In a swarm, its task restarts by itself.",
        "",
    )


def unresolved() -> str:
    """Why a name may not resolve."""
    return _here(
        "a Service that is not there and a misspelled name look alike here: check the name and its namespace",
        "a stopped service and a misspelled name look alike here: check the name and that both share a network",
        "a server that is not there and a misspelled name look alike here: check the name",
    )


def as_user(command: str) -> str:
    """How to run a command as init's user."""
    return _here(
        f"kubectl exec runs it as the container's own user: kubectl exec POD -- {command}",
        f"docker exec --user USER CONTAINER {command}",
        f"sudo -u USER {command}",
    )
