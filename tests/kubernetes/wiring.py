"""Rules of ours on init and its dependents: one init, patient probes on the right marker, a gate before each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from inithold.marker.file import DEFAULT
from kubernetes.manifests import Document, Manifests, Pod, environment, runs_inithold

SLACK = 30
"""Seconds that Kubernetes leaves init beyond the plan's own timeout: to say what it could not do, and to end."""


def init_is_one(manifests: Manifests) -> Iterator[str]:
    """One workload runs the plan: a Deployment of one that is recreated, or a Job; and the plan has a lock."""
    runs = [pod for pod in manifests.pods() if any("run" in c["command"] for c in _of_inithold(pod))]
    if [pod.name for pod in runs] != ["init"]:
        yield f"init is run by {[str(pod) for pod in runs]}"
    for document in manifests.of("Deployment"):
        name, spec = document["metadata"]["name"], document["spec"]
        if name == "init" and (spec.get("replicas") != 1 or spec.get("strategy") != {"type": "Recreate"}):
            yield "Deployment init: not one that is recreated"
    if manifests.plan().lock is None:
        yield "the plan has no lock: a node that is cut off still runs its Pod"


def the_plan_is_mounted(manifests: Manifests) -> Iterator[str]:
    """INITHOLD_PLAN is a key of the ConfigMap, mounted as a folder: a file by `subPath` never changes."""
    for pod, container in manifests.containers():
        if not runs_inithold(container):
            continue
        path = environment(container).get("INITHOLD_PLAN", "")
        mount, volume = pod.mounted(container, path)
        name = volume.get("configMap", {}).get("name", "")
        if name != "init-plan" or "subPath" in mount:
            yield f"{pod}, {container['name']}: {path or 'INITHOLD_PLAN'} is not on the ConfigMap's folder"
        elif str(Path(path).relative_to(mount["mountPath"])) not in manifests.keys("ConfigMap", name):
            yield f"{pod}, {container['name']}: ConfigMap {name} has no {Path(path).name}"


def probes_look_at_the_marker(manifests: Manifests) -> Iterator[str]:
    """A held init has a startup and a readiness probe, each `inithold health` on the marker that `run` makes."""
    for container in _held(manifests):
        made = _marker(container["command"], container)
        for kind in ("startupProbe", "readinessProbe"):
            command = container.get(kind, {}).get("exec", {}).get("command", [])
            if command[:2] != ["inithold", "health"]:
                yield f"init, {kind}: it is not `inithold health`"
            elif (seen := _marker(command, container)) != made:
                yield f"init, {kind}: it looks at {seen}, and run makes {made}"
        _, volume = manifests.pod("init").mounted(container, str(Path(made).parent))
        if volume.get("emptyDir", {}).get("medium") != "Memory":
            yield f"init: the marker {made} is not on an emptyDir in memory"


def probes_are_patient(manifests: Manifests) -> Iterator[str]:
    """Startup lasts longer than the plan may take; later probes are few; nothing ends an init that is at work."""
    needed = (manifests.plan().timeout or 0) + SLACK
    for container in _held(manifests):
        startup, readiness = container.get("startupProbe", {}), container.get("readinessProbe", {})
        covered = startup.get("periodSeconds", 10) * startup.get("failureThreshold", 3)
        if covered < needed - SLACK:
            yield f"init, startupProbe: covers {covered} s of {needed - SLACK:g} s"
        if startup.get("timeoutSeconds", 1) <= _waits(startup):
            yield "init, startupProbe: timeoutSeconds is not longer than the probe waits"
        if startup.get("periodSeconds", 10) > 2:
            yield "init, startupProbe: a dependent waits for its period"
        if readiness.get("periodSeconds", 10) < 5:
            yield "init, readinessProbe: each exec costs processor time, forever"
        if readiness.get("periodSeconds", 10) > 10:
            yield "init, readinessProbe: after a start of the kubelet, Ready comes late by up to a period"
        if "livenessProbe" in container:
            yield "init: a liveness probe can only kill an init that is at work"
    for document in manifests.of("Deployment"):
        if document["spec"].get("progressDeadlineSeconds", 600) < needed:
            yield f"Deployment {document['metadata']['name']}: gives up before init does"


def the_job_leaves_retries_to_init(manifests: Manifests) -> Iterator[str]:
    """A Job runs once, ends on the exit codes that trying again cannot help, and outlasts the plan's timeout."""
    for document in manifests.of("Job"):
        spec, pod = document["spec"], manifests.pod(document["metadata"]["name"])
        (container,) = pod.containers
        if container["command"] != ["inithold", "run", "--once"]:
            yield f"{pod}: does not end"
        if any(kind.endswith("Probe") for kind in container):
            yield f"{pod}: nobody vouches for a marker after --once, so no probe can succeed"
        if pod.spec.get("restartPolicy") != "Never":
            yield f"{pod}: restartPolicy must be Never for a podFailurePolicy"
        if _codes_that_end(spec) != {1, 2} or not _ignores_disruption(spec):
            yield f"{pod}: podFailurePolicy must end at exit 1 and 2, and ignore a disruption"
        if spec.get("backoffLimit", 6) > 2:
            yield f"{pod}: retries are made in the process"
        if spec.get("activeDeadlineSeconds", 0) < (manifests.plan().timeout or 0) + SLACK:
            yield f"{pod}: activeDeadlineSeconds ends it before its plan's timeout"


