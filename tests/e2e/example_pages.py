"""What holds for the page of any example: it shows the example's files, and sizes that are true."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from docs.pages import blocks
from e2e.project import Project


def check_files(page: Path, example: Path, names: Collection[str]) -> None:
    """The page shows these files of the example, as they are."""
    shown = {block.file: block.text for block in blocks(page) if block.file}
    assert set(shown) == set(names)
    for name, text in shown.items():
        assert text == (example / name).read_text(), name


def check_sizes(page: Path, project: Project, service: str, paths: list[str]) -> None:
    """The page's table has these paths, with their sizes within a fifth: dependencies grow."""
    rows = re.findall(r"^\| `(/[\w/.]+)` \|.*?\| (\d+) (MB|kB) \|", page.read_text(), re.MULTILINE)
    assert [path for path, *_ in rows] == paths
    for path, written, unit in rows:
        used = project.compose("exec", "-T", service, "du", "-sb", path).stdout.split()[0]
        measured = int(used) / (1_000_000 if unit == "MB" else 1_000)
        print(f"{path}: {measured:.0f} {unit}")
        assert abs(measured - int(written)) <= int(written) / 5, f"{path}: {measured:.0f} {unit}"
