"""The variables of a service, and the servers that their URLs point to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from inithold.compose.read.environment import fill, read_env_file
from inithold.compose.read.tree import Mapping, Scalar, Sequence
from inithold.text.url import Address, parse

if TYPE_CHECKING:
    from inithold.compose.read.project import Project, Service

_EXAMPLES = ("{}.example", "{}.sample", "{}.dist", "{}.template", "{}-example")
# Not of the environment that init makes: other tools' databases, and where telemetry goes.
_ASIDE = re.compile(r"(?:^|_)(?:TEST|SHADOW|REPLICA|READ|READONLY|RO)(?:_|$)|^OTEL_|SENTRY_DSN", re.I)
_UNKNOWN_PORT = re.compile(r":\$\{[^{}]*\}(?=[/?]|\Z)")
_UNKNOWN = re.compile(r"\$\{(\w+)[^{}]*\}")


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """A variable of a service.

    Args:
        name: its name.
        text: what the stack gives it, as written; None where the host does, or a file that is not here.
        value: the same as far as it is known here: `${NAME}` stands for what is not.
    """

    name: str
    text: str | None
    value: str

    @property
    def jdbc(self) -> bool:
        """Is it a URL of Java's, which no step takes?"""
        return self.value.startswith("jdbc:")

    @property
    def address(self) -> Address | None:
        """What it points to, where it is a URL; the parts that are not known hold `${NAME}`."""
        if _ASIDE.search(self.name):
            return None
        try:
            return parse(_UNKNOWN_PORT.sub("", self.value.removeprefix("jdbc:")))
        except ValueError:
            return None


class Environment(dict[str, Variable]):
    """The variables of a service by name: `environment` over its `env_file`s."""

    def __init__(self, service: Service, project: Project) -> None:
        super().__init__()
        self.service = service
        self.unread: list[str] = []
        """Files of variables that are not here; where there is an example beside one, its names are taken."""
        for name, text in self._files():
            # What a file gives is filled in, but for quotes that no one here can tell: it is taken as it stands.
            self[name] = Variable(name, text, f"${{{name}}}" if text is None else text)
        environment = service.value("environment")
        for name, entry in environment.entries.items() if isinstance(environment, Mapping) else ():
            if isinstance(entry, Scalar) and entry.data is None:
                self[name] = Variable(name, None, project.variables.get(name, f"${{{name}}}"))
            elif isinstance(entry, Scalar):
                self[name] = Variable(
                    name, entry.text, _UNKNOWN.sub(r"${\1}", fill(entry.text, project.variables))
                )

    def first(self, *names: str) -> Variable | None:
        """The first of these that is there."""
        return next((self[name] for name in names if name in self), None)

    def _files(self) -> Iterator[tuple[str, str | None]]:
        files = self.service.value("env_file")
        for item in files.items if isinstance(files, Sequence) else ():
            path = item.get("path") if isinstance(item, Mapping) else item
            if not isinstance(path, Scalar) or "$" in path.filled:
                continue
            file = path.place.source.folder / Path(path.filled).expanduser()
            if file.is_file():
                yield from read_env_file(file).items()
                continue
            named = [file.with_name(form.format(file.name)) for form in _EXAMPLES]
            example = next((each for each in named if each.is_file()), None)
            self.unread.append(f"{path.text} is not here{f': names from {example.name}' if example else ''}")
            yield from ((name, None) for name in (read_env_file(example) if example else {}))
