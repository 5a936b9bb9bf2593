"""Makes the pictures of the README from real runs: python docs/make_images.py

Runs the demo, writes its report with `inithold report`, and photographs that in Chromium, which must be installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMAGES = Path(__file__).parent / "images"
WIDTH = 1200
sys.path.insert(0, str(ROOT / "tests"))


def main() -> int:
    """Make every picture."""
    from servers.chromium import chromium, executable  # noqa: PLC0415 - found on the path set above

    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium(executable()) as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": 700}, color_scheme="light")
        page.goto(_report(Path(folder)).as_uri())
        page.locator("summary", has_text="migrate").click()
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
        below = page.locator("#about").bounding_box()
        height = below["y"] - 16 if below else None
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": height or 700}
        page.screenshot(path=IMAGES / "report.png", full_page=True, clip=clip)  # type: ignore[arg-type]
    return 0


def _report(folder: Path) -> Path:
    """The report of the demo's first run."""
    shutil.copytree(ROOT / "demo", folder, dirs_exist_ok=True)
    marker = folder / "init-complete"
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": "sqlite:///game.db",
        "INITHOLD_MARKER": str(marker),
    }
    for command in (["run", "--once"], ["report", "-o", "report.html"]):
        subprocess.run([sys.executable, "-m", "inithold", *command], cwd=folder, env=environment, check=True)
    return folder / "report.html"


if __name__ == "__main__":
    raise SystemExit(main())
