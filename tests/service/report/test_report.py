"""A report holds everything, stands alone, and lets nothing that a user wrote become markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.charts import charts_of
from service.evidence import TuningEvidence
from service.report import MEDIA_TYPES, ReportFormat, write_report
from service.report.html import BUNDLE, as_html
from service.report.of_study import study_report
from service.report.of_tuning import tuning_report
from service.settings import Settings
from service.store.jobs import Jobs
from service.store.ledger import Ledger
from tests.service.evidence.gathered import driven, ended_study, ended_tuning, evidence_of
from tests.service.report.hostile import HOSTILE
from tuner.recommendation import Caution

ALL_AT_ONCE = " ".join(HOSTILE)
EMPTY = {"meta", "link", "img", "br", "hr", "input", "circle", "path", "rect", "line"}


class Page(HTMLParser):
    """Elements, their attributes and their scripts, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element without content."""
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Elements end in the order in which they began."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note texts and scripts."""
        where = self.open[-1] if self.open else ""
        {"script": self.scripts, "style": self.styles}.get(where, self.text).append(data)


@pytest.fixture
def evidence() -> TuningEvidence:
    """Of a job that ended."""
    return ended_tuning()


def bundle_at(folder: Path) -> Path:
    """A script in the place of Plotly's, with what a script may hold."""
    bundle = folder / "plotly.js"
    bundle.write_text('var Plotly = {newPlot() {}, markup: "</script><!-- "};', "utf-8")
    return bundle


def assert_alone(page: Page) -> None:
    """Nothing is loaded, nothing is linked outside, nothing runs but what the policy names."""
    for tag, attributes in page.elements:
        assert tag not in {"img", "iframe", "object", "embed", "link", "base", "form"}
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in {"style", "src", "srcset", "action", "background"}
            if name == "href":
                assert (value or "").startswith("#")


def test_the_page_says_everything(evidence: TuningEvidence) -> None:
    """Every run, every chart with its sentence and numbers, and every candidate is there."""
    page = Page(as_html(tuning_report(evidence), bundle=Path("nowhere")))
    assert_alone(page)
    text = " ".join(page.text)
    for run in evidence.runs:
        assert run.request_id in text
    for chart in charts_of(evidence):
        assert chart.summary in text
    assert evidence.spec_digest in text
    assert "batchscout tune request.json --force" in text
    assert "Plotly's bundle was not installed" in text
    assert sum(tag == "svg" for tag, _ in page.elements) == len(charts_of(evidence))
    assert not page.scripts
    tags = [tag for tag, _ in page.elements]
    assert tags.count("h1") == 1
    assert tags.count("main") == tags.count("nav") == 1
    assert all(at.get("scope") in {"col", "row"} for tag, at in page.elements if tag == "th")
    assert tags.count("caption") == tags.count("table")
    ids = [at["id"] for _, at in page.elements if "id" in at]
    assert len(set(ids)) == len(ids)
    targets = {(at["href"] or "")[1:] for tag, at in page.elements if tag == "a"}
    assert targets <= set(ids)


