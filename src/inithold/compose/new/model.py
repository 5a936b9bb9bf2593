"""What a draft is made of, before it is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class DraftStep:
    """A step of the draft.

    Args:
        id: its id; made unique when it is added.
        uses: its kind.
        fields: what goes into `with`, in order.
        why: what it was guessed from; becomes the comment above it.
        todo: what a person has to add; becomes comments at its end.
        needs: ids of the steps before it; None for the step above.
        retry: how often it is tried, None for the kind's own way.
        on_failure: `continue` where the stack ignores its failure.
    """

    id: str
    uses: str
    fields: dict[str, Any]
    why: list[str]
    todo: list[str] = field(default_factory=list)
    needs: list[str] | None = None
    retry: dict[str, Any] | None = None
    on_failure: str | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that a script waits for.

    Args:
        host: name of the server, as a plan would have it: `db` or `${DB_HOST}`.
        port: its port, None where the tool has a default of its own.
        technology: what the tool speaks: `postgresql`, `mysql`, `redis`, `amqp`, `http`, `https`, `file` or `tcp`.
        path: of a URL, with its leading slash; the whole path of a file.
        how: the tool.
    """

    host: str
    port: str | None
    technology: str
    path: str
    how: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something of a script that the plan does not need.

    Args:
        what: it.
        why: the reason, for people.
    """

    what: str
    why: str


Item = DraftStep | Wait | Dropped


@dataclass(slots=True)
class Notes:
    """What the command says about a draft.

    Args:
        chosen: which service was taken, and why.
        guessed: what was guessed, and from what.
        unknown: what could not be told.
        needed: variables and secrets that the init service has to be given.
    """

    chosen: list[str] = field(default_factory=list)
    guessed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    needed: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Draft:
    """A plan as it will be written.

    Args:
        name: of the environment.
        service: the init service it is drafted from.
        entrypoint: whether the service names one, which would come before `inithold run`.
        files: the Compose files, as the user would name them.
        lock: URL of the lock, None where there is none.
        steps: in order.
        later: commented lines at the end: steps that nothing in the stack tells the contents of.
        notes: what is said about it.
    """

    name: str
    service: str
    entrypoint: bool
    files: list[str]
    lock: str | None
    steps: list[DraftStep]
    later: list[str]
    notes: Notes
