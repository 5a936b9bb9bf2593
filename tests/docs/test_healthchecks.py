"""Every stack that is shown has one and the same health check for init; a page that differs says why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from docs.pages import ROOT, all_blocks

STANDARD = {
    "test": ["CMD", "inithold", "health", "--wait=25s"],
    "start_period": "15m",
    "start_interval": "500ms",
    "interval": "30s",
    "timeout": "30s",
}
OTHERWISE = {
    "docs/how-to/healthcheck.md": 2,  # older engines, and where a withdrawn marker must show soon
}
"""Health checks of a page that differ, where it says why."""
RULES = "docs/reference/rules/"
"""What is wrong is shown there, too."""


def health_checks(document: object) -> Iterator[dict[str, Any]]:
    """Every `healthcheck` in a document that asks `inithold health`, or whose service runs `inithold run`."""
    if isinstance(document, list):
        for item in document:
            yield from health_checks(item)
    if isinstance(document, dict):
        check = document.get("healthcheck")
        init = words(document.get("command"))[:2] == ["inithold", "run"]
        if isinstance(check, dict) and (init or "inithold health" in " ".join(words(check.get("test")))):
            yield check
        for value in document.values():
            yield from health_checks(value)


def words(value: object) -> list[str]:
    return list(map(str, value)) if isinstance(value, list) else str(value or "").split()


def shown() -> Iterator[tuple[str, dict[str, Any]]]:
    for block in all_blocks():
        if block.language == "yaml" and "healthcheck:" in block.text and not block.page.startswith(RULES):
            for document in yaml.safe_load_all(block.text):
                yield from ((block.page, check) for check in health_checks(document))
    for path in [*ROOT.glob("examples/**/*.yaml"), *ROOT.glob("demo/*.yaml")]:
        text = path.read_text()
        if "healthcheck:" in text:
            name = str(path.relative_to(ROOT))
            for document in yaml.safe_load_all(text):
                yield from ((name, check) for check in health_checks(document))


def test_there_is_one_health_check() -> None:
    checks = list(shown())
    differ: dict[str, int] = {}
    for page, check in checks:
        if check != STANDARD:
            differ[page] = differ.get(page, 0) + 1
    assert differ == OTHERWISE
    assert len(checks) > 12


def test_that_of_the_image() -> None:
    lines = (ROOT / "image" / "Dockerfile").read_text().replace("\\\n", "").splitlines()
    (line,) = (" ".join(line.split()) for line in lines if line.startswith("HEALTHCHECK"))
    options = {name: value for name, value in STANDARD.items() if name != "test"}
    expected = " ".join(f"--{name.replace('_', '-')}={value}" for name, value in options.items())
    assert line == f'HEALTHCHECK {expected} CMD ["inithold", "health", "--wait=25s"]'


def test_the_page_on_health_checks_says_why_it_differs() -> None:
    page = Path(ROOT / "docs/how-to/healthcheck.md").read_text()
    assert "Older engines have no `start_interval`" in page
    assert "If you need `on_drift: unhealthy` to\nshow sooner, probe without waiting" in page
