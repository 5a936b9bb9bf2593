"""What a draft refers to and its init service does not have yet."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from inithold.compose.new.text import references, secrets
from inithold.compose.read.tree import Mapping, Scalar
from inithold.compose.read.tree import Sequence as Listed

if TYPE_CHECKING:
    from inithold.compose.new.environment import Environment
    from inithold.compose.new.model import DraftStep
    from inithold.compose.read.project import Service


def missing(
    steps: Sequence[DraftStep],
    lock: str | None,
    own: Environment,
    others: Iterable[Environment],
    replaced: Collection[str],
) -> list[str]:
    """Each variable and secret that the init service has to be given, and where it is now.

    Args:
        steps: of the draft.
        lock: its lock.
        own: the variables of the init service.
        others: those of the other services.
        replaced: variables that took the place of a password in its command.
    """
    texts = [*_texts([step.fields for step in steps]), lock or ""]
    wanted: dict[str, bool] = {}
    for text in texts:
        for name, optional in references(text):
            wanted[name] = wanted.get(name, True) and optional
    known = list(others)
    said = [
        f"variable {name}{' (it has a default)' if optional else ''}: {_whereabouts(name, known, replaced)}"
        for name, optional in wanted.items()
        if name not in own
    ]
    given = set(_given(own.service))
    files = dict.fromkeys(name for text in texts for name in secrets(text))
    return [
        *said,
        *(f"secret {name}: under `secrets:` of {own.service.name}" for name in files if name not in given),
    ]


def _whereabouts(name: str, others: list[Environment], replaced: Collection[str]) -> str:
    for environment in others:
        variable = environment.get(name)
        if variable is None:
            continue
        plain = variable.text is not None and "$" not in variable.text and "://" not in variable.text
        how = "has it as plain text" if plain else "has it"
        return f"{environment.service.name} {how}"
    if name in replaced:
        return "new; in the command the password stands as plain text"
    return "Compose fills it in from .env or the host, if anything does"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _given(service: Service) -> Iterator[str]:
    listed = service.value("secrets")
    for item in listed.items if isinstance(listed, Listed) else ():
        if isinstance(item, Mapping):
            found = item.get("target") or item.get("source")
            item = found if found is not None else item  # noqa: PLW2901 - the name, whatever the form
        if isinstance(item, Scalar):
            yield item.text.rpartition("/")[2]
