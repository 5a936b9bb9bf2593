"""Importing heavy packages: one thread at a time, and with fewer garbage collections."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from threading import RLock

THRESHOLD = 100_000
"""New objects before a garbage collection; Python's default is 700 or 2,000."""
_USUAL = gc.get_threshold()
IMPORTING = RLock()
"""Held while a heavy package is imported for the first time, and for nothing else.

Packages with circular imports, such as psycopg, break if two threads start importing different modules of theirs
at the same moment: one thread sees a half-initialized module.
"""


@cache
def import_alone(module: str) -> None:
    """Import a heavy package while no other thread does."""
    with IMPORTING:
        import_module(module)


def collect_less_often() -> None:
    """For our own processes: imports and plans create hundreds of thousands of objects that stay.

    Scanning them again and again takes a twentieth of the start-up time.
    """
    gc.set_threshold(THRESHOLD, *_USUAL[1:])


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause garbage collection: reading a long plan, or summing it up, makes many objects and no garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def collect_as_usual() -> None:
    """For a process of ours that may wait for long: what each attempt leaves behind would add up to 7 MB."""
    gc.set_threshold(*_USUAL)
