"""Rules of ours on names: selectors, Services, volumes and ConfigMaps lead somewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kubernetes.manifests import Document, Manifests, Pod


def selectors_match_labels(manifests: Manifests) -> Iterator[str]:
    """A workload selects its own Pods and no other's; a Service and a policy select some."""
    for document in manifests.of("Deployment", "StatefulSet"):
        name, spec = document["metadata"]["name"], document["spec"]
        selected = [pod.name for pod in manifests.pods() if matches(spec["selector"], pod.labels)]
        if selected != [name]:
            yield f"{document['kind']} {name}: selects the Pods of {selected}"
    for document in manifests.of("Service"):
        if len(behind(manifests, document)) != 1:
            yield f"Service {document['metadata']['name']}: not the Pods of one workload are behind it"
    for document in manifests.of("NetworkPolicy"):
        for selector in _selectors(document["spec"]):
            if not any(matches(selector, pod.labels) for pod in manifests.pods()):
                yield f"NetworkPolicy {document['metadata']['name']}: no Pod is {selector}"


def names_lead_somewhere(manifests: Manifests) -> Iterator[str]:
    """Volumes that are mounted, ConfigMaps, the Services of StatefulSets, and one namespace for all."""
    for pod in manifests.pods():
        there = {volume["name"] for volume in pod.spec.get("volumes", [])}
        for container in pod.containers:
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in there:
                    yield f"{pod}, {container['name']}: there is no volume {mount['name']}"
        for volume in pod.spec.get("volumes", []):
            if "configMap" in volume and not manifests.keys("ConfigMap", volume["configMap"]["name"]):
                yield f"{pod}: there is no ConfigMap {volume['configMap']['name']}"
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and claim not in {
                found["metadata"]["name"] for found in manifests.of("PersistentVolumeClaim")
            }:
                yield f"{pod}: there is no claim {claim}"
    services = {document["metadata"]["name"] for document in manifests.of("Service")}
    for document in manifests.of("StatefulSet"):
        if document["spec"]["serviceName"] not in services:
            yield f"StatefulSet {document['metadata']['name']}: its Service is not there"
    namespaces = {document["metadata"]["name"] for document in manifests.of("Namespace")}
    for document in manifests.documents:
        if document["kind"] != "Namespace" and {document["metadata"].get("namespace")} != namespaces:
            yield f"{document['kind']} {document['metadata']['name']}: in no namespace of ours"


def ports_are_there(manifests: Manifests) -> Iterator[str]:
    """What a Service sends on, and what a probe asks, is a port that a container names."""
    for document in manifests.of("Service"):
        for pod in behind(manifests, document):
            for port in document["spec"]["ports"]:
                if port_of(pod, port["targetPort"]) is None:
                    yield f"Service {document['metadata']['name']}: {pod} has no port {port['targetPort']}"
    for pod, container in manifests.containers():
        for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
            for how in ("httpGet", "tcpSocket"):
                asked = container.get(kind, {}).get(how, {}).get("port")
                if asked is not None and port_of(pod, asked) is None:
                    yield f"{pod}, {kind}: there is no port {asked}"


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a label selector takes these labels; an empty one takes all.

    The format: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/

    Raises:
        ValueError: it has an operator that the manifests do not use.
    """
    for expression in selector.get("matchExpressions", []):
        if expression["operator"] != "In":
            raise ValueError(f"operator {expression['operator']}")
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return all(labels.get(name) == value for name, value in selector.get("matchLabels", {}).items())


def behind(manifests: Manifests, service: Document) -> list[Pod]:
    """The Pods that a Service sends to."""
    selector = {"matchLabels": service["spec"]["selector"]}
    return [pod for pod in manifests.pods() if matches(selector, pod.labels)]


def port_of(pod: Pod, port: int | str) -> int | None:
    """The number of a port of a Pod that is given by number or name; None where no container has it."""
    for container in pod.containers:
        for there in container.get("ports", []):
            if port in (there["containerPort"], there.get("name")):
                return int(there["containerPort"])
    return None


def _selectors(spec: Document) -> Iterator[Mapping[str, Any]]:
    yield spec["podSelector"]
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for rule in spec.get(direction, []):
            yield from (
                peer["podSelector"]
                for peer in rule.get(peers, [])
                if "podSelector" in peer and "namespaceSelector" not in peer
            )
