"""What a fault is, and how a copy of the manifests gets one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from kubernetes.manifests import Document, Manifests


class Fault(NamedTuple):
    """What is wrong with a copy of the manifests."""

    rule: str
    made: Callable[[Manifests], object]
    said: str
    as_job: bool = False


def spec(manifests: Manifests, name: str, kind: str = "Deployment") -> Document:
    found: Document = manifests.named(kind, name)["spec"]
    return found


def pod(manifests: Manifests, name: str = "init") -> Document:
    return manifests.pod(name).spec


def container(manifests: Manifests, name: str = "init", number: int = 0) -> Document:
    return manifests.pod(name).containers[number]


def variable(manifests: Manifests, name: str, value: str, of: str = "init", number: int = 0) -> None:
    env = container(manifests, of, number)["env"]
    env[:] = [*(entry for entry in env if entry["name"] != name), {"name": name, "value": value}]


def plan(manifests: Manifests, old: str, new: str) -> None:
    data = manifests.named("ConfigMap", "init-plan")["data"]
    assert old in data["inithold.yaml"]
    data["inithold.yaml"] = data["inithold.yaml"].replace(old, new)


def volume(manifests: Manifests, name: str, of: str = "init") -> Document:
    return manifests.pod(of).volume(name)


def mount(manifests: Manifests, name: str, of: str = "init", number: int = 0) -> Document:
    return next(found for found in container(manifests, of, number)["volumeMounts"] if found["name"] == name)


def remove(manifests: Manifests, kind: str, name: str) -> None:
    manifests.documents.remove(manifests.named(kind, name))
