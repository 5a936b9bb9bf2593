"""A real Chromium without a window, for tests of pages.

It is Debian's package, which `tests/install-servers` brings, or whichever is there: Playwright downloads none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from servers.programs import program

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def executable() -> str:
    """The path of the browser; raises `MissingProgram`."""
    return program("chromium", "chromium-browser", "google-chrome", "Chromium", "Google Chrome")


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """The browser, with a profile of its own that is removed at the end."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()
