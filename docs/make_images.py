"""Makes the pictures of the README from real runs: make images

Runs the demo: at a terminal, whose screen is photographed while the run goes on; and for its report, written with
`inithold report`. Chromium, which must be installed, is the camera.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]
IMAGES = Path(__file__).parent / "images"
WIDTH = 1200
COLUMNS, ROWS = 84, 34
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "docs")]


def main(images: Path = IMAGES) -> int:
    """Make every picture, in a folder."""
    from servers.chromium import chromium, executable  # noqa: PLC0415 - found on the path set above

    images.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium(executable()) as browser:
        for picture in (_terminal, _report):
            place = Path(folder, picture.__name__)
            shutil.copytree(ROOT / "demo", place)
            picture(place, browser, images)
    return 0


def _environment() -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": "sqlite:///game.db",
        "INITHOLD_MARKER": "init-complete",
    }


def _terminal(folder: Path, browser: Browser, images: Path) -> None:
    """What would change, and the run while its slowest step is left."""
    from terminal import Terminal  # noqa: PLC0415 - as above

    plan = folder / "inithold.yaml"
    # Long enough to be seen on any machine.
    plan.write_text(plan.read_text().replace("sleep 1", "sleep 5"))
    program = [sys.executable, "-m", "inithold"]
    terminal = Terminal(folder, _environment(), COLUMNS, ROWS)
    terminal.run([*program, "plan"], "inithold plan")
    terminal.run([*program, "run", "--once"], "inithold run", until=lambda screen: "4/5" in screen)
    (folder / "screen.html").write_text(terminal.page())
    page = browser.new_page(viewport={"width": WIDTH, "height": 700})
    page.goto((folder / "screen.html").as_uri())
    page.locator("pre").screenshot(path=images / "terminal.png")


def _report(folder: Path, browser: Browser, images: Path) -> None:
    """The report of the first run, one step opened."""
    for command in (["run", "--once"], ["report", "-o", "report.html"]):
        subprocess.run([sys.executable, "-m", "inithold", *command], cwd=folder, env=_environment(), check=True)
    page = browser.new_page(viewport={"width": WIDTH, "height": 700}, color_scheme="light")
    page.goto((folder / "report.html").as_uri())
    page.locator("summary", has_text="migrate").click()
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    below = page.locator("#about").bounding_box()
    height = below["y"] - 16 if below else None
    clip = {"x": 0, "y": 0, "width": WIDTH, "height": height or 700}
    page.screenshot(path=images / "report.png", full_page=True, clip=clip)  # type: ignore[arg-type]


if __name__ == "__main__":
    raise SystemExit(main())
