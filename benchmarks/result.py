"""What a measure found, and the table of all of them."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """One line of the table.

    `bound` is the most that `value` may be; both are in `unit` (a ratio where it is "x"). `beside` says what was
    measured beside it, in words.
    """

    what: str
    value: float
    bound: float | None
    unit: str
    beside: str = ""

    @property
    def met(self) -> bool:
        return self.bound is None or self.value <= self.bound

    def cells(self) -> tuple[str, str, str, str]:
        bound = "-" if self.bound is None else f"at most {self.bound:g} {self.unit}"
        verdict = "" if self.bound is None else (" (met)" if self.met else " (MISSED)")
        return self.what, f"{self.value:.3g} {self.unit}", bound + verdict, self.beside


def table(results: Sequence[Result]) -> str:
    """The results as a Markdown table."""
    head = ("what", "measured", "bound", "beside it, in the same run")
    rows = [head, ("---",) * 4, *(result.cells() for result in results)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def machine() -> str:
    """The machine, and how busy it is at the moment, in a line."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
    name = names[0] if names else platform.processor()
    system = f"{platform.system()} {platform.machine()}"
    load = f"load average before {os.getloadavg()[0]:.1f}"
    return f"{system}, {len(names) or '?'} cores ({name}), Python {platform.python_version()}, {load}"


def keep(path: Path, text: str, mark: str = "measured") -> None:
    """Put `text` between the marks of a Markdown file: `<!-- MARK -->` and `<!-- /MARK -->`."""
    before, _, rest = path.read_text().partition(f"<!-- {mark} -->")
    _, _, after = rest.partition(f"<!-- /{mark} -->")
    path.write_text(f"{before}<!-- {mark} -->\n{text}\n<!-- /{mark} -->{after}")


def kept(text: str, mark: str = "measured") -> str:
    """What stands between the marks of a Markdown page."""
    return text.partition(f"<!-- {mark} -->\n")[2].partition(f"\n<!-- /{mark} -->")[0]
