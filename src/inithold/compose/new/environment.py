"""The environment variables of a service, and the servers that their URLs point to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from inithold.compose.read.env_file import read_env_file
from inithold.compose.read.interpolation import fill
from inithold.compose.read.tree import Mapping, Scalar
from inithold.text.url import Address, parse

if TYPE_CHECKING:
    from inithold.compose.read.project import Project, Service

_EXAMPLES = ("{}.example", "{}.sample", "{}.dist", "{}.template", "{}-example")
# These do not point to what init sets up, but to test databases, replicas and telemetry.
_ASIDE = re.compile(r"(?:^|_)(?:TEST|SHADOW|REPLICA|READ|READONLY|RO)(?:_|$)|^OTEL_|SENTRY_DSN", re.I)
_UNKNOWN_PORT = re.compile(r":\$\{[^{}]*\}(?=[/?]|\Z)")
_UNKNOWN = re.compile(r"\$\{(\w+)[^{}]*\}")


@dataclass(frozen=True, slots=True, eq=False)
class Variable:
    """A variable of a service.

    Args:
        text: as written in the stack; None if the value comes from the host or from a missing file.
        value: interpolated as far as possible; `${NAME}` stands for an unknown part.
    """

    name: str
    text: str | None
    value: str

    @property
    def reference(self) -> str:
        """Its value in a plan: the variable, or the secret file that it names."""
        if self.name.endswith("_FILE"):
            return f"${{secret:{PurePosixPath(self.value).name}}}"
        return f"${{{self.name}}}"

    @property
    def jdbc(self) -> bool:
        """Whether it is a JDBC URL, which no step accepts."""
        return self.value.startswith("jdbc:")

    @property
    def address(self) -> Address | None:
        """The parsed URL, or None if it is not one; unknown parts are `${NAME}`."""
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
        """Messages about missing env files; a missing file's names come from an example file beside it."""
        for file, written in service.env_files:
            # Compose interpolates some values of an env file, depending on quotes that are gone by now: no `fill`.
            self |= {name: Variable(name, text, text) for name, text in read_env_file(file).items()}
            if not file.is_file():
                named = (file.with_name(form.format(file.name)) for form in _EXAMPLES)
                example = next((each for each in named if each.is_file()), None)
                source = f": names from {example.name}" if example else ""
                self.unread.append(f"{written.text} is not here{source}")
                for name in read_env_file(example) if example else ():
                    self[name] = Variable(name, None, f"${{{name}}}")
        environment = service.value("environment")
        for name, entry in environment.entries.items() if isinstance(environment, Mapping) else ():
            if isinstance(entry, Scalar):
                text = None if entry.data is None else entry.text
                filled = fill(f"${{{name}}}" if text is None else text, project.variables)
                self[name] = Variable(name, text, _UNKNOWN.sub(r"${\1}", filled))

    def first(self, *names: str) -> Variable | None:
        """Return the first of these variables that is set, or None."""
        return next((self[name] for name in names if name in self), None)
