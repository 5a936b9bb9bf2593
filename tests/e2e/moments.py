"""Times as the engine writes them."""

from __future__ import annotations

import re
from datetime import datetime


def moment(text: str) -> float:
    """Seconds since 1970 of a time of the engine, which has nanoseconds: Python reads six digits."""
    found = re.fullmatch(r"(.*?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text)
    assert found, text
    whole, digits, zone = found.groups()
    return datetime.fromisoformat(f"{whole}{zone.replace('Z', '+00:00')}").timestamp() + float(f"0.{digits or 0}")
