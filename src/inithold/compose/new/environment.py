"""The variables of a service, and what its URLs point to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inithold.compose.new.text import filled
from inithold.compose.read.environment import read_env_file
from inithold.compose.read.tree import Mapping, Scalar, Sequence

if TYPE_CHECKING:
    from inithold.compose.read.project import Project, Service

SCHEMES = {
    "postgres": "postgresql",
    "postgresql": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "sqlite": "sqlite",
    "amqp": "amqp",
    "amqps": "amqp",
    "redis": "redis",
    "rediss": "redis",
    "http": "http",
    "https": "http",
}
"""Schemes that steps take, and their technology."""
_FOREIGN = {"psql": "postgresql", "mysql2": "mysql", "pyamqp": "amqp", "postgis": "postgresql", "db": "postgresql"}
"""Schemes that frameworks have and steps do not take."""
_URL = re.compile(
    r"(?P<jdbc>jdbc:)?(?P<scheme>[A-Za-z][\w.-]*)(?:\+[\w.-]+)?://(?:(?P<info>[^/?#\s]*)@)?"
    r"(?P<host>\[[^]]*\]|[^:/?#\s@,]*)(?::(?P<port>\d+))?(?:[^/?#\s]*)(?:/(?P<path>[^?#\s]*))?"
)
_EXAMPLES = ("{}.example", "{}.sample", "{}.dist", "{}.template", "{}-example")
# Not what the environment is made of: other tools' tests, and where telemetry goes.
_ASIDE = re.compile(r"(?:^|_)(?:TEST|SHADOW|REPLICA|READ|READONLY|RO)(?:_|$)|^OTEL_|SENTRY_DSN", re.I)


@dataclass(frozen=True, slots=True)
class Url:
    """What a URL in a stack says.

    Args:
        technology: `postgresql`, `mysql`, `sqlite`, `amqp`, `redis`, `http` or the scheme itself.
        usable: a step takes it as it is.
        host: name of the server; empty for a file.
        port: its port, None where it names none.
        path: database, virtual host, file or path.
    """

    technology: str
    usable: bool
    host: str
    port: str | None
    path: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a service.

    Args:
        name: its name.
        text: what the stack gives it, None where it comes from the host or from a file that is not here.
        value: the same, filled in as far as it can be here.
    """

    name: str
    text: str | None
    value: str

    @property
    def url(self) -> Url | None:
        """What it points to, if it is a URL."""
        return read_url(self.value)

    @property
    def aside(self) -> bool:
        """Is it of tests, replicas or telemetry?"""
        return _ASIDE.search(self.name) is not None


class Environment:
    """The variables of a service: `environment` over its `env_file`s.

    Args:
        service: the service.
        project: the stack, for the values that Compose fills in.
    """

    def __init__(self, service: Service, project: Project) -> None:
        self.service = service
        self.unread: list[str] = []
        """Files of variables that are not here; where there is an example beside one, its names are taken."""
        self._variables: dict[str, Variable] = {}
        known = project.variables
        for name, text in self._files():
            self._add(name, text, known)
        environment = service.value("environment")
        for name, value in environment.entries.items() if isinstance(environment, Mapping) else ():
            if isinstance(value, Scalar):
                self._add(name, value.text if value.data is not None else None, known)

    def __contains__(self, name: str) -> bool:
        return name in self._variables

    def __iter__(self) -> Iterator[Variable]:
        return iter(self._variables.values())

    def get(self, name: str) -> Variable | None:
        """The variable of that name."""
        return self._variables.get(name)

    def value(self, name: str) -> str:
        """What it holds, as far as it can be told here; empty where it is absent."""
        found = self._variables.get(name)
        return found.value if found else ""

    def first(self, names: Iterator[str]) -> Variable | None:
        """The first of these that is there."""
        return next((self._variables[name] for name in names if name in self._variables), None)

    def holding(self, text: str, pattern: str) -> Variable | None:
        """A variable, of a name that fits, which holds just what another one in the stack holds."""
        return next((each for each in self if each.text == text and re.search(pattern, each.name, re.I)), None)

    def _add(self, name: str, text: str | None, known: object) -> None:
        variables = known if isinstance(known, dict) else {}
        value = variables.get(name, f"<{name}>") if text is None else filled(text, variables)
        self._variables[name] = Variable(name, text, value)

    def _files(self) -> Iterator[tuple[str, str | None]]:
        files = self.service.value("env_file")
        for item in files.items if isinstance(files, Sequence) else ():
            path = item.get("path") if isinstance(item, Mapping) else item
            if not isinstance(path, Scalar) or "$" in path.text:
                continue
            file = path.place.source.folder / Path(path.text).expanduser()
            if file.is_file():
                yield from read_env_file(file).items()
                continue
            example = _example(file)
            self.unread.append(f"{path.text} is not here{f': names from {example.name}' if example else ''}")
            yield from ((name, None) for name in (read_env_file(example) if example else {}))


def read_url(value: str) -> Url | None:
    """What a URL says; None for what is not one."""
    found = _URL.match(value)
    if found is None:
        return None
    scheme = found["scheme"].lower()
    technology = SCHEMES.get(scheme) or _FOREIGN.get(scheme) or scheme
    usable = scheme in SCHEMES and not found["jdbc"]
    return Url(technology, usable, found["host"] or "", found["port"], found["path"] or "")


def _example(file: Path) -> Path | None:
    named = [file.with_name(form.format(file.name)) for form in _EXAMPLES]
    return next((path for path in named if path.is_file()), None)
