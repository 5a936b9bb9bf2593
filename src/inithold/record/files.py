"""The records' files: the current one beside the marker, earlier ones numbered. Standard library only."""

from __future__ import annotations

import os

KEPT = 10
"""Default number of earlier records to keep."""
MOST_KEPT = 1000


def path_from(argument: str | None, marker: str) -> str:
    """The record's path: the option's value, else `INITHOLD_RECORD`, else `<marker>.record.json`."""
    return argument or os.environ.get("INITHOLD_RECORD") or f"{marker}.record.json"


def of_repairs(path: str) -> str:
    """The path of the newest repair's record: `x.record.json` -> `x.record.repair.json`.

    Repairs are numbered separately, because the current record must stay that of the run which holds.
    """
    return earlier(path, "repair")


def earlier(path: str, number: int | str) -> str:
    """The path of an earlier record: `x.record.json` -> `x.record.1.json`."""
    stem, dot, ending = path.rpartition(".")
    return f"{stem}.{number}.{ending}" if dot and "/" not in ending else f"{path}.{number}"


def rotate(path: str, keep: int) -> None:
    """Renumber the current and the earlier records by one, and delete the oldest.

    Args:
        path: the current record.
        keep: how many earlier ones to keep; 0 for none.

    Raises:
        OSError: they cannot be moved.
    """
    for number in range(keep, 0, -1):
        source = path if number == 1 else earlier(path, number - 1)
        if os.path.lexists(source):
            os.replace(source, earlier(path, number))  # noqa: PTH105 - imported by the fast commands
    # An earlier run may have kept more.
    number = keep + 1
    while os.path.lexists(earlier(path, number)):
        os.unlink(earlier(path, number))  # noqa: PTH108 - as above
        number += 1


def existing(path: str) -> list[str]:
    """The existing records: of runs, newest first, then of repairs, newest first."""
    candidates: list[str] = []
    for newest in (path, of_repairs(path)):
        candidates.append(newest)
        number = 1
        while os.path.exists(earlier(newest, number)):  # noqa: PTH110 - imported by the fast commands
            candidates.append(earlier(newest, number))
            number += 1
    return [candidate for candidate in candidates if os.path.exists(candidate)]  # noqa: PTH110
