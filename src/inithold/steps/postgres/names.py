"""Names of databases, roles and tables: as they are stored, in SQL, and for people."""

from __future__ import annotations

import re

LONGEST = 63
"""Bytes of a name; PostgreSQL cuts what is longer, so that it would never be found again."""
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def quoted(name: str) -> str:
    """A name in SQL: nothing in it is folded or read as SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text in SQL, read alike with and without `standard_conforming_strings`."""
    doubled = text.replace("\\", "\\\\").replace("'", "''")
    return f" E'{doubled}'" if "\\" in text else f"'{doubled}'"


def shown(name: str) -> str:
    """A name for people: as it is where that is plain, else as SQL would need it."""
    return name if _PLAIN.fullmatch(name) else quoted(name)


def fault(name: str) -> str | None:
    """What keeps a text from being a name; None where it is one."""
    if not name.strip():
        return "a name is empty"
    if "\0" in name:
        return "a name cannot hold a NUL character"
    length = len(name.encode())
    if length > LONGEST:
        return f"{name!r} is too long: {length} bytes, and PostgreSQL keeps {LONGEST}"
    return None
