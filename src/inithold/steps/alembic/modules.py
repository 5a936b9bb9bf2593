"""Two projects may each bring a package of the same name, such as `app`: they were written for two processes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

_FOLDERS: set[Path] = set()
"""What projects of this process have put before `sys.path`."""
_PACKAGES: dict[str, Path] = {}
"""Where packages without an `__init__.py` come from: they cannot tell once `sys.path` is another."""


def make_room(prepended: Sequence[str]) -> None:
    """Forget the modules of other projects that stand in the way of a project's own.

    Args:
        prepended: what the project has put before `sys.path`.
    """
    folders = [Path(entry).resolve() for entry in prepended]
    brought = {entry.stem for folder in folders if folder.is_dir() for entry in folder.iterdir()}
    # Where a module comes from takes long to find out: it is asked of very few.
    for name in brought & sys.modules.keys() if _FOLDERS else ():
        home = _home(name, sys.modules[name])
        if home not in _FOLDERS or home in folders or not any(_brings(folder, name) for folder in folders):
            continue
        for each in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
            del sys.modules[each]
    _FOLDERS.update(folders)
    for folder in reversed(folders):
        _PACKAGES.update({entry.name: folder for entry in folder.glob("*/")})


def _home(name: str, module: ModuleType) -> Path | None:
    """The folder a top-level module was found in, None for one that is part of Python."""
    if (file := getattr(module, "__file__", None)) is None:
        return _PACKAGES.get(name)
    path = Path(file).resolve()
    return path.parent.parent if path.stem == "__init__" else path.parent


def _brings(folder: Path, name: str) -> bool:
    return (folder / name).is_dir() or (folder / f"{name}.py").is_file()
