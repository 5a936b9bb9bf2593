"""Stands where a program would: writes down when it started and what it found, and becomes the program.

witness.py FILE STARTED PROGRAM...: STARTED is when the shell before it was there, in seconds since 1970.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import environment


def main(file: Path, started: float, program: list[str]) -> None:
    found: dict[str, object] = {"started": started, "lacks": ""}
    for look in (environment.of_database, environment.of_broker):
        try:
            found |= look()
        except environment.NOT_THERE as error:
            found["lacks"] = f"{look.__name__}: {type(error).__name__}: {' '.join(str(error).split())}"[:200]
            break
    with file.open("a") as lines:
        lines.write(json.dumps(found) + "\n")
    os.execvp(program[0], program)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
