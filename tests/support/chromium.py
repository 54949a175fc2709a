"""A real headless Chromium for tests of the report; without one they are skipped, and say so."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
PROGRAM = next(filter(None, map(shutil.which, _NAMES)), None)
MISSING = (
    f"no browser: {' or '.join(_NAMES)} must be installed"
    if PROGRAM is None
    else ""
    if find_spec("playwright")
    else "no playwright: pip install playwright"
)
MILLISECONDS = 60_000
"""That Playwright waits before it gives up."""
needs_chromium = pytest.mark.skipif(bool(MISSING), reason=MISSING or "there is one")


@contextmanager
def chromium() -> Iterator[Any]:
    """Give a running browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=list(_FLAGS))
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, and all that it did beside being shown."""

    page: Any
    troubles: list[str] = field(default_factory=list)
    """Errors and warnings of the console, exceptions, dialogs."""
    requests: list[str] = field(default_factory=list)
    """What it asked for, itself among them."""

    def text(self, selector: str) -> str:
        """The text of the first element, as it is shown."""
        return str(self.page.locator(selector).first.inner_text())

    def wait(self, condition: str) -> None:
        """Wait until a JavaScript expression is true.

        Playwright's own way would have the page evaluate a text, which its policy forbids.
        """
        deadline = time.monotonic() + 60
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline, condition
            self.page.wait_for_timeout(20)

    def status(self, words: str) -> None:
        """Wait until the list says how many episodes there are."""
        self.wait(f"document.getElementById('status').textContent === {words!r}")


@contextmanager
def opened(browser: Any, url: str, **settings: Any) -> Iterator[Watched]:
    """Give a new page on a URL; nothing may have gone wrong in it when it is left."""
    context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | settings)
    watched = Watched(context.new_page())
    page = watched.page
    page.set_default_timeout(MILLISECONDS)
    quiet = ("log", "info", "debug")
    page.on("console", lambda m: m.type in quiet or watched.troubles.append(m.text))
    page.on("pageerror", lambda error: watched.troubles.append(str(error)))
    page.on("dialog", lambda dialog: (watched.troubles.append("dialog"), dialog.dismiss()))
    page.on("request", lambda request: watched.requests.append(request.url))
    page.goto(url)
    yield watched
    assert watched.troubles == []
    context.close()
