"""Finds the files of the stack: those given, or those that Compose would load."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from inithold.compose.read.env_file import read_env_file
from inithold.errors import UsageError

# In the order of compose-go's `cli.DefaultFileNames` and `cli.DefaultOverrideFileNames`.
_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
_SIBLINGS = ("compose.*.yaml", "compose.*.yml", "docker-compose.*.yaml", "docker-compose.*.yml")


def find_files(given: Sequence[str], environment: Mapping[str, str], folder: Path) -> list[str]:
    """Return the files of the stack in merge order, relative as a user would write them.

    Args:
        given: the files of `-f`; without any, those in `COMPOSE_FILE` (from the environment or `.env`), else the
            first default name here or in a folder above and the override beside it.
        environment: the process's variables.
        folder: where the command runs.

    Raises:
        UsageError: no file is given and none is found.
    """
    if given:
        return list(given)
    variables = {**read_env_file(folder / ".env"), **environment}
    if listed := variables.get("COMPOSE_FILE", ""):
        separator = variables.get("COMPOSE_PATH_SEPARATOR") or os.pathsep
        return [name for name in listed.split(separator) if name]
    for place in (folder, *folder.parents):
        names = [next((name for name in each if (place / name).exists()), None) for each in (_NAMES, _OVERRIDES)]
        if names[0] is not None:
            return [os.path.relpath(place / name, folder) for name in names if name is not None]
    raise UsageError(
        "no Compose file here or in a folder above",
        hint=f"name one with -f; looked for {', '.join(_NAMES)} and COMPOSE_FILE",
    )


def find_siblings(loaded: Iterable[Path], first: Path, folder: Path) -> list[str]:
    """Return files beside the first one that look like overrides and were not loaded."""
    known = {path.resolve() for path in loaded}
    found = {path for pattern in _SIBLINGS for path in first.parent.glob(pattern) if path.is_file()}
    return [os.path.relpath(path, folder) for path in sorted(found) if path.resolve() not in known]
