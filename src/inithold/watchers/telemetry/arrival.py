"""Tells when user code begins to use OpenTelemetry, so that nobody pays for the SDK whose code does not.

Whoever makes spans, metrics or log records imports one of the API's modules that hold the providers first.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_HOLDERS = ("opentelemetry.trace", "opentelemetry.metrics", "opentelemetry._logs")


def arrived() -> bool:
    """Whether somebody has imported the API already."""
    return any(name in sys.modules for name in _HOLDERS)


@contextmanager
def awaiting(act: Callable[[], object]) -> Iterator[None]:
    """While open, call `act` once, in the thread that imports the API, when it has the first module of it."""
    sys.meta_path.insert(0, _Finder(act))
    try:
        yield
    finally:
        stop_awaiting()


def stop_awaiting() -> None:
    """From now on importing the API is nothing special."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]


class _Finder(MetaPathFinder):
    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _HOLDERS:
            return None
        for finder in list(sys.meta_path):
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec: ModuleSpec | None = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _Telling(spec.loader, self._act)
                return spec
        return None


class _Telling(Loader):
    """Loads as another loader does, and tells when it has."""

    def __init__(self, loader: Loader, act: Callable[[], object]) -> None:
        self._loader = loader
        self._act = act

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        spec: Any = module.__spec__
        # Whoever looks at the module later finds it as it would be without us.
        spec.loader = module.__loader__ = self._loader
        self._loader.exec_module(module)
        stop_awaiting()
        self._act()
