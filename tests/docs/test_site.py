"""The site is built without a warning, and its pages ask nobody for anything."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from docs.pages import DOCS
from inithold.lifecycle.settings import Settings
from inithold.plan.model import PlanFile, StepEntry
from inithold.runner import events
from servers.sharing import copy_of

ELSEWHERE = r"(?:https?:)?//"
LOADED = re.compile(
    rf"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc=["']?{ELSEWHERE}"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|preconnect|dns-prefetch|icon))"""
    rf"""[^>]*\bhref=["']?{ELSEWHERE}"""
    rf"""|url\(["']?{ELSEWHERE}|@import ["']{ELSEWHERE}"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "copy"
    copy_of("site", build, folder)
    return folder / "html"


def build(folder: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-d", folder / "trees", DOCS]
    done = subprocess.run([*command, folder / "html"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_document_is_a_page(site: Path) -> None:
    for document in DOCS.rglob("*.md"):
        assert (site / document.relative_to(DOCS)).with_suffix(".html").is_file()


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    read = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]
    loaded = {f"{path.name}: {found[0]}" for path in read for found in LOADED.finditer(path.read_text())}
    assert len(read) > 40
    assert not loaded


WIDE = """() => ({
  page: document.scrollingElement.scrollWidth - innerWidth,
  code: [...document.querySelectorAll("pre")].filter((e) => e.scrollWidth > e.clientWidth + 1)
    .map((e) => [e.closest("[class*=highlight-]").className, getComputedStyle(e).overflowX]),
})"""
TERMINAL = ("highlight-console", "highlight-text")
"""Keep their columns: on a narrow screen they scroll within themselves."""


@pytest.mark.timeout(600)
def test_pages_and_their_code_fit(site: Path, browser: Browser) -> None:
    page = browser.new_page()
    beyond = []
    for file in sorted(site.rglob("*.html")):
        page.goto(file.as_uri())
        for width in (1280, 400):
            page.set_viewport_size({"width": width, "height": 900})
            found = page.evaluate(WIDE)
            scrolls = [kind.startswith(TERMINAL) and overflow == "auto" for kind, overflow in found["code"]]
            if found["page"] > 0 or (found["code"] if width == 1280 else not all(scrolls)):
                beyond.append(f"{file.relative_to(site)}, {width} wide: {found}")
    page.close()
    assert not beyond


def test_the_home_page_has_a_picture_says_why_and_leads_to_each_guide(site: Path, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto((site / "index.html").as_uri())
    assert page.locator("article img").first.evaluate("e => e.complete && e.naturalWidth > 600")
    for reason in ("on every docker compose up", "up --wait", "dead container"):
        assert page.locator("article p", has_text=reason).first.is_visible(), reason
    shown = page.locator(".sidebar-tree a").evaluate_all(
        "all => all.filter(e => e.checkVisibility()).map(e => e.href)"
    )
    guides = {f"how-to/{path.stem}.html" for path in (DOCS / "how-to").glob("*.md")}
    assert guides <= {"/".join(link.rsplit("/", 2)[-2:]) for link in shown}
    page.close()


def test_what_loads_from_elsewhere_is_found() -> None:
    for text in (
        '<script src="https://cdn.example/x.js">',
        '<link rel="preconnect" href="https://fonts.example">',
        '<link href="//fonts.example/css" rel="stylesheet">',
        "@font-face { src: url(https://fonts.example/x.woff2) }",
    ):
        assert LOADED.search(text), text
    assert not LOADED.search('<a href="https://git.example/inithold">')


def rows(page: str) -> dict[str, str]:
    """The first and the last column of every row of a page's tables whose first cell is code."""
    found = {}
    for line in (DOCS / "reference" / page).read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) > 1 and cells[0].startswith("`"):
            for name in re.findall(r"`([^`]+)`", cells[0]):
                found[name] = cells[-1]
    return found


def test_the_page_of_events_is_current() -> None:
    told = rows("events.md")
    for event in set(events.Event.__subclasses__()) - {events.FromUserCode}:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", event.__name__).lower()
        members = [field for field in event.__struct_fields__ if field not in ("at", "level")]
        assert name in told, name
        assert sorted(re.findall(r"`(\w+)`", told[name])) == sorted(members), name


def test_the_page_of_the_plan_has_every_key() -> None:
    told = rows("plan.md")
    keys = {name.removesuffix("_") for struct in (PlanFile, StepEntry) for name in struct.__struct_fields__}
    assert keys <= set(told), keys - set(told)


def test_the_page_of_variables_has_every_setting() -> None:
    told = rows("operators.md")
    for name in Settings.__struct_fields__:
        assert f"INITHOLD_{name.upper()}" in told
