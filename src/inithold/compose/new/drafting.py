"""Puts a draft together: servers first, then what the commands do, in their order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from inithold.compose.new.choosing import choose
from inithold.compose.new.commands import waits as waiting
from inithold.compose.new.conceal import Concealer
from inithold.compose.new.connecting import Connection, administrative, connections
from inithold.compose.new.environment import Environment
from inithold.compose.new.files import alembic_config
from inithold.compose.new.model import Draft, DraftStep, Dropped, Notes, Wait
from inithold.compose.new.naming import slug, unique
from inithold.compose.new.needing import missing
from inithold.compose.new.reading import Reading, read_command
from inithold.compose.new.servers import Search, Server
from inithold.errors import UsageError

if TYPE_CHECKING:
    from inithold.compose.read.project import Service
    from inithold.compose.stack.roles import Stack

_READY = {
    "postgresql": ("database.ready", "database"),
    "mysql": ("database.ready", "database"),
    "sqlite": ("database.ready", "database"),
    "amqp": ("rabbitmq.ready", "broker"),
    "redis": ("redis.ready", "cache"),
}
_DATABASES = ("postgresql", "mysql", "sqlite")


def draft(stack: Stack, files: Sequence[str], name: str | None = None) -> Draft:
    """Draft the plan of a stack's init service.

    Args:
        stack: the stack.
        files: its files, as the user would name them.
        name: the init service, None where the stack shall tell.

    Raises:
        UsageError: there is no such service, none that looks like an init service, or nothing to draft.
    """
    service, chosen = choose(stack, name, files)
    return _Drafting(stack, service, chosen, list(files)).draft()


class _Drafting:
    def __init__(self, stack: Stack, service: Service, chosen: list[str], files: list[str]) -> None:
        self._stack = stack
        self._service = service
        self._notes = Notes(chosen)
        self._own = Environment(service, stack.project)
        self._others = [Environment(each, stack.project) for each in self._beside()]
        self._concealer = Concealer(self._own, self._others)
        self._steps: list[DraftStep] = []
        self._needs: dict[str, str] = {}
        """Id of the ready step of each technology's first server."""
        self._main: tuple[Server, Connection] | None = None
        self._brokers: list[tuple[Server, Connection]] = []
        self._files = files

    def draft(self) -> Draft:
        """The draft."""
        reading = read_command(self._service, self._own, self._concealer)
        waits = [item for item in reading.items if isinstance(item, Wait) and not waiting.is_own(item.host)]
        search = Search(self._stack, self._service, self._own, self._notes)
        servers = search.everything(waits, reading.shown)
        for server in servers:
            self._ready(server, alone=sum(each.technology == server.technology for each in servers) == 1)
        self._files_waited_for(waits)
        ready = [step.id for step in self._steps]
        self._commands(reading, ready)
        if not self._steps:
            raise self._nothing(reading)
        self._notes.unknown += [*self._own.unread, *reading.unknown]
        self._say(reading)
        later = self._later(reading)
        name = slug(self._stack.project.name) or "environment"
        lock = self._lock()
        self._notes.needed += missing(self._steps, lock, self._own, self._others, self._concealer.replaced)
        entrypoint = self._service.value("entrypoint") is not None
        return Draft(name, self._service.name, entrypoint, self._files, lock, self._steps, later, self._notes)

    def _nothing(self, reading: Reading) -> UsageError:
        said = [*self._notes.chosen, *self._notes.unknown, *self._own.unread, *reading.unknown]
        if reading.plan is not None:
            said.append(f"it runs inithold already, with {reading.plan}")
        return UsageError(
            "\n  ".join([f"nothing in {', '.join(self._files)} tells what {self._service.name} does", *said]),
            hint="name another service with --service, or write the plan by hand: inithold kinds lists the steps",
        )

    def _beside(self) -> Iterator[Service]:
        """The other services, those that start after init first."""
        name = self._service.name
        others = [each for each in self._stack.project.services.values() if each is not self._service]
        return iter(sorted(others, key=lambda each: name not in self._stack.reaches(each.name)))

    def _add(self, step: DraftStep) -> DraftStep:
        step.id = unique(step.id, [each.id for each in self._steps])
        self._steps.append(step)
        return step

    def _ready(self, server: Server, *, alone: bool) -> None:
        why = "; ".join(server.why)
        if server.technology == "tcp":
            address = f"{server.name}:{server.port}"
            self._add(DraftStep(slug(server.name), "tcp.ready", {"address": address}, [why], needs=[]))
            return
        if server.technology == "http":
            self._http(server, why)
            return
        uses, step_id = _READY[server.technology]
        found = (
            [Connection({"url": f"${{{server.name}}}"}, "", server.name, server.name)]
            if server.technology == "sqlite"
            else connections(server, self._own, self._others, alone=alone)
        )
        for connection in found:
            taken = any(each.id == step_id for each in self._steps)
            named = slug(connection.database or server.name) if len(found) > 1 or taken else ""
            wanted = f"{step_id}-{named}" if taken and named else step_id
            reason = why if connection.variable and connection.variable in why else f"{why}; {connection.why}"
            self._add(DraftStep(wanted, uses, _fields(connection), [reason], needs=[]))
            if server.technology in _DATABASES and self._main is None:
                self._main = (server, connection)
            if server.technology == "amqp":
                self._brokers.append((server, connection))
            self._needs.setdefault(uses, self._steps[-1].id)

    def _http(self, server: Server, why: str) -> None:
        scheme, separator, host = server.name.rpartition("://")
        port = f":{server.port}" if server.port and server.port != "80" else ""
        url = f"{scheme or 'http'}{separator or '://'}{host}{port}{server.path}"
        self._add(DraftStep(slug(host), "http.ready", {"url": url}, [why], needs=[]))

    def _files_waited_for(self, waits: list[Wait]) -> None:
        for wait in waits:
            if wait.technology == "file" and wait.path:
                why = f"{wait.how} waits for it"
                self._add(DraftStep("file", "file.ready", {"path": wait.path}, [why], needs=[]))

    def _commands(self, reading: Reading, ready: list[str]) -> None:
        steps = [item for item in reading.items if isinstance(item, DraftStep)]
        migrates = any(step.uses == "alembic.upgrade" or step.id == "migrate" for step in steps)
        guess = None if migrates else alembic_config(self._service, self._stack.project)
        if guess is not None:
            why = [f"{guess[0]} is {guess[1]}"]
            if steps:
                run = steps[0].fields.get("run")
                shown = " ".join(run) if isinstance(run, list) else str(run).partition("\n")[0]
                why.append(f"take it out if `{shown}` migrates by itself")
            steps.insert(0, DraftStep("migrate", "alembic.upgrade", {"config": guess[0]}, why))
        waited: set[str] = set()
        above: str | None = None
        for step in steps:
            needs = self._needed(step, ready)
            self._connect(step)
            added = self._add(step)
            fresh = [each for each in needs if each not in waited]
            added.needs = None if above and not fresh else [*([above] if above else []), *fresh]
            waited |= set(needs)
            above = added.id
        self._drop_needless()

    def _needed(self, step: DraftStep, ready: list[str]) -> list[str]:
        wanted = {"alembic.upgrade": "database.ready", "rabbitmq.topology": "rabbitmq.ready"}.get(step.uses)
        if wanted is None:
            return ready
        return [self._needs[wanted]] if wanted in self._needs else []

    def _drop_needless(self) -> None:
        """The first step needs nothing, and one that needs just the step above does not have to say so."""
        for above, step in zip([None, *self._steps], self._steps, strict=False):
            if step.needs == ([above.id] if above else []):
                step.needs = None

    def _connect(self, step: DraftStep) -> None:
        if step.uses == "alembic.upgrade" and self._main is not None:
            server, connection = self._main
            other = administrative(server, self._own, connection) if connection.variable else None
            if other is not None:
                step.why.append(other.why)
            if not any(argument.startswith("url=") for argument in step.fields.get("x", [])):
                step.fields |= self._address(server, other or connection)
        if step.uses == "rabbitmq.topology" and self._brokers:
            server, connection = self._brokers[0]
            management = self._management(server)
            step.fields = {**_fields(connection), **management, **step.fields}
            if not management:
                step.todo.append("management_url: http://...:15672, so that all of it can be compared")

    def _address(self, server: Server, connection: Connection) -> dict[str, Any]:
        # Parts alone would mean PostgreSQL, as they do for the ready step.
        return _fields(connection) if server.technology in _DATABASES else {}

    def _management(self, server: Server) -> dict[str, str]:
        for variable in self._own:
            url = variable.url
            if url is not None and url.technology == "http" and url.host == server.name:
                return {"management_url": f"${{{variable.name}}}"}
        return {}

    def _lock(self) -> str | None:
        if self._main is None or self._main[0].technology != "postgresql":
            return None
        server, connection = self._main
        if re.search(r"bouncer|pgcat|pgpool", server.name) or any("bouncer" in why for why in server.why):
            self._notes.unknown.append(f"lock: {server.name} pools connections; a lock needs the database itself")
            return None
        return connection.url("postgresql")

    def _later(self, reading: Reading) -> list[str]:
        """Steps that are likely and whose contents nothing in the stack tells, as comments."""
        lines: list[str] = []
        topology = any(isinstance(item, DraftStep) and item.uses == "rabbitmq.topology" for item in reading.items)
        if self._brokers and not topology:
            server, connection = self._brokers[0]
            fields = {**connection.fields, **self._management(server)}
            lines += [
                "- id: topology   # exchanges and queues, if init makes them: nothing in the stack tells which"
            ]
            lines += ["  uses: rabbitmq.topology", f"  needs: [{self._needs['rabbitmq.ready']}]", "  with:"]
            lines += [f"    {key}: {value}" for key, value in fields.items()]
            lines += ["    queues: [{name: ...}]"]
            self._notes.unknown.append(
                "topology: which exchanges and queues init makes; a commented step has room"
            )
        return lines

    def _say(self, reading: Reading) -> None:
        for step in self._steps:
            self._notes.guessed.append(f"{step.id} ({step.uses}): {'; '.join(step.why)}")
        for item in reading.items:
            if isinstance(item, Dropped):
                self._notes.guessed.append(f"left out `{item.what}`: {item.why}")
        if reading.plan is not None:
            self._notes.chosen.append(
                f"it runs inithold already, with {reading.plan}: the draft shows what the stack alone tells"
            )
        for step in self._steps:
            if any(todo.startswith("unless") for todo in step.todo):
                self._notes.unknown.append(f"{step.id}: how to see that it is done already (TODO unless)")


def _fields(connection: Connection) -> dict[str, Any]:
    return {
        key: int(value) if key == "port" and value.isdigit() else value for key, value in connection.fields.items()
    }