def dependents_are_gated(manifests: Manifests) -> Iterator[str]:
    """First of all, each waits with the plan of init, from the image that it then runs."""
    for pod in manifests.pods():
        if pod.name == "init" or pod.kind == "StatefulSet":
            continue
        first = pod.containers[0]
        if first not in pod.spec.get("initContainers", []) or first["command"][:2] != ["inithold", "wait"]:
            yield f"{pod}: nothing makes it wait"
        elif "--" in first["command"] or any("://" in word for word in first["command"]):
            yield f"{pod}: its gate does not wait for the plan"
        elif {first["image"]} != {container["image"] for container in pod.spec["containers"]}:
            yield f"{pod}: its gate is of another image, with other revisions"


def _of_inithold(pod: Pod) -> list[Document]:
    return [container for container in pod.containers if runs_inithold(container)]


def _held(manifests: Manifests) -> list[Document]:
    pod = manifests.pod("init")
    return _of_inithold(pod) if pod.kind == "Deployment" else []


def _marker(command: list[str], container: Document) -> str:
    words = dict(pairwise(command))
    return words.get("--marker") or environment(container).get("INITHOLD_MARKER") or DEFAULT


def _waits(probe: Document) -> float:
    found = re.search(r"--wait=(\d+)s", " ".join(probe.get("exec", {}).get("command", [])))
    return float(found[1]) if found else 0.0


def _rules(spec: Document) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = spec.get("podFailurePolicy", {}).get("rules", [])
    return found


def _codes_that_end(spec: Document) -> set[int]:
    return {
        code
        for rule in _rules(spec)
        if rule["action"] == "FailJob" and rule.get("onExitCodes", {}).get("operator") == "In"
        for code in rule["onExitCodes"]["values"]
    }


def _ignores_disruption(spec: Document) -> bool:
    # The first rule that matches is what counts.
    conditions = [
        {condition["type"] for condition in rule.get("onPodConditions", [])} for rule in _rules(spec)[:1]
    ]
    return conditions == [{"DisruptionTarget"}] and _rules(spec)[0]["action"] == "Ignore"


def containers_tell_why_they_ended(manifests: Manifests) -> Iterator[str]:
    """`kubectl describe` shows the end of the log where the container itself has left no message."""
    for pod, container in manifests.containers():
        if container.get("terminationMessagePolicy") != "FallbackToLogsOnError":
            yield f"{pod}, {container['name']}: terminationMessagePolicy is not FallbackToLogsOnError"


def what_only_waits_can_be_drained(manifests: Manifests) -> Iterator[str]:
    """A gate mounts no emptyDir: `kubectl drain` refuses a Pod that has one unless it is told to delete it."""
    for pod, container in manifests.containers():
        if container.get("command", [])[:2] == ["inithold", "wait"]:
            for mount in container.get("volumeMounts", []):
                if "emptyDir" in pod.volume(mount["name"]):
                    yield f"{pod}, {container['name']}: mounts the emptyDir {mount['name']}"


def replicas_are_apart(manifests: Manifests) -> Iterator[str]:
    """What has several Pods has them on several nodes, and a budget that a drain keeps."""
    budgets = []
    for document in manifests.of("PodDisruptionBudget"):
        budgets.append(document["spec"]["selector"])
        if document["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield f"PodDisruptionBudget {document['metadata']['name']}: Pods that are not ready keep a node"
    for document in manifests.of("Deployment"):
        name, spec = document["metadata"]["name"], document["spec"]
        if spec.get("replicas", 1) < 2:
            continue
        if not spec["template"]["spec"].get("topologySpreadConstraints"):
            yield f"Deployment {name}: all its Pods may be on one node"
        if spec["selector"] not in budgets:
            yield f"Deployment {name}: no PodDisruptionBudget"


VERSION = "app.kubernetes.io/version"


def workloads_say_their_version(manifests: Manifests) -> Iterator[str]:
    """A workload and its Pods carry the same version, which the tag of the image begins with."""
    for document in manifests.of("Deployment", "StatefulSet", "Job"):
        where, template = f"{document['kind']} {document['metadata']['name']}", document["spec"]["template"]
        version = document["metadata"]["labels"].get(VERSION)
        tag = template["spec"]["containers"][0]["image"].rpartition(":")[2]
        if not version or template["metadata"]["labels"].get(VERSION) != version:
            yield f"{where}: it and its Pods do not say the same {VERSION}"
        elif tag.partition("-")[0] != version:
            yield f"{where}: version {version}, and image {tag}"
