"""One thread at a time imports what is heavy.

Packages whose modules import each other in circles, SQLAlchemy and psycopg among them, break when two threads
begin with different modules of theirs at the same moment: Python lets one of them see a module half made.
"""

from __future__ import annotations

from threading import RLock

IMPORTING = RLock()
"""Held while a heavy package is imported for the first time. Nothing else is done under it."""
