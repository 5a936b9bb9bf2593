"""What a hold that verifies has to know. It remembers nothing else, and is told on its command line."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from inithold.errors import UsageError

VERIFIER = Path(__file__).with_name("verifier.py")


class Orders(NamedTuple):
    """How to verify.

    Attributes:
        pace: seconds between two checks; infinite for none but on demand.
        limit: seconds after which a check is killed.
        on_drift: `rerun`, `exit` or `unhealthy`.
        marker: its path, absolute.
        folder: in which the command line is to be executed again.
        fingerprint: of the plan that was run.
        command: the command line of this process, program first.
    """

    pace: float
    limit: float
    on_drift: str
    marker: str
    folder: str
    fingerprint: str
    command: tuple[str, ...]

    @classmethod
    def of_this_process(cls, pace: float, limit: float, on_drift: str, marker: str, fingerprint: str) -> Orders:
        """Orders to verify what this very command line has made ready.

        `sys.orig_argv` is what the interpreter was started with, `-m` and its other options too.

        Raises:
            UsageError: its working directory has been removed.
        """
        try:
            folder = os.getcwd()  # noqa: PTH109
        except FileNotFoundError:
            raise UsageError(
                "a hold that verifies starts its checks in the folder in which it was started, and that is gone",
                hint="start it in a folder that stays",
            ) from None
        command = (sys.executable, *sys.orig_argv[1:])
        place = os.path.abspath(marker)  # noqa: PTH100
        return cls(float(pace), float(limit), on_drift, place, folder, fingerprint, command)

    def arguments(self) -> list[str]:
        """The command line of the program that carries them out."""
        own = (repr(self.pace), repr(self.limit), self.on_drift, self.marker, self.folder, self.fingerprint)
        return [sys.executable, "-I", "-S", str(VERIFIER), *own, *self.command]

    def encode(self) -> bytes:
        """One line, for the process that will hold."""
        return json.dumps(self).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Orders:
        """Of what `encode` made."""
        pace, limit, on_drift, marker, folder, fingerprint, command = json.loads(line)
        return cls(pace, limit, on_drift, marker, folder, fingerprint, tuple(command))
