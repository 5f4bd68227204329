"""Pages over HTTP: what they show, what a browser may do with them, and who gets in."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.api.examples import DIGITS, STUDY
from service.api.recorded import recorded
from service.app import create_app
from service.kept import kept
from service.pages.policy import CONTENT_SECURITY_POLICY
from service.settings import Settings
from service.store.tables import JobState
from tests.service.api.test_tuning_jobs import parts_of, write
from tuner.recommendation import Recommendation
from tuner.study_findings import StudyFindings

OURS = {"Origin": "http://127.0.0.1"}
ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</textarea><script>alert(1)</script>",
    "</script><script>alert(1)</script>",
)


class Structure(HTMLParser):
    """Collects what a page is made of.

    Args:
        text: The page.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every element of a kind."""
        return [attributes for name, attributes in self.tags if name == tag]


def post(client: TestClient, address: str, spec: Any, **headers: str) -> Any:
    """Send a form, as our own page does unless it is said otherwise."""
    text = spec if isinstance(spec, str) else json.dumps(spec)
    sent = {**OURS, **headers}
    return client.post(address, data={"spec": text}, headers=sent, follow_redirects=False)


def start(client: TestClient, address: str = "/jobs", spec: Any = DIGITS) -> str:
    """Queue a job and say where its page is."""
    response = post(client, address, spec)
    assert response.status_code == 303, response.text
    location: str = response.headers["location"]
    return location


@pytest.fixture
def answered(client: TestClient) -> str:
    """The page of a job that has succeeded, with the answer of a real one."""
    address = start(client)
    answer = Recommendation.model_validate(recorded()["get_recommendation"])
    progress = recorded()["get_tuning_job"]["progress"]
    views = [
        {**recorded()["list_trials"]["items"][number % 2], "number": number}
        for number in range(230)
    ]
    write(client, address, state=JobState.RUNNING, stage="search", progress=progress)
    write(client, address, trials=dict(enumerate(views)))
    write(client, address, state=JobState.SUCCEEDED, stage="recommend", answer=kept(answer).answer)
    return address


@pytest.fixture
def studied(client: TestClient) -> str:
    """The page of a study that has succeeded."""
    address = start(client, "/studies", STUDY)
    stored = kept(StudyFindings.model_validate(recorded()["get_study_findings"]))
    write(client, address, state=JobState.RUNNING)
    write(
        client,
        address,
        state=JobState.SUCCEEDED,
        stage="findings",
        answer=stored.answer,
        findings=stored.findings,
    )
    return address


def test_the_list_shows_jobs_devices_and_examples(client: TestClient) -> None:
    """Both kinds of jobs link to their pages, newest first, and both can be started."""
    job, study = start(client), start(client, "/studies", STUDY)
    page = client.get("/").text
    assert page.index(study) < page.index(job)
    assert "cnn (builtin)" in page
    assert "digits (sklearn)" in page
    assert "No controller was seen yet" in page
    forms = Structure(page).all("form")
    assert [form["action"] for form in forms] == ["/jobs", "/studies"]
    assert html.escape(json.dumps(DIGITS, indent=2)).replace("&quot;", "&#34;") in page


def test_every_page_says_what_a_browser_may_do(
    client: TestClient, answered: str, studied: str
) -> None:
    """Nothing from elsewhere, nothing inline, no frame, no guessing of types, no caching."""
    for address in ("/", answered, studied, f"{answered}/figures", f"{answered}/trials", "/jobs/x"):
        response = client.get(address)
        assert response.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "same-origin"
        assert response.headers["cache-control"] == "no-store"
        found = Structure(response.text)
        assert not found.all("style")
        for tag, attributes in found.tags:
            assert not any(name == "style" or name.startswith("on") for name in attributes), tag
        for script in found.all("script"):
            assert script.get("type") == "application/json" or script["src"]
        for address_of in [one.get("src") for one in found.all("script")]:
            assert address_of is None or address_of.startswith("/static/")
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def test_every_page_can_be_found_ones_way_about(
    client: TestClient, answered: str, studied: str
) -> None:
    """One first heading, no level left out, one main part, tables with captions and scopes."""
    for address in ("/", answered, studied, f"{answered}/figures", f"{answered}/trials"):
        found = Structure(client.get(address).text)
        levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch("h[1-6]", tag)]
        assert levels.count(1) == 1
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        assert [len(found.all(tag)) for tag in ("main", "header", "nav", "footer")] == [1] * 4
        assert found.all("html") == [{"lang": "en"}]
        assert len(found.all("table")) == len(found.all("caption"))
        assert all("scope" in cell for cell in found.all("th"))
        names = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
        assert len(names) == len(set(names))
        labels = {one["for"] for one in found.all("label")}
        assert {area["id"] for area in found.all("textarea")} <= labels


def test_an_answer_is_a_card(client: TestClient, answered: str) -> None:
    """The knobs, the interval, the warnings and what can be copied stand on the page."""
    page = client.get(answered).text
    answer = recorded()["get_recommendation"]
    taken = answer["time_to_target_seconds"]
    assert "Recommendation" in page
    assert f"<dd>{answer['global_batch_size']}</dd>" in page
    assert f"95 % interval {taken['low'] * 1e3:.3g} ms" in page or taken["low"] >= 1
    for caution in answer["warnings"]:
        assert str(html.escape(caution["detail"], quote=False)[:40]) in page
    assert "batchscout tune spec.json" in page
    assert page.count("aria-current") == 0


def test_trials_come_by_the_hundred(client: TestClient, answered: str) -> None:
    """The page has the first hundred; links lead through the rest without a gap."""
    numbers: list[str] = []
    address = answered
    while True:
        page = client.get(address).text
        numbers += re.findall(r'<tr data-number="(\d+)"', page)
        more = re.search(r'<a href="([^"]+)" data-more', page)
        if more is None:
            break
        address = html.unescape(more[1])
    assert numbers == [str(number) for number in range(230)]


def test_a_stage_is_marked_with_what_it_measures(client: TestClient) -> None:
    """A running job shows the stage that it is in, what is behind it and what lies ahead."""
    address = start(client)
    progress = {**recorded()["get_tuning_job"]["progress"], "stage": "race"}
    write(client, address, state=JobState.RUNNING, stage="race", progress=progress)
    page = client.get(address).text
    assert page.count('aria-current="step"') == 1
    stages = re.findall(r'<li class="(\w+)"[^>]*><span[^>]*>.</span> <b>(\w+)</b>', page)
    assert ("now", "race") in stages
    assert stages.index(("now", "race")) == 4
    assert {when for when, _ in stages[:4]} == {"done"}
    assert {when for when, _ in stages[5:]} == {"ahead"}
    assert "batch 64" in page
    part = client.get(f"{address}/live").text
    assert "<html" not in part
    parts = re.findall(r'id="(\w+)" data-part', part)
    assert parts == ["outcome", "progress"]
    assert all(f'id="{name}" data-part' in page for name in parts)


def test_claims_come_first_on_a_study(client: TestClient, studied: str) -> None:
    """Each claim stands with its verdict before the figures, and links to the figure."""
    page = client.get(studied).text
    claims = recorded()["get_study_findings"]["claims"]
    assert claims
    for claim in claims:
        assert page.index(html.escape(claim["statement"])) < page.index('id="figures"')
        assert (f'href="#shows-{claim["figure"]}"' in page) == (claim["effect"] is not None)


def test_figures_carry_a_sentence_and_their_numbers(client: TestClient, studied: str) -> None:
    """Every figure has a title, a sentence, a drawing that is JSON, and a table."""
    part = client.get(f"{studied}/figures?part=true").text
    found = Structure(part)
    assert found.all("figure")
    counts = {tag: len(found.all(tag)) for tag in ("figure", "figcaption", "table", "details")}
    assert len(set(counts.values())) == 1, counts
    for drawing in re.findall(r'<script type="application/json">(.*?)</script>', part, re.DOTALL):
        assert set(json.loads(drawing)) == {"data", "layout"}
    name = re.search(r'id="figure-([^"]+)"', part)
    assert name is not None
    assert client.get(f"{studied}/figures/{name[1]}").status_code == 200
    assert client.get(f"{studied}/figures/none").status_code == 404


def attacked(attack: str) -> dict[str, Any]:
    """A request that is written by somebody who means harm."""
    model = {"kind": "entrypoint", "entrypoint": attack, "options": {attack: attack}}
    return {**DIGITS, "model": model, "dataset": {"kind": "files", "path": attack}}


@pytest.mark.parametrize("attack", ATTACKS)
def test_markup_in_names_is_text(client: TestClient, attack: str) -> None:
    """Entry points, options and file names that are markup add no element to any page."""
    ours = Structure(client.get("/").text).all("script")[0]["src"]
    job = parts_of(client).jobs.create(attacked(attack), "sha256:0", max_queued=9)
    trial = {**recorded()["list_trials"]["items"][0], "request_id": attack}
    best = {**recorded()["get_tuning_job"]["progress"], "best": {"learning_rate": attack}}
    path = f"/jobs/{job.id}"
    write(client, path, state=JobState.RUNNING, stage="race", progress=best, trials={0: trial})
    for page in ("/", path, f"{path}/figures", f"{path}/trials"):
        text = client.get(page).text
        found = Structure(text)
        assert attack not in text
        assert not found.all("img")
        assert [one["src"] for one in found.all("script") if "src" in one] == [ours]
        assert all(one.get("type") == "application/json" for one in found.all("script")[1:])
    refused = post(client, "/jobs", attacked(attack))
    assert refused.status_code == 422
    assert attack not in refused.text
    assert not Structure(refused.text).all("img")


def test_a_refused_form_comes_back_with_what_is_wrong(client: TestClient) -> None:
    """The text is kept, the field is named, and nothing is queued."""
    spec = {**STUDY, "seeds": 0, "note": "mine"}
    response = post(client, "/studies", spec)
    assert response.status_code == 422
    assert "<code>/seeds</code>" in response.text
    assert "&#34;note&#34;: &#34;mine&#34;" in response.text
    assert post(client, "/jobs", "{").status_code == 400
    assert client.get("/v1/tuning-jobs").json()["items"] == []
    assert client.get("/v1/batch-size-studies").json()["items"] == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-site"},
        {"Origin": "http://127.0.0.1:99", "Sec-Fetch-Site": "same-origin"},
        {"Origin": ""},
    ],
)
def test_no_other_site_can_send_the_form(client: TestClient, headers: dict[str, str]) -> None:
    """A form that does not come from our own page starts nothing."""
    assert post(client, "/jobs", DIGITS, **headers).status_code == 403
    assert client.get("/v1/tuning-jobs").json()["items"] == []


def test_a_job_is_cancelled_from_its_page(client: TestClient) -> None:
    """The button is a plain form of our own; where nothing is left to cancel there is none."""
    address = start(client)
    form = next(one for one in Structure(client.get(address).text).all("form"))
    assert (form["method"], form["action"]) == ("post", f"{address}/cancel")
    assert client.post(form["action"], headers={"Origin": "http://evil.example"}).status_code == 403
    led = client.post(form["action"], headers=OURS, follow_redirects=False)
    assert (led.status_code, led.headers["location"]) == (303, address)
    page = client.get(address).text
    assert not Structure(page).all("form")
    assert "cancelled" in page
    gone = client.post("/jobs/tj_none/cancel", headers=OURS)
    assert gone.status_code == 404


def test_a_form_that_does_not_say_whence_is_refused(client: TestClient) -> None:
    """Neither origin nor referrer: it is not from a browser that shows our page."""
    response = client.post("/jobs", data={"spec": json.dumps(DIGITS)})
    assert response.status_code == 403
    content = json.dumps(DIGITS)
    response = client.post("/jobs", content=content, headers={**OURS, "Content-Type": "text/plain"})
    assert response.status_code == 415


def test_pages_of_the_other_kind_are_not_there(client: TestClient) -> None:
    """A study has no page among jobs; the page that says so is one for people."""
    name = start(client, "/studies", STUDY).rpartition("/")[2]
    response = client.get(f"/jobs/{name}")
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")
    assert client.get(f"/jobs/{'x' * 500}").status_code == 404


def test_static_files_are_kept_by_their_digest(client: TestClient) -> None:
    """What a page names is kept for ever, packed; there is no way to another file."""
    for address in re.findall(r'"(/static/[^"]+)"', client.get("/").text):
        response = client.get(html.unescape(address))
        assert response.status_code == 200
        assert "immutable" in response.headers["cache-control"]
        assert response.headers["content-encoding"] == "gzip"
        plain = client.get(html.unescape(address), headers={"accept-encoding": "identity"})
        assert plain.content == response.content
        assert "content-encoding" not in plain.headers
    assert "immutable" not in client.get("/static/page.css?v=old").headers["cache-control"]
    for name in ("none.js", "..%2Froutes.py", "plotly-cartesian.lock.json"):
        assert client.get(f"/static/{name}").status_code == 404


def test_the_script_is_small(client: TestClient) -> None:
    """One script of at most 15 kB that makes no markup out of text."""
    text = client.get("/static/page.js").text
    assert len(text.encode()) <= 15_000
    assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\b", text)


@pytest.fixture
def keyed(settings: Settings) -> Iterator[TestClient]:
    """A client of a service that demands keys, and has none yet."""
    app = create_app(settings.model_copy(update={"require_keys": True}))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def test_without_a_key_a_page_asks_for_one(keyed: TestClient) -> None:
    """The door shows nothing of what is behind it; what draws it is open."""
    for address in ("/", "/jobs/tj_none", "/studies/bs_none/figures", "/parts/list"):
        response = keyed.get(address)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
        assert 'id="door"' in response.text
        assert "tj_none" not in response.text
    assert keyed.get("/static/page.js").status_code == 200
    assert post(keyed, "/jobs", DIGITS).status_code == 401


def test_a_key_opens_ones_own_jobs(keyed: TestClient) -> None:
    """Each key sees its own jobs and nobody else's."""
    keys = [parts_of(keyed).keys.create(name)[1] for name in ("ann", "bob")]
    ann, bob = ({"Authorization": f"Bearer {key}"} for key in keys)
    address = post(keyed, "/jobs", DIGITS, **ann).headers["location"]
    assert keyed.get(address, headers=ann).status_code == 200
    assert keyed.get(address, headers=bob).status_code == 404
    assert address in keyed.get("/", headers=ann).text
    assert address not in keyed.get("/", headers=bob).text


def test_a_page_answers_for_this_machine_alone(client: TestClient) -> None:
    """A name of somebody else's that leads here is told apart."""
    assert client.get("/", headers={"host": "evil.example"}).status_code == 421
