"""Pages that live: they follow a job, survive what happens to it, and never run what they show."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from service.api.examples import DIGITS
from service.settings import Settings
from service.store.tables import JobState
from service.supervise import Embedded
from tests.browser.conftest import Tabs
from tests.browser.serving import Serving
from tests.integration.jobs import SPEC

pytestmark = pytest.mark.full

PATIENCE_MILLISECONDS = 240_000
Open = Callable[..., Page]


def test_a_page_lives_through_a_real_job(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started from the form, followed to its answer without a reload, figures drawn on the way."""
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with Embedded(Settings(data_dir=tmp_path / "data", port=0)) as service:
        page = opened(service.url)
        page.get_by_text("Tune a small convolutional").click()
        page.get_by_label("Request").first.fill(json.dumps(SPEC))
        page.get_by_role("button", name="Start").first.click()
        page.wait_for_url("**/jobs/tj_*")
        page.evaluate("window.same = true")
        stages = page.locator("[aria-current=step] b")
        trained = re.compile("race|search|confirm")
        expect(stages).to_have_text(trained, timeout=PATIENCE_MILLISECONDS)
        expect(page.locator("#said")).to_have_text(re.compile("stage (race|search|confirm)"))
        expect(page.locator("#trial-table tbody tr").first).to_be_visible()
        ended = page.locator("#connection[data-state=ended]")
        expect(ended).to_contain_text("succeeded", timeout=PATIENCE_MILLISECONDS)
        expect(page.get_by_role("heading", name="Recommendation")).to_be_visible()
        figures = page.locator("figure")
        figures.first.wait_for()
        for index in range(figures.count()):
            figures.nth(index).scroll_into_view_if_needed()
            figures.nth(index).locator("svg.main-svg").first.wait_for()
        assert page.evaluate("window.same")
        listed = opened(service.url)
        expect(listed.get_by_role("row").filter(has_text="succeeded")).to_be_visible()


def test_a_page_resumes_where_its_connection_broke(tabs: Tabs, serving: Serving) -> None:
    """The service goes away and comes back: both are said, and nothing that happened is missing."""
    job = serving.create()
    serving.run(job, number=0)
    page = tabs.open(f"{serving.url}/jobs/{job}")
    place = page.locator("#connection")
    expect(place).to_have_attribute("data-state", "live")
    expect(page.locator("#trial-table tbody tr")).to_have_count(1)
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.headers.get("last-event-id", "")))
    serving.stop()
    expect(place).to_have_attribute("data-state", "lost")
    expect(place).to_contain_text("trying again")
    serving.run(job, "search", number=1)
    serving.run(job, "search", number=2)
    serving.start()
    expect(place).to_have_text("Connected again", timeout=30_000)
    expect(page.locator("#trial-table tbody tr")).to_have_count(3)
    expect(page.locator("[aria-current=step] b")).to_have_text("search")
    revisions = [int(one) for one in asked if one]
    assert revisions
    assert min(revisions) >= 2
    assert all("Failed to load resource" in one or "net::" in one for one in tabs.wrong)


def test_a_job_that_is_deleted_while_watched(tabs: Tabs, serving: Serving) -> None:
    """The page says so, and keeps what it showed."""
    job = serving.create()
    serving.run(job)
    page = tabs.open(f"{serving.url}/jobs/{job}")
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    expect(page.locator("#figures figure, #figure-list p").first).to_be_visible()
    serving.jobs.cancel(job)
    serving.write(job, state=JobState.CANCELLED)
    expect(page.locator("#connection")).to_have_text("Ended: cancelled")
    serving.jobs.delete(job)
    expect(page.locator("#connection")).to_have_attribute("data-state", "deleted", timeout=30_000)
    expect(page.locator("#said")).to_have_text("This job was deleted.")
    expect(page.locator("#trial-table tbody tr")).to_have_count(1)
    assert all("404" in one for one in tabs.wrong), tabs.wrong


