"""The report in a real browser: it fits, it can be read and used, it asks nobody for anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page

from inithold.record.model import Record
from inithold.report.reading import read_all
from inithold.report.render import page as render
from records import BEGAN, failed, hostile, many, ready, write

Show = Callable[..., Page]
HERE = Path(__file__).parent
TOO_FAINT = (HERE / "contrast_of_text.js").read_text()
SHAPES = (HERE / "contrast_of_shapes.js").read_text()
BEYOND = """() => [...document.querySelectorAll("main *:not(.drawing *):not(.lane *), header *")]
  .filter((e) => e.checkVisibility() && !e.matches(".vh"))
  .filter((e) => e.getBoundingClientRect().right > innerWidth + 0.5)
  .map((e) => e.tagName + "." + e.getAttribute("class"))"""
MOVING = """() => [...document.querySelectorAll("*")].filter((e) => {
  const { animationName, transitionDuration, scrollBehavior } = getComputedStyle(e);
  return animationName !== "none" || transitionDuration !== "0s" || scrollBehavior !== "auto";
}).length"""
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")


@pytest.fixture
def trouble() -> list[str]:
    """What the browser said or asked for."""
    return []


@pytest.fixture
def show(browser: Browser, tmp_path: Path, trouble: list[str]) -> Iterator[Show]:
    """Opens the page of records; at the end, that the browser said or asked anything is a failure."""
    contexts = []

    def open_page(*records: Record, width: int = 1440, height: int = 900, **options: Any) -> Page:
        paths = [str(write(record, tmp_path / f"{number}.json")) for number, record in enumerate(records)]
        file = tmp_path / "report.html"
        file.write_bytes(render(read_all(paths)))
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        opened = context.new_page()
        opened.on("console", lambda message: trouble.append(f"{message.type}: {message.text}"))
        opened.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        opened.on("dialog", lambda dialog: trouble.append(f"dialog: {dialog.message}"))
        opened.on("request", lambda asked: asked.url == file.as_uri() or trouble.append(f"request: {asked.url}"))
        opened.goto(file.as_uri())
        return opened

    yield open_page
    for context in contexts:
        context.close()
    assert trouble == []


RECORDS: dict[str, Callable[[], tuple[Record, ...]]] = {
    "ready": lambda: (ready(),),
    "failed": lambda: (failed(),),
    "hostile": lambda: (hostile(),),
    "two": lambda: (ready(), failed(began=BEGAN + 3600, slow=0.8)),
    "three": lambda: (ready(), failed(began=BEGAN + 60), ready(began=BEGAN + 120)),
}


@pytest.mark.parametrize("which", RECORDS)
def test_it_fits_the_window(show: Show, which: str) -> None:
    page = show(*RECORDS[which]())
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    for width in (360, 768, 1440):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(BEYOND) == []


def test_a_graph_of_two_columns_is_whole_on_a_phone(show: Show) -> None:
    page = show(ready(), width=360, height=740)
    assert page.locator(".drawing.down").is_visible()
    assert not page.locator(".drawing.across").is_visible()
    cut = """() => [...document.querySelectorAll(".drawing.down")].map((e) => e.scrollWidth - e.clientWidth)"""
    assert page.evaluate(cut) == [0]
    narrow = """() => [...document.querySelectorAll(".drawing.down .node")].filter((node) => {
      const room = node.querySelector("rect").getBoundingClientRect().right;
      return [...node.querySelectorAll("text")].some((text) => text.getBoundingClientRect().right > room);
    }).map((node) => node.textContent)"""
    assert page.evaluate(narrow) == []


@pytest.mark.parametrize("which", RECORDS)
def test_every_text_can_be_read(show: Show, which: str) -> None:
    page = show(*RECORDS[which]())
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        found = page.evaluate(TOO_FAINT)
        assert found["checked"] > 25
        assert found["faint"] == []


def test_bars_and_signs_can_be_seen(show: Show) -> None:
    page = show(ready())
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        assert {name: ratio for name, ratio in page.evaluate(SHAPES).items() if ratio < 3} == {}


def test_dark_is_dark_and_light_is_light(show: Show) -> None:
    page = show(ready())
    grounds = []
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(246, 247, 249)", "rgb(16, 21, 28)"]


def test_a_click_opens_a_step(show: Show) -> None:
    page = show(failed())
    log = page.get_by_text("reading the players")
    assert not log.is_visible()
    page.locator("summary", has_text="seed").click()
    assert log.is_visible()
    page.locator("summary", has_text="seed").click()
    assert not log.is_visible()


def test_the_keyboard_is_enough(show: Show) -> None:
    page = show(failed())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.locator(".skip").bounding_box()["y"] >= 0  # type: ignore[index] # it is there
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.closest('details.step')?.id") == "step-6":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.get_by_text("reading the players").is_visible()


def test_a_link_to_a_step_opens_it(show: Show) -> None:
    page = show(failed())
    page.locator(".failure a").click()
    page.locator("#step-6[open]").wait_for()  # the page opens it when it hears of the new address
    assert page.evaluate("document.activeElement.closest('details').id") == "step-6"
    page.locator("#step-6 > summary").click()
    page.locator("#step-6:not([open])").wait_for()
    page.locator(".failure a").click()
    page.locator("#step-6[open]").wait_for()
    page.locator(".drawing.across .node").first.click()
    page.locator("#step-1[open]").wait_for()


def test_steps_are_found_and_opened_together(show: Show) -> None:
    page = show(failed())
    page.get_by_placeholder("Find a step").fill("RABBIT")
    shown = page.locator("details.step:visible")
    assert shown.count() == 2
    page.get_by_role("button", name="Open all").click()
    assert page.locator("details.step[open]").count() == 2
    page.get_by_placeholder("Find a step").fill("")
    page.locator("#show").select_option("failed")
    assert shown.count() == 1
    page.locator("#show").select_option("")
    page.get_by_role("button", name="Close all").click()
    assert page.locator("details.step[open]").count() == 0
    assert shown.count() == 6


def test_hostile_text_does_nothing(show: Show) -> None:
    page = show(hostile())
    page.get_by_role("button", name="Open all").click()
    assert page.title() != "owned"
    assert page.locator("main img, main script, main b:not(.tally b)").count() == 0
    assert page.locator(".failure").get_by_text("</script><script>").first.is_visible()


def test_even_a_hole_in_the_escaping_would_run_nothing(show: Show, trouble: list[str]) -> None:
    page = show(ready())
    blocked = page.evaluate(
        """() => new Promise((resolve) => {
          const seen = [];
          document.addEventListener("securitypolicyviolation", (event) => seen.push(event.effectiveDirective));
          const script = document.createElement("script");
          script.textContent = "document.title = 'owned'";
          document.body.append(script);
          const image = document.createElement("img");
          image.src = "https://example.invalid/x.png";
          document.body.append(image);
          document.body.setAttribute("style", "display: none");
          setTimeout(() => resolve([...new Set(seen)].sort()), 200);
        })"""
    )
    assert blocked == ["img-src", "script-src-elem", "style-src-attr"]
    assert page.title() != "owned"
    assert all("Content Security Policy" in said for said in trouble if not said.startswith("request:"))
    trouble.clear()


def test_without_a_script_it_is_all_there(show: Show) -> None:
    page = show(failed(), java_script_enabled=False)
    page.locator("summary", has_text="seed").click()
    assert page.get_by_text("reading the players").is_visible()
    assert not page.get_by_placeholder("Find a step").is_visible()


def test_the_critical_path_goes_on_from_row_to_row(show: Show) -> None:
    page = show(ready())
    boxes = page.evaluate(
        """() => [...document.querySelectorAll(".timeline .link")].map((line) => {
          const box = line.getBoundingClientRect();
          return [box.left, box.top, box.bottom];
        })"""
    )
    assert len(boxes) == 8
    for (x, _, bottom), (next_x, top, _) in pairwise(boxes):
        if abs(x - next_x) < 0.5:
            assert top <= bottom + 0.5


def test_on_paper_everything_is_open_and_light(show: Show) -> None:
    page = show(failed(), color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.get_by_text("reading the players").is_visible()
    assert not page.get_by_role("button", name="Open all").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(TOO_FAINT)["faint"] == []
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not page.get_by_text("reading the players").is_visible()
    assert len(page.pdf()) > 10_000


def test_nothing_moves(show: Show) -> None:
    assert show(ready()).evaluate(MOVING) == 0


def test_a_thousand_steps_open_smoothly(show: Show) -> None:
    page = show(many(1000))
    assert page.locator("details.step").count() == 1000
    # What is far below is not rendered until it is scrolled to.
    skipped = "document.querySelector('#step-1000 .name').checkVisibility({contentVisibilityAuto: true})"
    assert page.evaluate(skipped) is False
    opening = page.evaluate(
        """() => new Promise((resolve) => {
          const began = performance.now();
          document.querySelector("details.step").open = true;
          requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - began)));
        })"""
    )
    assert opening < 2000
    page.evaluate("location.hash = '#step-1000'")
    page.wait_for_function(skipped)
    assert page.locator("#step-1000 .log").is_visible()
    assert not page.locator(".drawing").first.is_visible()
