"""The manifests of examples/kubernetes as the tests read them: documents, and the Pods that they make."""

from __future__ import annotations

import pickle
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from inithold.plan.load import load_text
from inithold.plan.model import CheckedPlan
from servers.kubectl import kubectls

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "kubernetes"
APPLICATION = ROOT / "examples" / "game-scheduler"
PASSWORDS = {"database-password": "pw-of-database", "rabbitmq-password": "pw-of-rabbitmq"}
Document = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """What a workload makes, and all that is known of it."""

    kind: str
    name: str
    labels: dict[str, str]
    spec: Document

    @property
    def containers(self) -> list[Document]:
        """All of it, in the order they start."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    def volume(self, name: str) -> Document:
        """A volume by its name; empty where there is none, or it is a claim."""
        return next((volume for volume in self.spec.get("volumes", []) if volume["name"] == name), {})

    def mounted(self, container: Document, path: str) -> tuple[Document, Document]:
        """The mount that a path of a container lies on, and its volume; both empty where there is none."""
        found = [
            mount for mount in container.get("volumeMounts", []) if Path(path).is_relative_to(mount["mountPath"])
        ]
        mount: Document = max(found, key=lambda mount: len(mount["mountPath"]), default={})
        return mount, self.volume(mount.get("name", ""))

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Manifests:
    """Documents that are applied together.

    Args:
        documents: as loaded.
    """

    def __init__(self, documents: list[Document]) -> None:
        self.documents = documents

    def of(self, *kinds: str) -> list[Document]:
        """The documents of these kinds."""
        return [document for document in self.documents if document["kind"] in kinds]

    def named(self, kind: str, name: str) -> Document:
        """The one document of this kind and name."""
        (found,) = [document for document in self.of(kind) if document["metadata"]["name"] == name]
        return found

    def pods(self) -> list[Pod]:
        """What the workloads make."""
        found = []
        for document in self.of("Deployment", "StatefulSet", "Job"):
            template = document["spec"]["template"]
            labels = template["metadata"]["labels"]
            found.append(Pod(document["kind"], document["metadata"]["name"], labels, template["spec"]))
        return found

    def pod(self, name: str) -> Pod:
        """The Pod of one workload."""
        (found,) = [pod for pod in self.pods() if pod.name == name]
        return found

    def containers(self) -> Iterator[tuple[Pod, Document]]:
        """Every container with its Pod."""
        for pod in self.pods():
            for container in pod.containers:
                yield pod, container

    def keys(self, kind: str, name: str) -> set[str]:
        """What a ConfigMap or a Secret of this name holds."""
        return {
            key
            for document in self.of(kind)
            if document["metadata"]["name"] == name
            for part in ("data", "stringData", "binaryData")
            for key in document.get(part) or {}
        }

    def plan_text(self) -> str:
        """The plan in the ConfigMap."""
        text: str = self.named("ConfigMap", "init-plan")["data"]["inithold.yaml"]
        return text

    def plan(self) -> CheckedPlan:
        """The plan, loaded as in a container that sets nothing but what it must."""
        text = self.plan_text()
        with tempfile.TemporaryDirectory() as folder:
            for name in re.findall(r"\$\{secret:([\w.-]+)", text):
                (Path(folder) / name).write_text("a-secret")
            return load_text(text, "inithold.yaml", {"INITHOLD_SECRETS_DIR": folder})


def environment(container: Document) -> dict[str, str]:
    """The variables of a container that have a value in the manifest."""
    return {entry["name"]: entry["value"] for entry in container.get("env", []) if "value" in entry}


def runs_inithold(container: Document) -> bool:
    """Whether it is init or a gate: whether it needs the plan."""
    command: list[str] = container.get("command", [])
    return command[:1] == ["inithold"]


def applied(*, as_job: bool = False) -> Manifests:
    """What is applied: the overlay as kubectl renders it, with init as a Deployment or as a Job."""
    return Manifests(pickle.loads(_documents(as_job)))


@cache
def _documents(as_job: bool) -> bytes:
    """The same, to be copied: most tests ask for it, and reading YAML takes a hundred times as long."""
    return pickle.dumps(load(rendered(as_job=as_job)))


def as_written(*, as_job: bool = False) -> list[Document]:
    """The documents of the manifests as they lie there."""
    paths = sorted((EXAMPLE / "manifests").glob("*.yaml"))
    if as_job:
        paths = [path for path in paths if path.name != "init.yaml"] + [EXAMPLE / "as-job" / "init.yaml"]
    return [document for path in paths for document in load(path.read_text())]


@cache
def rendered(*, as_job: bool = False, kubectl: str = "") -> str:
    """What kubectl makes of the overlay, in a copy of it with passwords.

    Args:
        as_job: whether init is a Job.
        kubectl: its path; one that is at hand if empty.
    """
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "overlay"
        shutil.copytree(EXAMPLE, copy)
        for name, password in PASSWORDS.items():
            (copy / "secrets" / name).write_text(password)
        if as_job:
            overlay = copy / "kustomization.yaml"
            overlay.write_text(overlay.read_text().replace("manifests/init.yaml", "as-job/init.yaml", 1))
        return kustomize(copy, kubectl)


def kustomize(folder: Path, kubectl: str = "") -> str:
    """What `kubectl kustomize` makes of a folder."""
    command = [kubectl or kubectls()[0], "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"HOME": str(folder)})
    assert done.returncode == 0, done.stderr
    return done.stdout


def overlay() -> Document:
    """The overlay's own file."""
    (found,) = load((EXAMPLE / "kustomization.yaml").read_text())
    return found


def load(text: str) -> list[Document]:
    """The documents of a file."""
    return [document for document in yaml.safe_load_all(text) if document is not None]
