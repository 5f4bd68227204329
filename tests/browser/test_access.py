"""Pages for everybody: judged by axe, walked through by keyboard, on a phone, in the dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from service.api.examples import STUDY
from service.store.tables import JobKind
from tests.browser.conftest import Tabs
from tests.browser.serving import Serving

pytestmark = pytest.mark.full

Open = Callable[..., Page]


@pytest.fixture
def addresses(serving: Serving) -> list[str]:
    """The list, a job that runs, one with an answer, a study, and a page that is not there."""
    running, answered = serving.create(), serving.create()
    study = serving.create(STUDY, kind=JobKind.STUDY)
    serving.run(running)
    serving.run(answered)
    serving.succeed(answered)
    serving.find(study)
    paths = ["/", f"/jobs/{running}", f"/jobs/{answered}", f"/studies/{study}", "/jobs/none"]
    return [serving.url + path for path in paths]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_serious_is_in_anyones_way(
    tools: Path, tabs: Tabs, addresses: list[str], scheme: str, width: int
) -> None:
    """Axe finds nothing serious or critical, and no page scrolls sideways."""
    judge = (tools / "axe.min.js").read_text()
    for address in addresses:
        page = tabs.open(address, scheme=scheme, width=width)
        for summary in page.locator("main summary").all():
            summary.click()
        if "/jobs/none" not in address and address.count("/") > 3:
            page.locator("#figure-list > *").first.wait_for()
        for plot in page.locator(".plot").all():
            plot.scroll_into_view_if_needed()
            plot.locator("svg").first.wait_for()
        page.evaluate(judge)
        found = page.evaluate("axe.run()")
        wrong = [
            (one["id"], [node["html"][:200] for node in one["nodes"]])
            for one in found["violations"]
            if one["impact"] in {"serious", "critical"}
        ]
        assert wrong == [], address
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.close()


def test_the_keyboard_reaches_everything(opened: Open, addresses: list[str]) -> None:
    """From the link that skips, through details and tables, with a focus that can be seen."""
    page = opened(addresses[2])
    page.locator("#figure-list > *").first.wait_for()
    page.keyboard.press("Tab")
    skip = page.locator(":focus")
    expect(skip).to_have_text("Skip to the content")
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    reached: set[str] = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.count() == 0:
            break
        name = focused.evaluate("one => one.textContent.trim().slice(0, 40) || one.ariaLabel")
        outline = focused.evaluate("one => getComputedStyle(one).outlineStyle")
        assert outline != "none", name
        reached.add(name)
    assert {"As it was asked", "All figures with their tables"} <= reached
    assert any(name.startswith("yaml: ") for name in reached)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copy = page.get_by_role("button", name="Copy yaml")
    copy.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator("#export-yaml").text_content()
    page.get_by_text("As it was asked").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#request pre")).to_be_visible()


def test_more_trials_come_on_demand(opened: Open, serving: Serving) -> None:
    """A thousand trials: a hundred at first, the next at a press, none twice."""
    job = serving.create()
    for number in range(250):
        serving.run(job, number=number)
    page = opened(f"{serving.url}/jobs/{job}")
    rows = page.locator("#trial-table tbody tr")
    expect(rows).to_have_count(100)
    page.locator("[data-more]").press("Enter")
    expect(rows).to_have_count(200)
    page.locator("[data-more]").press("Enter")
    expect(rows).to_have_count(250)
    expect(page.locator("[data-more]")).to_have_count(0)
    numbers = [row.get_attribute("data-number") for row in rows.all()]
    assert numbers == [str(number) for number in range(250)]
