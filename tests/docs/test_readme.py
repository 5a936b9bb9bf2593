"""The README's measured numbers are those of the table, and its table of faults is the whole one."""

from __future__ import annotations

import pytest
from benchmarks import readme, rivals
from benchmarks.result import kept

from docs.pages import DOCS


def test_the_measured_numbers_are_those_of_the_table() -> None:
    shown = kept(readme.README.read_text()).strip()
    assert shown == readme.excerpt(readme.TABLE.read_text()), "python -m benchmarks.readme writes them again"
    assert shown.count("\n") == len(readme.SHOWN) + 3


def test_the_wirings_are_those_of_the_page() -> None:
    page = rivals.PAGE.read_text()
    assert kept(readme.README.read_text(), "wirings") == rivals.summary(page), (
        "rivals.write_readme() writes them again"
    )
    assert "times as much" in kept(page, "previews")


def test_a_line_that_is_gone_is_told() -> None:
    with pytest.raises(ValueError, match="the table does not have: start to ready, cold"):
        readme.excerpt("<!-- measured -->\na machine\n\n| a | b | c | d |\n<!-- /measured -->")


def test_the_first_screen_has_all_that_a_busy_reader_needs() -> None:
    lines = readme.README.read_text().splitlines()
    screen = "\n".join(lines[:40])
    for needed in ("one-shot", "alembic, upgrade, head", "terminal.png", "inithold compose fix", "docs/tutorial/"):
        assert needed in screen, needed
    assert screen.count("\n- **") == 5
    assert len(lines) <= 200


def faults(text: str) -> set[str]:
    """First cells of the table of what is written by hand."""
    table = text[text.index("| hand-written |") :].partition("\n\n")[0]
    return {line.split("|")[1].strip() for line in table.splitlines()[2:]}


def test_no_fault_is_left_out() -> None:
    page = faults((DOCS / "explanation" / "faults.md").read_text())
    assert len(page) == 15
    missing = page - faults(readme.README.read_text())
    assert missing == set()
