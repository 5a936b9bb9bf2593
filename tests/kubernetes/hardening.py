"""Rules of ours on what a Pod may do and take. Each yields what is wrong, in a line each."""

from __future__ import annotations

from collections.abc import Iterator

from kubernetes.manifests import Manifests


def pods_are_locked_down(manifests: Manifests) -> Iterator[str]:
    """No root, the runtime's seccomp profile, no token, no variables of Services, nothing of the host's."""
    for pod in manifests.pods():
        context = pod.spec.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            yield f"{pod}: may run as root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{pod}: seccompProfile is not RuntimeDefault"
        for switch in ("automountServiceAccountToken", "enableServiceLinks"):
            if pod.spec.get(switch) is not False:
                yield f"{pod}: {switch} is not false"
        for shared in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.spec.get(shared):
                yield f"{pod}: {shared}"
        if any("hostPath" in volume for volume in pod.spec.get("volumes", [])):
            yield f"{pod}: mounts a folder of the host"


def containers_are_locked_down(manifests: Manifests) -> Iterator[str]:
    """No way to more rights, no capability, nothing to write to but its volumes."""
    for pod, container in manifests.containers():
        where, context = f"{pod}, {container['name']}", container.get("securityContext", {})
        if context.get("allowPrivilegeEscalation") is not False:
            yield f"{where}: allowPrivilegeEscalation is not false"
        if context.get("readOnlyRootFilesystem") is not True:
            yield f"{where}: readOnlyRootFilesystem is not true"
        if context.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{where}: keeps capabilities"
        # What is said of the Pod holds, unless a container says otherwise.
        if context.get("privileged") or context.keys() & {"runAsUser", "runAsNonRoot", "seccompProfile"}:
            yield f"{where}: takes back what its Pod says"


def containers_say_what_they_take(manifests: Manifests) -> Iterator[str]:
    """Requests for both, and a limit of memory: one that leaks is ended, not its neighbours."""
    for pod, container in manifests.containers():
        resources = container.get("resources", {})
        if not {"cpu", "memory", "ephemeral-storage"} <= resources.get("requests", {}).keys():
            yield f"{pod}, {container['name']}: requests are missing"
        if "memory" not in resources.get("limits", {}):
            yield f"{pod}, {container['name']}: there is no limit of memory"


def temporary_files_are_in_memory(manifests: Manifests) -> Iterator[str]:
    """What a container writes to besides its claims is bounded and no disk; who needs a /tmp has one."""
    for pod in manifests.pods():
        for volume in pod.spec.get("volumes", []):
            empty = volume.get("emptyDir")
            if empty is not None and (
                "sizeLimit" not in empty or (volume["name"] != "log" and "medium" not in empty)
            ):
                yield f"{pod}, volume {volume['name']}: is not a bounded emptyDir in memory"
    for name in ("init", "bot", "postgres", "rabbitmq"):
        pod = manifests.pod(name)
        mount, _ = pod.mounted(pod.spec["containers"][0], "/tmp")
        if mount.get("mountPath") != "/tmp":
            yield f"{pod}: has no /tmp"


def images_have_a_tag(manifests: Manifests) -> Iterator[str]:
    """`latest` is another image on each node."""
    for pod, container in manifests.containers():
        tag = container["image"].rpartition("/")[2].partition(":")[2]
        if tag in ("", "latest"):
            yield f"{pod}, {container['name']}: image {container['image']} has no tag"