def test_with_the_bundle_figures_are_live(evidence: TuningEvidence, tmp_path: Path) -> None:
    """The policy names each script by its hash, and no script ends early."""
    page = Page(as_html(tuning_report(evidence), bundle=bundle_at(tmp_path)))
    assert_alone(page)
    figures, bundle, live = page.scripts
    assert set(json.loads(figures)) == {chart.name for chart in charts_of(evidence)}
    assert "newPlot" in bundle
    policy = next(
        at["content"]
        for _, at in page.elements
        if at.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    for script in (bundle, live):
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none';")
    assert "script-src 'unsafe" not in policy


@pytest.mark.parametrize("with_bundle", [False, True])
def test_nothing_that_was_written_becomes_markup(
    evidence: TuningEvidence, tmp_path: Path, *, with_bundle: bool
) -> None:
    """A hostile request, warning, name and problem are texts like others."""
    assert evidence.answer is not None
    assert evidence.inspection is not None
    device = replace(evidence.inspection.device, name=ALL_AT_ONCE, kind=ALL_AT_ONCE)
    caution = Caution(code=ALL_AT_ONCE, detail=ALL_AT_ONCE)
    run = replace(evidence.runs[0], request_id=ALL_AT_ONCE)
    hostile = replace(
        evidence,
        spec={**evidence.spec, "model": {"kind": ALL_AT_ONCE, "name": list(HOSTILE)}},
        inspection=replace(evidence.inspection, device=device),
        answer=evidence.answer.model_copy(update={"warnings": [caution]}),
        runs=(run, *evidence.runs[1:]),
        versions={ALL_AT_ONCE: ALL_AT_ONCE},
        events=tuple(replace(one, detail=ALL_AT_ONCE) for one in evidence.events[:2]),
    )
    bundle = bundle_at(tmp_path) if with_bundle else Path("nowhere")
    page = Page(as_html(tuning_report(hostile), bundle=bundle))
    clean = Page(as_html(tuning_report(evidence), bundle=bundle))
    assert_alone(page)
    kinds = {tag for tag, _ in clean.elements}
    assert {tag for tag, _ in page.elements} == kinds
    assert len(page.scripts) == len(clean.scripts)
    assert HOSTILE[0] in " ".join(page.text)


def test_layers_of_a_study_may_have_any_name() -> None:
    """A parameter's name is the user's own, and goes into figures and tables as it is."""
    evidence = ended_study()
    assert evidence.findings is not None
    arms = []
    for arm in evidence.findings.arms:
        runs = []
        for run in arm.runs:
            assert run.minimum is not None
            layers = tuple(
                layer.model_copy(update={"name": f"{ALL_AT_ONCE} {at}"})
                for at, layer in enumerate(run.minimum.layers)
            )
            minimum = run.minimum.model_copy(update={"layers": layers})
            runs.append(run.model_copy(update={"minimum": minimum}))
        arms.append(arm.model_copy(update={"runs": tuple(runs)}))
    findings = evidence.findings.model_copy(update={"arms": tuple(arms)})
    hostile = replace(evidence, findings=findings)
    page = Page(as_html(study_report(hostile), bundle=Path("nowhere")))
    assert_alone(page)
    assert HOSTILE[0] in " ".join(page.text)
    drawn = next(chart for chart in charts_of(hostile) if chart.name == "layers")
    assert all("<" not in name for trace in drawn.data for name in trace["x"])


def test_markdown_keeps_its_tables_whole(evidence: TuningEvidence) -> None:
    """Hostile texts neither break a row nor become tags, links or code."""
    assert evidence.answer is not None
    caution = Caution(code="c", detail=ALL_AT_ONCE)
    hostile = replace(
        evidence,
        answer=evidence.answer.model_copy(update={"warnings": [caution]}),
        spec={"note": ALL_AT_ONCE},
    )
    text = write_report(hostile, ReportFormat.MARKDOWN)
    outside = re.sub(r"^(`{3,})$.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert "<script" not in outside
    assert not re.search(r"(?<!\\)\]\(", outside)
    rows = [line for line in outside.splitlines() if line.startswith("|")]
    assert rows
    assert all(line.endswith(" |") for line in rows)
    for run in evidence.runs:
        assert re.search(rf"^\| {run.number} \| {re.escape(run.request_id)} ", text, re.MULTILINE)


def test_json_has_every_point(evidence: TuningEvidence) -> None:
    """The report for programs holds every evaluation of every run, and the charts."""
    whole = json.loads(write_report(evidence, ReportFormat.JSON))
    assert whole["kind"] == "tuning"
    points = sum(len(run["curve"]) for run in whole["runs"])
    assert points == sum(len(run.curve) for run in evidence.runs)
    assert [chart["name"] for chart in whole["charts"]] == [c.name for c in charts_of(evidence)]


def test_the_commands_ask_the_same_again(evidence: TuningEvidence, tmp_path: Path) -> None:
    """What is to be copied writes the very request into a file, whatever it holds."""
    hostile = replace(evidence, spec={**evidence.spec, "note": [ALL_AT_ONCE, "EOF", "$(x) `x`"]})
    sections = tuning_report(hostile).sections
    code = next(section.code for section in sections if section.code is not None)
    lines = code.splitlines()
    written = lines[next(at for at, line in enumerate(lines) if line.startswith("cat ")) : -1]
    subprocess.run(["bash", "-eu", "-c", "\n".join(written)], cwd=tmp_path, check=True)
    assert json.loads((tmp_path / "request.json").read_text("utf-8")) == hostile.spec


def test_a_study_is_reported() -> None:
    """Claims with their verdicts come first, and every run is there."""
    evidence = ended_study()
    assert evidence.findings is not None
    page = Page(as_html(study_report(evidence), bundle=Path("nowhere")))
    assert_alone(page)
    text = " ".join(page.text)
    for claim in evidence.findings.claims:
        assert claim.statement in text
    for arm in evidence.findings.arms:
        assert all(run.request_id in text for run in arm.runs)
    assert json.loads(write_report(evidence, ReportFormat.JSON))["kind"] == "study"
    assert write_report(evidence, ReportFormat.MARKDOWN).startswith("# Batch")


@pytest.mark.parametrize("turns", [0, 4, 20])
def test_a_job_under_way_is_reported(
    settings: Settings, jobs: Jobs, ledger: Ledger, turns: int
) -> None:
    """A report may be asked for at any time."""
    evidence = evidence_of(settings, jobs, ledger, turns=turns)
    for form in ReportFormat:
        assert evidence.job_id in write_report(evidence, form)


def test_the_api_answers_with_reports(
    settings: Settings, jobs: Jobs, ledger: Ledger, client: TestClient
) -> None:
    """Each format has its media type; what is unknown, or of another kind, is refused."""
    job_id = driven(settings, jobs, ledger).job.id
    for form, media in MEDIA_TYPES.items():
        answer = client.get(f"/v1/tuning-jobs/{job_id}/report", params={"format": form})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == media
        assert job_id in answer.text
    assert client.get(f"/v1/tuning-jobs/{job_id}/report").text.startswith("<!doctype html>")
    assert client.get(f"/v1/batch-size-studies/{job_id}/report").status_code == 404
    assert client.get("/v1/tuning-jobs/tj_none/report").status_code == 404
    assert client.get(f"/v1/tuning-jobs/{job_id}/report?format=pdf").status_code in {400, 422}


def test_the_bundle_is_looked_for_among_the_pages() -> None:
    """Report and pages share one bundle."""
    assert BUNDLE.parts[-4:] == ("service", "pages", "static", "plotly-cartesian.min.js")
