"""Rules of ours on passwords: where they are not, and that they are found where they are looked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from kubernetes.manifests import Document, Manifests, Pod, environment, runs_inithold

_SECRET_NAME = re.compile(r"(?:PASS(?:WORD|WD)?|SECRET|TOKEN|_KEY|_DSN)$", re.I)
_REFERENCE = re.compile(r"\$\([A-Z_]+\)|\$\{[^}]*\}")
_USER_INFO = re.compile(r"\w+://[^\s/@:]*:[^\s/@]+@")
_SETTING = re.compile(r"""(?im)^.*(?:password|passwd|secret|token)[\w"'-]*\s*[:=][ \t]*[^\s|>]""")


def no_secret_in_a_manifest(manifests: Manifests) -> Iterator[str]:
    """ConfigMaps and variables have references to secrets at most; a Secret itself is made from files."""
    for document in manifests.of("ConfigMap"):
        for key, text in document.get("data", {}).items():
            if shown := _shown(text) or (_SECRET_NAME.search(key) and text):
                yield f"ConfigMap {document['metadata']['name']}, {key}: {shown}"
    for pod, container in manifests.containers():
        for name, value in environment(container).items():
            named = _SECRET_NAME.search(name) and not _REFERENCE.fullmatch(value)
            if named or _shown(value):
                yield f"{pod}, {container['name']}: the value of {name} is in the manifest"
        if any(_shown(word) for word in (*container.get("command", []), *container.get("args", []))):
            yield f"{pod}, {container['name']}: a password is in the command"


def _shown(text: str) -> str | None:
    """A password that stands in a text itself, not by reference; with what it stands in."""
    plain = _REFERENCE.sub("", text)
    found = _USER_INFO.search(plain) or _SETTING.search(plain)
    return found[0] if found else None


def secrets_are_there_and_readable(manifests: Manifests) -> Iterator[str]:
    """Every key that is asked for exists; files of a Secret are for the group of the Pod and nobody else."""
    for pod in manifests.pods():
        for volume in pod.spec.get("volumes", []):
            if "secret" not in volume:
                continue
            secret = volume["secret"]
            asked = {item["key"] for item in secret.get("items", [])}
            if missing := asked - manifests.keys("Secret", secret["secretName"]):
                yield f"{pod}, volume {volume['name']}: Secret {secret['secretName']} has no {sorted(missing)}"
            if secret.get("defaultMode") != 0o440 or not pod.spec.get("securityContext", {}).get("fsGroup"):
                yield f"{pod}, volume {volume['name']}: not readable by the Pod's group alone"
        for reference in _references(pod, "secretKeyRef"):
            there = reference["key"] in manifests.keys("Secret", reference["name"])
            if not there and not reference.get("optional"):
                yield f"{pod}: Secret {reference['name']} has no {reference['key']}"


def the_plan_finds_its_secrets(manifests: Manifests) -> Iterator[str]:
    """Wherever inithold loads the plan, INITHOLD_SECRETS_DIR holds every file that it names."""
    named = set(re.findall(r"\$\{secret:([\w.-]+)", manifests.plan_text()))
    for pod, container in manifests.containers():
        if not runs_inithold(container):
            continue
        folder = environment(container).get("INITHOLD_SECRETS_DIR", "/run/secrets")
        mount, volume = pod.mounted(container, folder)
        files = {item["path"] for item in volume.get("secret", {}).get("items", [])}
        if mount.get("mountPath") != folder or named - files:
            yield f"{pod}, {container['name']}: {folder} has no {sorted(named - files)}"


def _references(pod: Pod, kind: str) -> Iterator[dict[str, Any]]:
    entries: list[Document] = [entry for container in pod.containers for entry in container.get("env", [])]
    for entry in entries:
        if reference := entry.get("valueFrom", {}).get(kind):
            yield reference
