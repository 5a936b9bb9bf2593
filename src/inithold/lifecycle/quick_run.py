"""A fast path for `inithold run [PLAN.yaml]`: without options, the command-line framework has nothing to do.

If there is anything more to read, or to refuse, the full command takes over.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from inithold.errors import UsageError
from inithold.hold.verifier import RERUN_VARIABLE
from inithold.lifecycle.last_words import reported
from inithold.lifecycle.run import run
from inithold.lifecycle.settings import Settings
from inithold.plan.command import Named
from inithold.plan.source import DEFAULT

_READ = ("LOG_FORMAT", "LOG_LEVEL", "MARKER", "ONCE", "RECORD", "SECRETS_DIR", "TERMINATION_LOG", "VERIFY")
"""`INITHOLD_*` variables that need no command line. With any other one set, the full command runs."""


def answer(arguments: Sequence[str]) -> int | None:
    """Answer `inithold run ARGUMENTS`.

    Returns:
        the exit code; None: run the full command.
    """
    source = arguments[0] if arguments else DEFAULT
    if len(arguments) > 1 or source.startswith("-") or " " in source or not source.endswith((".yaml", ".yml")):
        return None
    read = {RERUN_VARIABLE, *(f"INITHOLD_{name}" for name in _READ)}
    if any(name.startswith("INITHOLD_") and name not in read for name in os.environ):
        return None
    try:
        settings = Settings.from_environment()
    except UsageError:
        return None
    named = Named(source)
    return reported(lambda: run(named.load, settings, named=named))
