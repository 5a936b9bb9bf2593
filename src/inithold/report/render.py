"""Renders the page: templates, style and script in one file that loads nothing else."""

from __future__ import annotations

import base64
import errno
import hashlib
import os
import stat
import sys
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from inithold.errors import InitholdError
from inithold.marker.file import write_whole
from inithold.process.extras import installed, pip_command
from inithold.redaction.sanitize import inert
from inithold.report.compare import comparison
from inithold.report.page import run_view
from inithold.report.reading import Run
from inithold.report.timeline import Tick
from inithold.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

EXTRA = "report"
STANDARD_OUTPUT = "-"


def require_extra() -> None:
    """Check that the templating library is installed.

    Raises:
        InitholdError: it is not.
    """
    if not installed(EXTRA):
        raise InitholdError(f"the report needs an extra that is not installed: {pip_command([EXTRA])}")


def page(runs: Sequence[Run]) -> bytes:
    """The page for one run, for two compared, or for a list of more.

    Args:
        runs: oldest first, at least one.

    Returns:
        HTML in UTF-8.
    """
    if len(runs) == 1:
        run = run_view(runs[0])
        return _rendered("run.html.j2", run["ticks"], run=run)
    if len(runs) == 2:
        both = comparison(*runs)
        return _rendered("comparison.html.j2", both["after"]["ticks"], both=both, run=both["after"])
    longest = max(run.took for run in runs) or 1.0
    # Newest first, each with its duration in percent of the longest.
    entries = [
        {"run": run_view(run, drawn=False), "width": round(run.took / longest * 100, 3)} for run in reversed(runs)
    ]
    return _rendered("runs.html.j2", (), entries=entries)


def _rendered(template: str, ticks: Sequence[Tick], **values: Any) -> bytes:
    environment = _environment()
    tick = ticks[1].at if len(ticks) > 1 else 100.0
    # The timeline's grid is a CSS background, and the security policy forbids style attributes.
    style = f":root{{--tick:{tick}%}}\n{_source('page.css')}"
    script = _source("page.js")
    text = environment.get_template(template).render(
        **values,
        style=style,
        script=script,
        policy=f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'",
        version=__version__,
    )
    return text.encode("utf-8", "backslashreplace")


def _hash(text: str) -> str:
    """The hash source of an inline style or script for a content security policy (CSP level 3, section 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _source(name: str) -> str:
    environment = _environment()
    if environment.loader is None:
        raise LookupError(name)
    return environment.loader.get_source(environment, name)[0]


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - an extra

    return Environment(
        loader=PackageLoader("inithold.report"),
        autoescape=True,
        undefined=StrictUndefined,
        # Remove control characters and changes of writing direction from foreign text.
        finalize=lambda value: inert(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def write(target: str, data: bytes) -> str:
    """Write the page.

    Args:
        target: path of a file, or `-` for standard output. A symbolic link is followed.
        data: the page.

    Returns:
        the file's path; empty for a stream.

    Raises:
        InitholdError: the file cannot be written; an existing file is unchanged.
        OSError: standard output cannot be written.
    """
    if target == STANDARD_OUTPUT:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return ""
    path = os.path.realpath(target)
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - pathlib cannot resolve a pipe of /dev/fd
    except OSError:
        mode = stat.S_IFREG
    try:
        if stat.S_ISCHR(mode) or stat.S_ISFIFO(mode):
            # Such as /dev/stdout. O_NONBLOCK, because opening a pipe without a reader would block forever.
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            os.set_blocking(descriptor, True)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
            return ""
        write_whole(path, data)
    except OSError as error:
        why = "nobody reads it" if error.errno == errno.ENXIO else error.strerror
        raise InitholdError(f"the report cannot be written to {target}: {why}") from None
    return path
