"""A real browser and real servers for the tests of pages, and where screenshots are kept."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
#: Kept by CI, ignored by git.
SCREENSHOTS = ROOT / "test-artifacts" / "screenshots"
#: No start-up traffic of the browser's own, and no sandbox, which root in a container has not.
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]  # fmt: skip


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium; skip where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("needs Chromium, which is not installed: apt-get install chromium")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


def wait_for(address: str, process: subprocess.Popen, within_s: float = 180) -> None:
    """Wait until a server answers; MLflow's takes its time on a busy machine."""
    end = time.monotonic() + within_s
    while True:
        assert process.poll() is None, "the server ended"
        assert time.monotonic() < end, f"{address} does not answer"
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address, timeout=5).close()  # noqa: S310 - our own server
            return
        time.sleep(0.2)


def until(page: Page, expression: str, within_s: float = 15) -> None:
    """Wait until a JavaScript expression is true; the page's own policy forbids it to poll."""
    end = time.monotonic() + within_s
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never true: {expression}"
        page.wait_for_timeout(20)


def shoot(page: Page, name: str) -> None:
    """Keep a screenshot of the whole page."""
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
