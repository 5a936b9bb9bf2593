"""The servers that an init service needs: what it depends on, what its variables and commands name, and what the
services behind it use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inithold.compose.new.environment import Environment
from inithold.compose.new.images import TELEMETRY, Known, image_name, known
from inithold.compose.new.model import Notes, Wait
from inithold.compose.new.text import filled
from inithold.compose.read.tree import Mapping, Scalar, Sequence
from inithold.compose.stack.roles import named_for_init

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.stack.roles import Stack

_PROBED = re.compile(
    r"(https?)://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\$\$?\{?HOSTNAME\}?)(?::(\d+))?(/[^\s'\"|;)]*)?"
)
_PROBED_PORT = re.compile(
    r"\b(?:nc|ncat)\s+(?:-\S+\s+)*(?:localhost|127\.0\.0\.1)\s+(\d+)|/dev/tcp/(?:localhost|127\.0\.0\.1)/(\d+)"
)
_PLACE = re.compile(r"([\w.-]+):(\d{3,5})(?=[,/\s]|\Z)")
_COCKROACH = 26257
_USUAL = ("5432", "3306", "6379")
_SHOWN = {"http": "http", "https": "http"}


@dataclass(slots=True)
class Server:
    """A server.

    Args:
        name: of its host.
        technology: `postgresql`, `mysql`, `amqp`, `redis`, `sqlite`, `http` or `tcp`.
        port: its port, None for the usual one.
        path: for `http`, what to ask for.
        environment: its own variables, None where it is not of this stack.
        why: what speaks for it.
    """

    name: str
    technology: str
    port: str | None = None
    path: str = ""
    environment: Environment | None = None
    why: list[str] = field(default_factory=list)
    usual: int | None = None
    """The port it has where the stack says nothing, if a step would not know it."""


class Search:
    """Looks for the servers of an init service.

    Args:
        stack: the stack.
        service: the init service.
        own: its variables.
        notes: where it says what it left out.
    """

    def __init__(self, stack: Stack, service: Service, own: Environment, notes: Notes) -> None:
        self._stack = stack
        self._service = service
        self._own = own
        self._notes = notes
        self._services = stack.project.services
        self.found: dict[str, Server] = {}
        self._strange: list[tuple[Service, str]] = []
        self.passed: set[str] = set()
        """Hosts of the stack that were looked at and left out."""

    def everything(self, waits: list[Wait], shown: str) -> list[Server]:
        """The servers in the order of a plan.

        Args:
            waits: what the commands wait for.
            shown: the commands.
        """
        self._dependencies()
        self._variables()
        self._waits(waits)
        for target, said in self._strange:
            if target.name not in self.found:
                self._unknown(target, said)
        self._behind()
        for server in self.found.values():
            if server.technology in ("http", "tcp"):
                server.port = server.port or self._port(server, shown)
            if server.port is None and server.usual is not None:
                server.port = str(server.usual)
        order = ("postgresql", "mysql", "sqlite", "amqp", "redis")
        ranks = {technology: rank for rank, technology in enumerate(order)}
        return sorted(self.found.values(), key=lambda each: ranks.get(each.technology, len(order)))

    def _dependencies(self) -> None:
        name = self._service.name
        for dependency in self._stack.dependencies.get(name, ()):
            target = self._services.get(dependency.target)
            if target is None:
                self._notes.unknown.append(
                    f"{dependency.target}: {name} depends on it, and it is not in these files"
                )
                continue
            said = f"{name} depends on {target.name}"
            if not self._add(target, said):
                self._strange.append((target, said))

    def _add(self, target: Service, said: str) -> bool:
        if target.name in self.found:
            return True
        image = filled(target.text("image") or "", self._stack.project.variables)
        what = known(image)
        if what is None:
            return False
        environment = Environment(target, self._stack.project)
        path, port = what.path, None
        if what.technology in ("http", "tcp") and (probed := _probed(target)) is not None:
            what, port, path = probed[0], probed[1], probed[2]
        why = f"{said} (image {image_name(image)})"
        usual = what.port if what.technology in ("http", "tcp") or what.port == _COCKROACH else None
        self.found[target.name] = Server(target.name, what.technology, port, path, environment, [why], usual)
        return True

    def _unknown(self, target: Service, said: str) -> None:
        self.passed.add(target.name)
        image = filled(target.text("image") or "", self._stack.project.variables)
        if target.name in self._stack.inits or (named_for_init(target.name) and not target.value("ports")):
            self._notes.unknown.append(
                f"{target.name}: {said}, and it is an init service itself; what it does may become steps of this "
                f"plan: inithold new --service {target.name} -o -"
            )
            return
        if TELEMETRY.match(image_name(image)) or self._is_telemetry(target.name):
            self._notes.unknown.append(f"{target.name}: left out, nothing waits for telemetry")
            return
        probed = _probed(target)
        if probed is not None:
            why = f"{said}; asked as its own healthcheck does"
            self.found[target.name] = Server(target.name, probed[0].technology, probed[1], probed[2], None, [why])
            return
        port = self._pointed(target.name) or _exposed(target)
        if port is not None:
            why = f"{said}; what it speaks is not known"
            self.found[target.name] = Server(target.name, "tcp", port, "", None, [why])
            return
        self._notes.unknown.append(
            f"{target.name}: {said}; how to see that it is ready is not known; `depends_on` may wait for it"
        )

    def _is_telemetry(self, host: str) -> bool:
        pointing = [each for each in self._own if (url := each.url) is not None and url.host == host]
        return bool(pointing) and all(each.aside for each in pointing)

    def _pointed(self, host: str) -> str | None:
        ports = [url.port for each in self._own if (url := each.url) is not None and url.host == host and url.port]
        return ports[0] if ports else None

    def _variables(self) -> None:
        for variable in self._own:
            url = variable.url
            if url is None or variable.aside or "<" in url.host:
                continue
            target = self._services.get(url.host)
            said = f"{variable.name} of {self._service.name} points to it"
            if target is not None:
                self._add(target, said)
            elif url.technology == "sqlite" and url.usable:
                self.found.setdefault(
                    variable.name, Server(variable.name, "sqlite", why=[f"{variable.name} names it"])
                )
            elif url.usable and url.host and url.technology in ("postgresql", "mysql", "amqp", "redis"):
                self.found.setdefault(
                    url.host, Server(url.host, url.technology, url.port, why=[f"{said}; it is not in this stack"])
                )

    def _waits(self, waits: list[Wait]) -> None:
        for wait in waits:
            host = self._host(wait.host)
            if host in self._services and self._add(self._services[host], f"{wait.how} waits for {host}"):
                server = self.found[host]
                if wait.technology in ("http", "https") and server.technology == "tcp":
                    server.technology, server.path = "http", wait.path
                    server.port = wait.port or server.port
                elif server.technology in ("postgresql", "mysql", "redis") and (wait.port or "").isdigit():
                    server.port = wait.port if wait.port not in _USUAL else None
                continue
            if not host or host in self.found or wait.technology == "file":
                continue
            if host in self._services and _probed(self._services[host]) is not None:
                self._strange.append((self._services[host], f"{wait.how} waits for {host}"))
                continue
            technology = _SHOWN.get(wait.technology, wait.technology)
            if technology not in ("http", "tcp", "postgresql", "mysql", "amqp", "redis"):
                technology = "tcp"
            if technology == "tcp" and wait.port is None:
                continue
            self.passed.discard(host)
            scheme = "https://" if wait.technology == "https" else ""
            self.found[host] = Server(
                f"{scheme}{host}", technology, wait.port, wait.path, None, [f"{wait.how} waits for it"]
            )

    def _host(self, text: str) -> str:
        name = re.fullmatch(r"\$\$?\{?(\w+)[^}]*\}?", text)
        return self._own.value(name[1]) or text.replace("$$", "$") if name else text

    def _behind(self) -> None:
        """Servers that only the services behind init use: the environment is not ready without them."""
        for other in self._dependents():
            if other.name in self._stack.inits:
                continue
            for dependency in self._stack.dependencies.get(other.name, ()):
                target = self._services.get(dependency.target)
                if target is None or target.name in self.found or target.name in self.passed:
                    continue
                if target is self._service or target.name in self._stack.inits:
                    continue
                image = filled(target.text("image") or "", self._stack.project.variables)
                if known(image) is None:
                    continue
                if not _networks(self._service) & _networks(target):
                    self.passed.add(target.name)
                    self._notes.unknown.append(
                        f"{target.name}: {other.name} depends on it; init shares no network with it"
                    )
                    continue
                self._add(target, f"{other.name}, which starts after init, depends on {target.name}")

    def _dependents(self) -> Iterator[Service]:
        name = self._service.name
        for other in self._services.values():
            if name in self._stack.reaches(other.name):
                yield other

    def _port(self, server: Server, shown: str) -> str | None:
        texts = [variable.value for variable in self._own] + [shown]
        for text in texts:
            if server.technology == "tcp" and text.startswith(("http://", "https://")):
                continue
            for found in _PLACE.finditer(text):
                if found[1] == server.name:
                    return found[2]
        return None


def _probed(target: Service) -> tuple[Known, str, str] | None:
    """Port and path that a service's own healthcheck asks for."""
    test = target.value("healthcheck", "test")
    text = (
        " ".join(item.text for item in test.items if isinstance(item, Scalar))
        if isinstance(test, Sequence)
        else ""
    )
    text = text or (test.text if isinstance(test, Scalar) else "")
    if found := _PROBED.search(text):
        if found[1] == "https":
            return None
        port = found[2] or "80"
        return Known("http", int(port)), port, found[3] or "/"
    if found := _PROBED_PORT.search(text):
        port = found[1] or found[2]
        return Known("tcp", int(port)), port, ""
    return None


def _exposed(target: Service) -> str | None:
    for key in ("expose", "ports"):
        listed = target.value(key)
        for item in listed.items if isinstance(listed, Sequence) else ():
            if isinstance(item, Mapping):
                inner = item.get("target")
                text = inner.text if isinstance(inner, Scalar) else ""
            else:
                text = item.text.partition("/")[0].rpartition(":")[2] if isinstance(item, Scalar) else ""
            if text.isdigit():
                return text
    return None


def _networks(service: Service) -> set[str]:
    value = service.value("networks")
    return set(value.entries) if isinstance(value, Mapping) and value.entries else {"default"}
