"""Which revisions are pending, and what makes that impossible to say."""

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
        StepFailed: one cannot be read, two are the same, one names a parent that is not there, they go in circles.
    """
    from alembic.script.revision import RevisionError  # noqa: PLC0415 - slow

    for folder in folders(script):
        if not folder.is_dir():
            raise StepFailed(
                f"the folder of the revision files, {folder}, does not exist",
                hint="is it part of the image, or mounted? a project without revisions has an empty one",
            )
    # Of two files with one revision, and of a parent that is not there, Alembic only warns.
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
    """Where the revision files are."""
    from alembic.util import coerce_resource_to_filename  # noqa: PLC0415 - slow

    given = [Path(coerce_resource_to_filename(os.fspath(place))) for place in script.version_locations or ()]
    return [folder.absolute() for folder in given or [Path(script.dir, "versions")]]


def pending(script: ScriptDirectory, target: str, heads: Sequence[str]) -> list[RevisionStep]:
    """The revisions that bring a database to the target, first to last.

    Args:
        script: loaded revision files.
        target: `head`, `heads`, a revision or the beginning of one, `branch@head`.
        heads: where the database is; empty for one that knows no revision yet.

    Raises:
        Ahead: the database is ahead of the target or of the files.
        StepFailed: the target cannot be told.
    """
    from alembic.runtime.migration import MigrationStep  # noqa: PLC0415 - slow
    from alembic.script.revision import RevisionError  # noqa: PLC0415 - slow
    from alembic.util.exc import CommandError  # noqa: PLC0415 - slow

    goals = targets(script, target)
    _refuse_unknown(script, heads)
    _refuse_ahead(script, goals, heads)
    try:
        revisions = list(script.iterate_revisions(target, heads, implicit_base=True))  # type: ignore[arg-type]
        return [MigrationStep.upgrade_from_script(script.revision_map, each) for each in reversed(revisions)]
    except (RevisionError, CommandError) as error:
        raise revision_error(error, f"target {target}", _FIX_TARGET) from error


def targets(script: ScriptDirectory, target: str) -> tuple[str, ...]:
    """The ids of the revisions that a target means.

    Raises:
        StepFailed: it means none, or several where one is wanted.
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
    """A revision for people: `3f2a add users`."""
    first = (script.doc or "").strip().partition("\n")[0]
    return f"{script.revision} {first}" if first else str(script.revision)


def any_in(script: ScriptDirectory) -> bool:
    """Whether there is a revision file at all."""
    return bool(script.get_heads())


def _refuse_disorder(caught: Sequence[warnings.WarningMessage]) -> None:
    for warning in caught:
        text = str(warning.message)
        if text.startswith("Revision ") and text.endswith((" is present more than once", " is not present")):
            raise StepFailed(f"{_DISORDER}: {text}", hint=_MISSING if text.endswith("not present") else _TWICE)


def _several(revisions: str | Sequence[str] | None) -> tuple[str, ...]:
    if revisions is None:
        return ()
    return (revisions,) if isinstance(revisions, str) else tuple(revisions)


def _refuse_unknown(script: ScriptDirectory, heads: Sequence[str]) -> None:
    from alembic.util.exc import CommandError  # noqa: PLC0415 - slow

    for head in heads:
        try:
            found = script.get_revision(head)
        except CommandError:
            found = None
        # Alembic takes the beginning of an id for the whole; what a database holds is whole.
        if found is None or found.revision != head:
            raise Ahead(
                f"the database is at revision {head}, which none of the revision files has: "
                "it is ahead of them, or belongs to another project",
                hint="bring revision files that know it; inithold never downgrades",
            )


def _refuse_ahead(script: ScriptDirectory, goals: Sequence[str], heads: Sequence[str]) -> None:
    for target in goals:
        for head in heads:
            if head != target and target in _lineage(script, head):
                raise Ahead(
                    f"the database is at revision {head}, which is later than the target {target}",
                    hint="inithold never downgrades: set the target to where the database is, or to head",
                )


def _lineage(script: ScriptDirectory, head: str) -> Iterator[str]:
    """What came before a revision on its own line, without what it merely depends on."""
    todo = [head]
    seen: set[str] = set()
    while todo:
        for parent in _several(script.get_revision(todo.pop()).down_revision):
            if parent not in seen:
                seen.add(parent)
                todo.append(parent)
                yield parent
