"""The most telling lines of the table, for the repository's README: `python -m benchmarks.readme` writes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.result import keep, kept

SHOWN = (
    "start to ready, cold (empty servers), against alembic as a child",
    "start to ready, warm (nothing to do), against alembic in process",
    "start to the first connection attempt, telemetry on",
    "server accepts to next step starts, median",
    "anonymous memory while holding, catatonit",
    "SIGTERM to exit as PID 1, catatonit",
    "inithold health (ready), against python -c pass",
    "inithold status",
)
"""What is shown, as the table calls it: where inithold wins and where it does not."""
TABLE = Path(__file__).with_name("README.md")
README = Path(__file__).parents[1] / "README.md"


def excerpt(text: str) -> str:
    """The lines that the README shows.

    Args:
        text: of the page with the whole table.

    Raises:
        ValueError: a line is not there.
    """
    machine, *lines = kept(text).strip().splitlines()
    rows = {cells[0]: cells for cells in _rows(lines)}
    if missing := [what for what in SHOWN if what not in rows]:
        raise ValueError(f"the table does not have: {'; '.join(missing)}")
    shown = [("what", "measured", "beside it, in the same run"), ("---",) * 3]
    shown += [(what, rows[what][1], rows[what][3]) for what in SHOWN]
    return f"{machine}\n\n" + "\n".join(f"| {' | '.join(cells)} |" for cells in shown)


def write() -> None:
    """Bring the README up to the table."""
    keep(README, excerpt(TABLE.read_text()))


def _rows(lines: list[str]) -> Iterator[tuple[str, ...]]:
    for line in lines:
        cells = tuple(cell.strip() for cell in line.strip().strip("|").split("|"))
        if len(cells) == 4:
            yield cells


if __name__ == "__main__":
    write()
