"""A page in a browser, with what it complained of and what it asked of the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page


@dataclass
class Opened:
    """A page and what it did.

    Attributes:
        page: The page.
        complaints: What its console, its errors and its dialogs said.
        requests: The addresses that it asked for.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def count(self, selector: str) -> int:
        """Returns how many elements there are."""
        return self.page.locator(selector).count()

    def shown(self) -> list[int]:
        """Returns the trials in the table, in its order."""
        rows = "[...document.querySelectorAll('#trials > tbody')].filter(row => row.offsetParent !== null)"
        found: list[int] = self.page.evaluate(f"{rows}.map(row => Number(row.id.slice(6)))")
        return found

    def calm(self) -> None:
        """Fails if the page complained, or asked for anything but itself."""
        assert self.complaints == []
        assert [address for address in self.requests if not address.startswith("file://")] == []
        assert len(self.requests) == 1


@contextmanager
def opened(browser: Browser, file: Path, width: int = 1280, height: int = 900, **more: Any) -> Iterator[Opened]:
    """Opens a file; `more` goes to the browser's context.

    Args:
        browser: The browser.
        file: The page.
        width: Of the window, in CSS pixels.
        height: Of the window.
        more: E.g. ``color_scheme="dark"``.
    """
    context = browser.new_context(viewport={"width": width, "height": height}, **more)
    context.set_default_timeout(180_000)
    page = context.new_page()
    made = Opened(page)
    page.on("console", lambda message: made.complaints.append(message.text))
    page.on("pageerror", lambda error: made.complaints.append(str(error)))
    page.on("dialog", lambda dialog: made.complaints.append(dialog.message))
    page.on("request", lambda request: made.requests.append(request.url))
    page.goto(file.resolve().as_uri())
    yield made
    context.close()
