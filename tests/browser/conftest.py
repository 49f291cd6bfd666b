"""A real headless Chromium, shared by the tests of a module; it opens files and reaches nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

expect.set_options(timeout=60_000)
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def _chromium() -> str | None:
    """Returns the path of a Chromium that runs: on Ubuntu, what apt installs under that name only asks for a snap."""
    for path in filter(None, (os.environ.get("NEUROPT_CHROMIUM"), *map(shutil.which, _NAMES))):
        if subprocess.run([path, "--version"], capture_output=True, check=False, timeout=60).returncode == 0:
            return path
    return None


# Not for the whole session: while playwright is at work, this thread has a running event loop, which tests of other
# folders that the same process runs would meet.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The browser; without one a skip that says how to get it, or, where it is said to be required, a failure."""
    path = _chromium()
    if path is None:
        missing = "there is no Chromium on this machine: tests/browser/up.sh installs one, as root on Debian"
        (pytest.fail if os.environ.get("NEUROPT_BROWSER") == "required" else pytest.skip)(missing)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=list(_FLAGS), timeout=180_000)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where screenshots are kept after the tests, for whoever judges by looking; git does not see it."""
    folder = Path(__file__).parents[2] / "build" / "report-screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
