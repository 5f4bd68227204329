"""The study bench: it goes on where it stopped, and its table says what was measured."""

from __future__ import annotations

import contextlib
import io
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.search.prepare_data import ALPHABET
from benchmarks.study import gpu
from benchmarks.study.comparison import best_rates, compared
from benchmarks.study.document import MAX_POINTS, document_of, thinned
from benchmarks.study.journal import Journal, OutOfTime, key_of, quietest
from benchmarks.study.patience import FACTOR, patient
from benchmarks.study.published import ROWS
from benchmarks.study.stages import update_norms
from benchmarks.study.subjects import (
    CONTEXT,
    HELD_OUT,
    SAMPLES,
    SUBJECTS,
    Subject,
    characters,
    images,
)
from benchmarks.study.table import documents, table
from benchmarks.study.vgg import vgg
from tests.tuner.study.world import StudyWorld, make_study
from tuner.drive import drive
from tuner.records import Measurement, Request, StepTiming, StudyRun
from tuner.spec import RateGrid, StudySpec
from tuner.study import Study

ROOT = Path(__file__).resolve().parents[2]

GRID = {"kind": "grid", "learning_rates": [0.1, 1.6]}


def study_of(spec: StudySpec, world: StudyWorld, journal: Journal, ends_at: float) -> Study:
    """Drive a study through a journal."""
    measure = journal.through(world.measure, ends_at=ends_at)
    return drive(Study(spec), measure=measure, timeout_seconds=1e9)


def seen(**laws: float) -> Study:
    """A finished study of a world."""
    world = StudyWorld(scatter=0.01, hottest=8.0, **laws)
    spec = make_study(learning_rate=GRID)
    return drive(Study(spec), measure=world.measure, timeout_seconds=1e9)


def test_what_was_measured_is_not_measured_again(tmp_path: Path) -> None:
    """A second call over the same lines measures nothing and finds the same."""
    spec, first, second = make_study(seeds=2), StudyWorld(), StudyWorld()
    path = tmp_path / "journal.jsonl"
    found = study_of(spec, first, Journal(path), math.inf).answer
    assert found is not None
    assert len(first.measured) == len(set(first.measured)) > 6
    again = study_of(spec, second, Journal(path), math.inf).answer
    assert second.measured == []
    assert again == found


def test_a_call_ends_with_its_seconds_and_the_next_goes_on(tmp_path: Path) -> None:
    """No measurement is begun after the end; what was kept before is not asked for again."""
    spec, world, path = make_study(seeds=2), StudyWorld(), tmp_path / "journal.jsonl"
    calls = 0

    def one_more(request: Request) -> Measurement:
        nonlocal calls
        if calls == 4:
            raise OutOfTime
        calls += 1
        return world.measure(request)

    with pytest.raises(OutOfTime):
        drive(
            Study(spec),
            measure=Journal(path).through(one_more, ends_at=math.inf),
            timeout_seconds=1e9,
        )
    with pytest.raises(OutOfTime):
        study_of(spec, world, Journal(path), -math.inf)
    assert len(world.measured) == 4
    with path.open("a") as file:
        file.write('{"key": "broken o')
    with pytest.raises(OutOfTime):
        study_of(spec, world, Journal(path), -math.inf)
    study_of(spec, world, Journal(path), math.inf)
    assert len(world.measured) == len(set(world.measured))


def test_a_deadline_does_not_make_another_measurement() -> None:
    """Requests that differ in their id and deadline alone share a line; another rate does not."""
    world = StudyWorld()
    drive(Study(make_study(seeds=1)), measure=world.measure, timeout_seconds=1e9)
    run = next(request for request in world.requests if isinstance(request, StudyRun))
    fields = {name: getattr(run, name) for name in StudyRun.__slots__}
    assert key_of(StudyRun(**fields | {"id": "x", "deadline_seconds": 1.0})) == key_of(run)
    assert key_of(StudyRun(**fields | {"learning_rate": 9.0})) != key_of(run)


