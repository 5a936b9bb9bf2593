"""Finds the pending revisions, and refuses revision files and databases that cannot be upgraded."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inithold.errors import Ahead, StepFailed
from inithold.steps.alembic.failures import at, place_of, revision_error

if TYPE_CHECKING:
    from alembic.runtime.migration import RevisionStep
    from alembic.script import Script, ScriptDirectory

_DISORDER = "the revision files cannot be put in order"
_FIX_ORDER = "fix down_revision in the files named"
_MISSING = "the file of that revision is missing: is the whole folder part of the image?"
_TWICE = "give one of the files a revision of its own: alembic revision makes such ids"
_FIX_TARGET = "alembic history lists the revisions, alembic branches the branches; or set target: head"


def load(script: ScriptDirectory) -> None:
    """Read every revision file.

    Raises:
        StepFailed: a file cannot be loaded, a revision is duplicate, a parent is missing, or there is a cycle.
    """
    from alembic.script.revision import RevisionError  # noqa: PLC0415 - slow

    for folder in folders(script):
        if not folder.is_dir():
            raise StepFailed(
                f"the folder of the revision files, {folder}, does not exist",
                hint="is it part of the image, or mounted? a project without revisions has an empty one",
            )
    # Alembic only warns of two files with the same revision, and of a missing parent.
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            script.get_heads()
        except RevisionError as error:
            raise revision_error(error, _DISORDER, _FIX_ORDER) from error
        except (Exception, SystemExit) as error:
            _refuse_disorder(caught)
            if isinstance(error, KeyError) and not place_of(error, script.dir, folders(script)):
                raise StepFailed(f"{_DISORDER}: revision {error.args[0]} is in no file", hint=_MISSING) from error
            raise StepFailed(
                f"a revision file cannot be loaded: {at(error, script.dir, folders(script))}",
                hint="fix the file; alembic history must work in the same place",
            ) from error
    _refuse_disorder(caught)
    for warning in caught:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def folders(script: ScriptDirectory) -> list[Path]:
    """Return the folders of the revision files."""
    from alembic.util import coerce_resource_to_filename  # noqa: PLC0415 - slow

    given = [Path(coerce_resource_to_filename(os.fspath(place))) for place in script.version_locations or ()]
    return [folder.absolute() for folder in given or [Path(script.dir, "versions")]]


def pending(script: ScriptDirectory, target: str, heads: Sequence[str]) -> list[RevisionStep]:
    """Return the revisions that bring a database to the target, in order.

    Args:
        script: loaded revision files.
        target: `head`, `heads`, a revision or the beginning of one, `branch@head`.
        heads: the database's current revisions; empty if it has none yet.

    Raises:
        Ahead: the database is ahead of the target or of the files.
        StepFailed: the target is unknown or ambiguous.
    """
    from alembic.runtime.migration import MigrationStep  # noqa: PLC0415 - slow
    from alembic.script.revision import RevisionError  # noqa: PLC0415 - slow
    from alembic.util.exc import CommandError  # noqa: PLC0415 - slow

    goals = targets(script, target)
    for head in heads:
        try:
            found = script.get_revision(head)
        except CommandError:
            found = None
        # Alembic accepts the beginning of an id, but a database has the whole id.
        if found is None or found.revision != head:
            raise Ahead(
                f"the database is at revision {head}, which none of the revision files has: "
                "it is ahead of them, or belongs to another project",
                hint="bring revision files that know it; inithold never downgrades",
            )
        for goal in goals:
            if head != goal and goal in _lineage(script, head):
                raise Ahead(
                    f"the database is at revision {head}, which is later than the target {goal}",
                    hint="inithold never downgrades: set the target to where the database is, or to head",
                )
    try:
        revisions = list(script.iterate_revisions(target, heads, implicit_base=True))  # type: ignore[arg-type]
        return [MigrationStep.upgrade_from_script(script.revision_map, each) for each in reversed(revisions)]
    except (RevisionError, CommandError) as error:
        raise revision_error(error, f"target {target}", _FIX_TARGET) from error


def targets(script: ScriptDirectory, target: str) -> tuple[str, ...]:
    """Return the ids of the target revisions.

    Raises:
        StepFailed: the target is unknown or ambiguous.
    """
    from alembic.script.revision import MultipleHeads  # noqa: PLC0415 - slow
    from alembic.util.exc import CommandError  # noqa: PLC0415 - slow

    try:
        return tuple(found.revision for found in script.get_revisions(target) if found is not None)
    except CommandError as error:
        if not isinstance(error.__cause__, MultipleHeads):
            raise revision_error(error, f"target {target}", _FIX_TARGET) from error
        heads = ", ".join(named(script.get_revision(head)) for head in error.__cause__.heads)
        raise StepFailed(
            f"target {target} is not one revision, as the revision files have several heads: {heads}",
            hint="join them (alembic merge heads), or set target: heads",
        ) from error


def named(script: Script) -> str:
    """Return a revision's id and title for messages: `3f2a add users`."""
    first = (script.doc or "").strip().partition("\n")[0]
    return f"{script.revision} {first}" if first else str(script.revision)


def _refuse_disorder(caught: Sequence[warnings.WarningMessage]) -> None:
    for warning in caught:
        text = str(warning.message)
        if text.startswith("Revision ") and text.endswith((" is present more than once", " is not present")):
            raise StepFailed(f"{_DISORDER}: {text}", hint=_MISSING if text.endswith("not present") else _TWICE)


def _lineage(script: ScriptDirectory, head: str) -> Iterator[str]:
    """Yield the ancestors of a revision, without those it only `depends_on`."""
    from alembic.util import to_tuple  # noqa: PLC0415 - slow

    todo = [head]
    seen: set[str] = set()
    while todo:
        for parent in to_tuple(script.get_revision(todo.pop()).down_revision, default=()):
            if parent not in seen:
                seen.add(parent)
                todo.append(parent)
                yield parent
