"""Importing what is heavy: one thread at a time, and without looking for garbage that is not there."""

from __future__ import annotations

import gc
from threading import RLock

THRESHOLD = 50_000
"""How many new objects there must be before cycles are looked for; Python's own number is 700 or 2,000."""
IMPORTING = RLock()
"""Held while a heavy package is imported for the first time; nothing else is done under it.

Packages whose modules import each other in circles, psycopg among them, break when two threads begin with
different modules of theirs at the same moment: Python lets one of them see a module half made.
"""


def collect_less_often() -> None:
    """For a process of our own: imports and plans make hundreds of thousands of objects that stay.

    Looking through them again and again is a twentieth of all that a start costs.
    """
    gc.set_threshold(THRESHOLD, *gc.get_threshold()[1:])