def test_a_job_is_cancelled_by_its_button(opened: Open, serving: Serving) -> None:
    """The page asks for the end without leaving, and shows that it was asked for."""
    job = serving.create()
    serving.run(job, number=0)
    page = opened(f"{serving.url}/jobs/{job}")
    page.evaluate("window.same = true")
    page.get_by_role("button", name="Cancel this tuning job").click()
    expect(page.locator("#progress .state")).to_contain_text("being cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert page.evaluate("window.same")


def test_two_tabs_follow_one_job(opened: Open, serving: Serving) -> None:
    """Each shows every trial and the end."""
    job = serving.create()
    serving.run(job, number=0)
    pages = [opened(f"{serving.url}/jobs/{job}") for _ in range(2)]
    for page in pages:
        expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    serving.run(job, "search", number=1)
    for page in pages:
        expect(page.locator("#trial-table tbody tr")).to_have_count(2)
    serving.succeed(job)
    for page in pages:
        expect(page.locator("#connection")).to_have_text("Ended: succeeded")
        expect(page.get_by_role("heading", name="Recommendation")).to_be_visible()


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</script><svg onload=alert(1)>",
        "javascript:alert(1)",
    ],
)
def test_markup_in_names_never_runs(opened: Open, serving: Serving, attack: str) -> None:
    """In options, entry points, file names and trials, stored or streamed, it is shown as text."""
    model = {"kind": "entrypoint", "entrypoint": attack, "options": {attack: attack}}
    job = serving.create({**DIGITS, "model": model, "dataset": {"kind": "files", "path": attack}})
    serving.run(job, number=0, request_id=attack)
    page = opened(f"{serving.url}/jobs/{job}")
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    expect(page.locator(".about")).to_contain_text(attack)
    serving.run(job, number=1, request_id=attack)
    expect(page.locator("#trial-table tbody tr")).to_have_count(2)
    opened(serving.url).get_by_text(attack).first.wait_for()
    assert page.locator("main img, main svg[onload]").count() == 0
    assert page.locator("script:not([src]):not([type='application/json'])").count() == 0


def test_a_key_is_asked_for_and_kept_in_the_tab(tabs: Tabs, tmp_path: Path) -> None:
    """A wrong one is refused, the right one opens pages and streams, and no address holds it."""
    settings = Settings(data_dir=tmp_path / "data", port=0, require_keys=True)
    with Serving(settings) as serving:
        _, key = serving.keys.create("ann")
        page = tabs.open(serving.url)
        page.get_by_label("Key").fill("bs_wrong")
        page.get_by_role("button", name="Open").click()
        expect(page.locator("#key-wrong")).to_contain_text("not known")
        page.get_by_label("Key").fill(key)
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("heading", name="Jobs and studies")).to_be_visible()
        page.get_by_text("Tune a small convolutional").click()
        page.get_by_role("button", name="Start").first.click()
        page.wait_for_url("**/jobs/tj_*")
        expect(page.locator("#connection")).to_have_attribute("data-state", "live")
        job = page.url.rpartition("/")[2]
        serving.run(job, number=0)
        expect(page.locator("[aria-current=step] b")).to_have_text("race")
        assert key not in page.url
        assert page.evaluate("document.cookie + localStorage.length") == "0"
        elsewhere = tabs.open(f"{serving.url}/jobs/{job}")
        expect(elsewhere.get_by_role("heading", name="A key is needed")).to_be_visible()
    assert all("401" in one or "net::" in one for one in tabs.wrong), tabs.wrong


def test_everything_is_read_without_script(browser: Browser, serving: Serving) -> None:
    """Progress, answer, trials and figures; and the form starts a job, or says what is wrong."""
    job = serving.create()
    serving.run(job)
    serving.succeed(job)
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"{serving.url}/jobs/{job}")
    expect(page.get_by_role("heading", name="Recommendation")).to_be_visible()
    page.get_by_role("link", name="All figures with their tables").click()
    expect(page.locator("figure table").first).to_be_attached()
    page.goto(serving.url)
    page.locator("summary").first.click()
    page.get_by_label("Request").first.fill(json.dumps({**DIGITS, "seed": -1}))
    page.get_by_role("button", name="Start").first.click()
    expect(page.locator(".wrong").first).to_contain_text("/seed")
    page.get_by_label("Request").first.fill(json.dumps(DIGITS))
    page.get_by_role("button", name="Start").first.click()
    page.wait_for_url("**/jobs/tj_*")
    page.close()
