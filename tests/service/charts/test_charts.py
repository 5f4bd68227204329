"""Charts say the same to Plotly, to readers of tables and to listeners of sentences."""

from __future__ import annotations

import json
import re
from itertools import combinations

import pytest

from service.charts import Chart, charts_of, showing
from service.charts.palette import SCALE, SERIES, ordered, shade
from service.settings import Settings
from service.store.jobs import Jobs
from service.store.ledger import Ledger
from tests.service.charts.seeing import contrast, distance, seen_without_green, seen_without_red
from tests.service.evidence.gathered import ended_study, ended_tuning, evidence_of, study_of
from tests.tuner.world import World

TUNING = {"rate-map", "loss-curves", "finalists", "pareto", "throughput", "memory", "spending"}


def assert_sound(charts: tuple[Chart, ...]) -> None:
    """Names are unique, tables are rectangular, and all of it is strict JSON."""
    names = [chart.name for chart in charts]
    assert len(set(names)) == len(names)
    for chart in charts:
        assert re.fullmatch("[a-z0-9-]+", chart.name)
        assert chart.summary.endswith(".")
        assert chart.title
        assert chart.data
        assert chart.table.rows
        assert {len(row) for row in chart.table.rows} == {len(chart.table.headers)}
        json.dumps(chart.plain(), allow_nan=False)
        assert chart.layout["paper_bgcolor"] == "rgba(0,0,0,0)"
        assert "font" not in chart.layout
        for trace in chart.data:
            assert "z" in trace or len(trace["x"]) == len(trace["y"])


def test_a_job_has_all_its_charts() -> None:
    """A job that ended is shown in every chart there is."""
    evidence = ended_tuning()
    charts = charts_of(evidence)
    assert_sound(charts)
    assert {chart.name for chart in charts} == TUNING
    of = {chart.name: chart for chart in charts}
    answer = evidence.answer
    assert answer is not None
    assert f"batch of {answer.global_batch_size}" in of["rate-map"].summary
    assert len(of["loss-curves"].table.rows) == sum(bool(run.curve) for run in evidence.runs)
    drawn = sum(len(t["x"]) for t in of["rate-map"].data if t["type"] == "scatter") - 1
    assert drawn == len(of["rate-map"].table.rows)


@pytest.mark.parametrize("turns", [0, 1, 3, 6, 12, 30])
def test_a_job_under_way_has_the_charts_of_what_is_known(
    settings: Settings, jobs: Jobs, ledger: Ledger, turns: int
) -> None:
    """Before anything was measured there is no chart, later there are more."""
    charts = charts_of(evidence_of(settings, jobs, ledger, turns=turns))
    assert_sound(charts)
    assert {chart.name for chart in charts} < TUNING
    assert bool(charts) == (turns > 1)


def test_diverged_and_censored_runs_are_marked(
    settings: Settings, jobs: Jobs, ledger: Ledger
) -> None:
    """Each way to end has a mark of its own, and losses that are none are gaps."""
    evidence = evidence_of(settings, jobs, ledger, world=World(diverges_above=1.5))
    of = {chart.name: chart for chart in charts_of(evidence)}
    scatters = [trace for trace in of["rate-map"].data if trace["type"] == "scatter"]
    marks = [trace["marker"]["symbol"] for trace in scatters]
    assert len(set(marks)) == len(marks) >= 4
    assert "diverged" in of["rate-map"].summary


def test_a_study_has_its_charts() -> None:
    """Curves, quantities, layers, gradients, lines, landscapes and the map are drawn."""
    evidence = ended_study()
    charts = charts_of(evidence)
    assert_sound(charts)
    names = {chart.name for chart in charts}
    assert {"claims", "curves-epochs", "minimum-loss", "layers", "gradient-variance"} <= names
    assert {"heat-map", "landscape-1d", "line-16-256"} <= names
    findings = evidence.findings
    assert findings is not None
    told = {claim.figure for claim in findings.claims if claim.effect is not None}
    assert told
    assert all(showing(figure, charts) is not None for figure in told)
    assert showing("none-of-them", charts) is None


def test_a_study_that_found_nothing_yet_has_no_chart(
    settings: Settings, jobs: Jobs, ledger: Ledger
) -> None:
    """Nothing is drawn of nothing."""
    assert charts_of(study_of(settings, jobs, ledger, turns=3)) == ()


@pytest.mark.parametrize("background", ["#ffffff", "#15181c"])
@pytest.mark.parametrize("colour", [*SERIES, *ordered(7)])
def test_colours_stand_out(colour: str, background: str) -> None:
    """Lines and marks have a contrast of 3 to 1 on both backgrounds."""
    assert contrast(colour, background) >= 3.0


def test_colours_are_told_apart_without_red_or_green() -> None:
    """Any two colours for things without an order differ also for the colour-blind."""
    for one, other in combinations(SERIES, 2):
        for see in (str, seen_without_red, seen_without_green):
            assert distance(see(one), see(other)) > 30.0, (one, other, see)


def test_the_scale_gets_lighter_all_the_way() -> None:
    """A map can be read in grey."""
    lights = [contrast(shade(step / 20), "#000000") for step in range(21)]
    assert lights == sorted(lights)
    assert shade(-1.0) == SCALE[0][1]
    assert shade(2.0) == SCALE[-1][1]