def test_of_all_timings_the_quietest_counts_whole(tmp_path: Path) -> None:
    """A timing that took less replaces the first one in a study that is driven again."""
    spec, world, path = make_study(seeds=1), StudyWorld(), tmp_path / "journal.jsonl"
    slow = study_of(spec, world, Journal(path), math.inf)
    request = next(one for one in world.requests if isinstance(one, StepTiming))
    world.device.pass_fixed_seconds /= 4.0
    journal = Journal(path)
    journal.add(request, world.measure(request))
    fast = study_of(spec, world, journal, math.inf)
    timings = journal.timings(request)
    assert quietest(timings) is timings[-1]
    assert slow.answer is not None
    assert fast.answer is not None
    for one, other in zip(slow.answer.arms, fast.answer.arms, strict=True):
        assert other.step_seconds < one.step_seconds


@pytest.mark.parametrize(
    ("power", "verdict"), [(0.3, "yes"), (-0.3, "no"), (0.0, "cannot be told")]
)
def test_directions_are_those_of_the_world(power: float, verdict: str) -> None:
    """Where losses and sharpness rise with the batch they are told as published, else not."""
    rows = compared(seen(loss_power=power, sharpness_power=power))
    assert len(rows) == len(ROWS)
    told = {(row["what"], row["compared"]): row for row in rows}
    for what in ("minimum validation loss", "Keskar sharpness"):
        assert told[what, "fixed"]["as_published"] == verdict
        assert told[what, "scaled_to_fixed"]["as_published"] == verdict
    ends = told["minimum validation loss", "fixed"]["here"]
    assert (ends["small"]["batch_size"], ends["large"]["batch_size"]) == (16, 256)
    if power:
        assert ends["log_ratio"] == pytest.approx(power * math.log(16), abs=0.05)


def test_a_study_without_the_scaled_rate_says_so() -> None:
    """Rows that need it cannot be told, and say what to ask for."""
    study = drive(Study(make_study()), measure=StudyWorld().measure, timeout_seconds=1e9)
    rows = [row for row in compared(study) if row["compared"] != "fixed"]
    assert rows
    assert all(row["as_published"] == "cannot be told" and row["why_not"] for row in rows)


def test_more_patience_trains_the_same_arms_again() -> None:
    """Both ends train at one rate, three times as patient; in this world that changes nothing."""
    world = StudyWorld(loss_power=0.2)
    study = drive(Study(make_study()), measure=world.measure, timeout_seconds=1e9)
    again = StudyWorld(loss_power=0.2)
    found = patient(study, again.measure)
    runs = [request for request in again.requests if isinstance(request, StudyRun)]
    assert {run.global_batch_size for run in runs} == {16, 256}
    assert {run.patience_epochs for run in runs} == {FACTOR * study.job.spec.patience_epochs}
    assert found["with_more"]["log_ratio"] == pytest.approx(0.2 * math.log(16))
    assert found["with_more"]["loss"] == found["as_in_the_study"]["loss"]


def test_updates_are_compared_where_both_have_come_equally_far() -> None:
    """In a world whose updates keep their length every stage shows the same two norms."""
    found = update_norms(seen(update_power=0.5, loss=0.05))
    assert found["batch_sizes"] == [16, 256]
    assert len(found["stages"]) == 5
    for stage in found["stages"]:
        assert stage["seeds"] == 5
        small, large = stage["update_norms"]
        assert large / small == pytest.approx(16**-0.5, rel=0.05)


def test_best_rates_are_of_the_batch() -> None:
    """Where heat lowers the loss every batch does best at the highest rate it can take."""
    found = {one["batch_size"]: one["learning_rate"] for one in best_rates(seen(loss_power=0.5))}
    assert found == {16: 0.1, 64: 1.6, 256: 1.6}


