"""A real browser, a service that the test drives, and tabs that remember what went wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from service.settings import Settings
from tests.browser.serving import Serving

REPOSITORY = Path(__file__).resolve().parents[2]
KEPT = REPOSITORY / ".browser"


@pytest.fixture(scope="session")
def tools() -> Path:
    """The folder with the browser. Where a registry cannot be reached, the test fails."""
    install = [REPOSITORY / "scripts" / "install-browser", sys.executable, KEPT]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    fetch = [sys.executable, REPOSITORY / "scripts" / "fetch-plotly"]
    fetched = subprocess.run(fetch, capture_output=True, text=True, check=False)
    for run in (done, fetched):
        if run.returncode != 0:
            pytest.fail(f"cannot be installed:\n{run.stdout[-1500:]}{run.stderr[-1500:]}")
    return KEPT


@pytest.fixture(scope="module")
def browser(tools: Path) -> Iterator[Browser]:
    """The browser. It is closed with each module: it keeps an event loop in this thread."""
    with sync_playwright() as playwright:
        path = tools / "bin" / "chromium"
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    """A service that the test drives."""
    with Serving(Settings(data_dir=tmp_path / "data", port=0, heartbeat_seconds=1.0)) as serving:
        yield serving


class Tabs:
    """Opens tabs, and collects what their console says is wrong.

    Args:
        browser: Where.
    """

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._pages: list[Page] = []
        self.wrong: list[str] = []

    def open(self, address: str, *, scheme: str = "light", width: int = 1280) -> Page:
        """Open an address in a tab of its own."""
        page = self._browser.new_page(
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": 900},
        )
        self._pages.append(page)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("dialog", lambda dialog: self.wrong.append(dialog.message))
        page.goto(address)
        return page

    def close(self) -> None:
        """Close them all."""
        for page in self._pages:
            page.close()

    def _note(self, message: ConsoleMessage) -> None:
        if message.type not in {"log", "info", "debug"}:
            self.wrong.append(f"{message.type}: {message.text} {message.location['url']}")


@pytest.fixture
def tabs(browser: Browser) -> Iterator[Tabs]:
    """Tabs; a test says itself what may be wrong with them."""
    tabs = Tabs(browser)
    yield tabs
    tabs.close()


@pytest.fixture
def opened(tabs: Tabs) -> Iterator[Callable[..., Page]]:
    """Opens tabs whose console may say nothing at all."""
    yield tabs.open
    assert tabs.wrong == []
