"""Rules of ours on NetworkPolicies: closed by default, open for what is needed, and no more."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from kubernetes.manifests import Document, Manifests, Pod, environment, runs_inithold
from kubernetes.references import behind, matches, port_of

_ADDRESS = re.compile(r"@([\w.-]+):(\d+)\b")


class Connection(NamedTuple):
    """What one Pod needs of another."""

    client: Pod
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.client} to {self.host}:{self.port}"


def nothing_is_open_by_default(manifests: Manifests) -> Iterator[str]:
    """One policy takes every Pod, for both directions, and allows nothing."""
    for spec in _policies(manifests):
        closed = not spec.get("ingress") and not spec.get("egress")
        if spec["podSelector"] == {} and closed and {*spec["policyTypes"]} == {"Ingress", "Egress"}:
            return
    yield "no policy closes every Pod in both directions"


def what_is_needed_is_open(manifests: Manifests) -> Iterator[str]:
    """Names can be asked for; each address of the plan and of the services is let out there and let in here."""
    for pod in manifests.pods():
        if not any(
            _lets(rule, 53) and "namespaceSelector" in str(rule) for rule in _rules(manifests, pod, "egress")
        ):
            yield f"{pod}: may not ask for names"
    services = {document["metadata"]["name"]: document for document in manifests.of("Service")}
    for needed in _needed(manifests):
        if needed.host not in services:
            yield f"{needed}: there is no such Service"
            continue
        for server in behind(manifests, services[needed.host]):
            yield from _closed(manifests, needed, services[needed.host], server)
    for service in services.values():
        for pod in behind(manifests, service):
            for port in service["spec"]["ports"]:
                number = port_of(pod, port["targetPort"])
                if not any(_lets(rule, number) for rule in _rules(manifests, pod, "ingress")):
                    yield f"{pod}: nothing may reach its port {port['targetPort']}"


def what_is_open_is_used(manifests: Manifests) -> Iterator[str]:
    """A port that is let in is one that a container has; one that is let out to a Pod, too; and each is needed."""
    needed = {(connection.client.name, connection.host, connection.port) for connection in _needed(manifests)}
    for server in manifests.pods():
        for rule in _rules(manifests, server, "ingress"):
            for port in rule.get("ports", [{}]):
                if port_of(server, port.get("port", 0)) is None:
                    yield f"{server}: lets in {port.get('port', 'every port')}, which it does not have"
        for client in manifests.pods():
            for rule in _rules(manifests, client, "egress"):
                if not _meets(rule, "to", server, named=True):
                    continue
                for port in rule.get("ports", [{}]):
                    if (client.name, server.name, port.get("port")) not in needed:
                        yield f"{client}: lets out {port.get('port', 'every port')} of {server.name}, unused"


def _closed(manifests: Manifests, needed: Connection, service: Document, server: Pod) -> Iterator[str]:
    targets = [port["targetPort"] for port in service["spec"]["ports"] if port["port"] == needed.port]
    if not targets:
        yield f"{needed}: the Service has no such port"
        return
    number = port_of(server, targets[0])
    out, into = _rules(manifests, needed.client, "egress"), _rules(manifests, server, "ingress")
    if not any(_lets(rule, number) and _meets(rule, "to", server) for rule in out):
        yield f"{needed}: not let out"
    if not any(_lets(rule, number) and _meets(rule, "from", needed.client) for rule in into):
        yield f"{needed}: not let in"


def _needed(manifests: Manifests) -> list[Connection]:
    found: set[tuple[str, str, int]] = set()
    for pod, container in manifests.containers():
        texts = [value for value in environment(container).values() if "://" in value]
        addresses = {(host, int(port)) for text in texts for host, port in _ADDRESS.findall(text)}
        if runs_inithold(container):
            addresses |= _of_plan(manifests)
        found |= {(pod.name, host, port) for host, port in addresses}
    return [Connection(manifests.pod(name), host, port) for name, host, port in sorted(found)]


def _of_plan(manifests: Manifests) -> set[tuple[str, int]]:
    plan = manifests.plan()
    urls = {
        plan.lock,
        *(getattr(step.step, name, None) for step in plan.steps for name in ("url", "management_url")),
    }
    parts = [urlsplit(url) for url in urls if url]
    return {(part.hostname or "", part.port or 0) for part in parts}


def _policies(manifests: Manifests) -> list[Document]:
    return [document["spec"] for document in manifests.of("NetworkPolicy")]


def _rules(manifests: Manifests, pod: Pod, direction: str) -> list[Mapping[str, Any]]:
    return [
        rule
        for spec in _policies(manifests)
        if matches(spec["podSelector"], pod.labels) and direction.capitalize() in spec["policyTypes"]
        for rule in spec.get(direction, [])
    ]


def _lets(rule: Mapping[str, Any], number: int | None) -> bool:
    return "ports" not in rule or any(port.get("port") == number for port in rule["ports"])


def _meets(rule: Mapping[str, Any], peers: str, pod: Pod, *, named: bool = False) -> bool:
    """Whether a rule is for a Pod of ours; with `named`, not merely for everybody."""
    if peers not in rule:
        return not named
    return any(
        "podSelector" in peer and "namespaceSelector" not in peer and matches(peer["podSelector"], pod.labels)
        for peer in rule[peers]
    )