def test_a_curve_keeps_its_ends_and_its_minimum() -> None:
    """Thinning leaves the first, the lowest and the last point, and few others."""
    points = [{"step": step} for step in range(1001)]
    kept = [point["step"] for point in thinned(points, {"step": 777})]
    assert {0, 777, 1000} <= set(kept)
    assert len(kept) <= MAX_POINTS + 3
    assert thinned(points[:5], None) == points[:5]
    assert thinned([], None) == []


def test_the_document_says_what_was_asked_and_how_busy_it_was(tmp_path: Path) -> None:
    """Load, timings, table, claims and thinned curves are in it."""
    spec = make_study(learning_rate=GRID)
    journal = Journal(tmp_path / "journal.jsonl")
    study = study_of(spec, StudyWorld(hottest=8.0), journal, math.inf)
    subject = Subject(name="x", title="y", command="z", spec=spec, write=lambda _folder: None)
    document = document_of(subject, study, journal, {})
    assert document["load"]["lowest"] <= document["load"]["highest"]
    assert document["timings"][0]["step_milliseconds"]
    assert sum(document["verdicts"].values()) == len(document["claims"])
    assert StudySpec.model_validate(document["spec"]) == spec
    for arm in document["findings"]["arms"]:
        for run in arm["runs"]:
            assert len(run["points"]) <= min(run["points_in_all"], MAX_POINTS + 3)


def test_characters_are_told_from_those_before_them() -> None:
    """Each context is one-hot, and labels are characters that are told apart."""
    data = characters()
    known = len(ALPHABET) + 1
    assert data["x_train"].shape == (SAMPLES, CONTEXT * known)
    assert data["x_val"].shape == (HELD_OUT, CONTEXT * known)
    assert np.array_equal(data["x_train"].sum(axis=1), np.full(SAMPLES, CONTEXT))
    assert data["y_train"].min() >= 0
    assert data["y_train"].max() < known


@pytest.mark.parametrize("subject", [SUBJECTS["digits"](), SUBJECTS["text"](), images()])
def test_every_study_repeats_the_published_step(subject: Subject) -> None:
    """Batches span a factor of 32, seeds are five or more, and rates are scaled by eight."""
    spec = subject.spec
    assert spec.batch_sizes[-1] >= 32 * spec.batch_sizes[0]
    assert spec.seeds >= 5
    assert isinstance(spec.learning_rate, RateGrid)
    rates = spec.learning_rate.learning_rates
    assert 8 * spec.batch_sizes[0] in spec.batch_sizes
    assert any(math.isclose(rate, 8 * rates[0]) for rate in rates)
    assert spec.full_batch is not None


def test_the_network_halves_its_maps() -> None:
    """Images of 32 x 32 pixels come out as scores, and no layer normalises."""
    network = vgg((3, 32, 32), 2)
    assert network(torch.zeros(4, 3, 32, 32)).shape == (4, 2)
    names = {type(layer).__name__ for layer in network.modules()}
    assert not any("Norm" in name for name in names)


@pytest.mark.full
def test_a_stand_in_goes_the_way_of_a_card(tmp_path: Path) -> None:
    """In calls of no time at first, then to its end, it writes a document that repeats nothing."""
    place = ("--tiny", "--accelerator", "cpu", "--work", str(tmp_path))
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert gpu.main([*place, "--seconds", "0"]) == gpu.INCOMPLETE
        assert gpu.main([*place, "--seconds", "500"]) == 0
        measured = said.getvalue().count("of a processor")
        assert gpu.main([*place, "--seconds", "0"]) == 0
    assert said.getvalue().count("of a processor") == measured
    assert (tmp_path / "study-images-tiny.json").exists()


def test_the_page_has_the_table_of_the_results() -> None:
    """What the page says of the studies is what their documents hold."""
    page = (ROOT / "docs" / "batch-size-study.md").read_text(encoding="utf-8")
    assert "\n".join(table(documents())) in page
