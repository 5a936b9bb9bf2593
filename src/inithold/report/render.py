"""The page itself: templates, style and script in one file that asks nobody for anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from inithold.errors import InitholdError
from inithold.process.extras import installed, pip_command
from inithold.redaction.sanitize import inert
from inithold.report.compare import comparison
from inithold.report.listing import listing
from inithold.report.page import run_view
from inithold.report.reading import Run
from inithold.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

EXTRA = "report"
_WHOLE_AXIS = 100.0


def require_extra() -> None:
    """Make sure that the templating library is there.

    Raises:
        InitholdError: it is not.
    """
    if not installed(EXTRA):
        raise InitholdError(f"the report needs an extra that is not installed: {pip_command([EXTRA])}")


def page(runs: Sequence[Run]) -> bytes:
    """The page of one run, of two compared, or of more as a list.

    Args:
        runs: oldest first, at least one.

    Returns:
        HTML in UTF-8.
    """
    if len(runs) == 1:
        run = run_view(runs[0])
        return _rendered("run.html.j2", _tick(run.ticks), run=run)
    if len(runs) == 2:
        both = comparison(*runs)
        return _rendered("comparison.html.j2", _tick(both.after.ticks), both=both, run=both.after)
    return _rendered("runs.html.j2", _WHOLE_AXIS, entries=listing(runs))


def _tick(ticks: Sequence[Any]) -> float:
    return ticks[1].at if len(ticks) > 1 else _WHOLE_AXIS


def _rendered(template: str, tick: float, **values: Any) -> bytes:
    environment = _environment()
    # The grid of the timeline is a background, and no attribute may carry a style here.
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
    """What a content security policy calls an inline style or script by (CSP level 3, section 2.3.1)."""
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
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    """What a template shows: text of others cannot turn the direction of writing or hold control characters."""
    return inert(value) if type(value) is str else value
