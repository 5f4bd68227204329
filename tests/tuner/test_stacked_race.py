"""Whole races of real trainings: side by side they end as they do one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.tuner.driver import make_spec
from tuner.deciding.race import RaceOutcome
from tuner.measuring.dispatch import Measuring
from tuner.places import Places
from tuner.records import (
    Event,
    Measurement,
    Request,
    Result,
    StackedResults,
    StackPace,
    StackPaces,
    StackTiming,
    StepTiming,
    TrainingRun,
)
from tuner.tune import tune
from tuner.tuning import Tuning

IRIS = {
    "model": {"kind": "builtin", "name": "mlp", "options": {"hidden": [4], "dropout": 0.1}},
    "dataset": {"kind": "sklearn", "name": "iris", "validation_fraction": 0.2},
    "objective": {"kind": "time_to_target", "target": 0.35},
    "search_space": {
        "global_batch_size": {"low": 8, "high": 8},
        "learning_rate": {"low": 1e-3, "high": 0.3},
    },
    "budget": {"timeout_seconds": 600.0, "max_trials": 1},
}
BF16 = {"task": "classification", "precision": "bf16"}


@pytest.fixture(autouse=True)
def _short_races_ask_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """These races take less than it takes to find out whether stacks are faster."""
    monkeypatch.setattr("tuner.deciding.stacking.LEAST_TRYING_SECONDS", 0.0)


class Raced(Exception):
    """Raised once the race is decided: nothing after it is of matter here."""


class Racing:
    """Measures for real, but for what differs between two tries of the same machine.

    Args:
        folder: For checkpoints.
        gain: What is said of stacks; None to have them timed.
        known: Step times of an earlier race, so that this one takes the same course.
    """

    def __init__(
        self, folder: Path, *, gain: float | None, known: Mapping[str, Measurement] | None = None
    ) -> None:
        self.measuring = Measuring(Places(artifacts=folder))
        self.gain = gain
        self.known = dict(known or {})
        self.asked: list[Request] = []
        self.results: dict[str, Measurement] = {}

    def measure(self, request: Request) -> Measurement:
        """Measure a request."""
        self.asked.append(request)
        if isinstance(request, StackTiming) and self.gain is not None:
            paces = [
                StackPace(runs=width, step_seconds=width / self.gain) for width in request.widths
            ]
            return StackPaces(lone_step_seconds=1.0, paces=tuple(paces), device_seconds=0.0)
        if isinstance(request, StepTiming):
            request = replace(request, window_seconds=0.1)
        return self.known.get(request.id) or self.measuring.measure(request, tightened=lambda: None)

    def race(self, **parts: Any) -> tuple[RaceOutcome, Tuning]:
        """Tune until the race is decided."""
        found: list[tuple[RaceOutcome, Tuning]] = []

        def note(tuning: Tuning, event: Event) -> None:
            if isinstance(event, Result):
                self.results[event.request_id] = event.result
            if tuning.job.findings.race is not None:
                found.append((tuning.job.findings.race, tuning))
                raise Raced

        with pytest.raises(Raced):
            tune(make_spec(**{**IRIS, **parts}), measure=self.measure, on_event=note)
        return found[0]

    @property
    def timings(self) -> dict[str, Measurement]:
        """Step times, by request."""
        return {name: one for name, one in self.results.items() if name.startswith("timing")}


def test_a_stacked_race_has_the_outcome_of_a_separate_one(tmp_path: Path) -> None:
    """The same winner, the same steps to the target, the same curves, within rounding."""
    lone = Racing(tmp_path / "lone", gain=1.0)
    separately, one_by_one = lone.race()
    stacks = Racing(tmp_path / "stacks", gain=4.0, known=lone.timings)
    together, side_by_side = stacks.race()
    assert [type(one) for one in stacks.results.values()].count(StackedResults) >= 1
    assert not [one for one in lone.results.values() if isinstance(one, StackedResults)]
    assert together.learning_rate == separately.learning_rate
    assert together.reference_steps == pytest.approx(separately.reference_steps, rel=1e-3)
    mine, theirs = side_by_side.trials(), one_by_one.trials()
    assert [view.request_id for view in mine] == [view.request_id for view in theirs]
    for view, other in zip(mine, theirs, strict=True):
        assert (view.state, view.seed) == (other.state, other.seed)
        assert view.metric == pytest.approx(other.metric, rel=1e-3)
    assert [run.result.resumed for run in together.runs] == [
        run.result.resumed for run in separately.runs
    ]


def test_runs_that_cannot_be_stacked_race_one_by_one(tmp_path: Path) -> None:
    """bf16 is refused by the rule on the device: every run is a request of its own."""
    racing = Racing(tmp_path, gain=None)
    outcome, tuning = racing.race(training=BF16)
    assert outcome.learning_rate is not None
    race = [one for one in racing.asked if one.id.startswith("race-")]
    assert isinstance(race[0], StackTiming)
    assert all(isinstance(one, TrainingRun) for one in race[1:])
    paces = racing.results[race[0].id]
    assert isinstance(paces, StackPaces)
    assert "bf16" in (paces.refused or "")
    assert {view.stage for view in tuning.trials()} == {"race"}
