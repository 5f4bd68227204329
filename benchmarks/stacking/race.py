"""Races of whole jobs, trained side by side where the product chooses so, and one by one.

Inspection, memory and step times are measured once and given to both ways, so that they take
the same course: batch, rates, steps. Nothing after the race is run.

Only rungs are stacked. The winner's long run after them is a lone one either way, but rounding in
the rungs may be amplified on it until it is another run (`curve_differences`, `rounding.py`), which
then takes other steps to the target. So the seconds of the rungs are held against each other, and
those of whole races are given beside them.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tuner.deciding import stacking
from tuner.deciding.race import RaceOutcome
from tuner.measuring.dispatch import Measuring
from tuner.places import Places
from tuner.recommendation import Stacking
from tuner.records import Event, Measurement, Request, StackPaces
from tuner.spec import TuningSpec
from tuner.tune import tune
from tuner.tuning import Tuning

DIGITS: Final = {"kind": "sklearn", "name": "digits", "validation_fraction": 0.2}
SGD: Final = {"task": "classification", "optimizer": {"kind": "sgd", "momentum": 0.9}}
SPACE: Final = {
    "global_batch_size": {"low": 8, "high": 64},
    "learning_rate": {"low": 0.001, "high": 1.0},
}
BUDGET: Final = {"max_trials": 10, "timeout_seconds": 600.0}


def jobs() -> dict[str, dict[str, Any]]:
    """Specs by name: a race too short to ask, one without a gain, and some where it may pay."""
    cnn = {"kind": "builtin", "name": "cnn", "options": {"channels": [16, 32], "dropout": 0.5}}
    norm = {
        "kind": "builtin",
        "name": "cnn",
        "options": {"channels": [16, 32, 32], "batch_norm": True},
    }
    mlp = {"kind": "builtin", "name": "mlp", "options": {"hidden": [64, 64]}}
    bf16 = {**SGD, "precision": "bf16"}
    return {
        "digits-mlp": _job(mlp, target=0.12),
        "digits-cnn": _job(cnn, target=0.06),
        "digits-cnn, batch 8": _job(cnn, target=0.06, batch=8),
        "digits-cnn of three layers with BatchNorm, batch 8": _job(norm, target=0.04, batch=8),
        "digits-cnn in bf16, batch 8": _job(cnn, target=0.06, batch=8, training=bf16),
    }


def _job(
    model: Mapping[str, Any],
    *,
    target: float,
    batch: int | None = None,
    training: Mapping[str, Any] = SGD,
) -> dict[str, Any]:
    batches = SPACE["global_batch_size"] if batch is None else {"low": batch, "high": batch}
    return {
        "model": model,
        "dataset": DIGITS,
        "training": training,
        "objective": {"kind": "time_to_target", "target": target},
        "search_space": {**SPACE, "global_batch_size": batches},
        "budget": BUDGET,
        "hardware": {"accelerator": "cpu"},
    }


class Raced(Exception):
    """Raised once the race is decided, with what it showed."""

    def __init__(self, outcome: RaceOutcome, evidence: Stacking | None) -> None:
        super().__init__("the race is decided")
        self.outcome, self.evidence = outcome, evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """One race of a job.

    Args:
        outcome: What it showed.
        evidence: What the answer would say of stacks.
        wall_seconds: Device seconds of the race, finding out included.
        processor_seconds: The same on the processor.
        rung_seconds: Of the wall seconds, those of the rungs, finding out included.
        rung_processor_seconds: The same on the processor.
        finding_out_seconds: Of the wall seconds, those spent on timing stacks.
    """

    outcome: RaceOutcome
    evidence: Stacking | None
    wall_seconds: float
    processor_seconds: float
    rung_seconds: float
    rung_processor_seconds: float
    finding_out_seconds: float


class Clocks:
    """Measures for real, once what comes before the race, and counts what the race takes.

    Args:
        folder: For checkpoints.
        known: What was measured before any race, by request; more is added.
    """

    def __init__(self, folder: Path, known: dict[str, Measurement]) -> None:
        self._measuring = Measuring(Places(artifacts=folder))
        self._known = known
        self.wall = self.processor = self.finding_out = 0.0
        self.rung_wall = self.rung_processor = 0.0

    def measure(self, request: Request) -> Measurement:
        """Measure a request, or remember it."""
        if request.id in self._known:
            return self._known[request.id]
        began = time.process_time()
        result = self._measuring.measure(request, tightened=lambda: None)
        if not request.id.startswith("race-"):
            self._known[request.id] = result
            return result
        processor = time.process_time() - began
        self.wall += result.device_seconds
        self.processor += processor
        if not request.id.startswith("race-reference-"):
            self.rung_wall += result.device_seconds
            self.rung_processor += processor
        if isinstance(result, StackPaces):
            self.finding_out += result.device_seconds
        return result


def raced(spec: TuningSpec, known: dict[str, Measurement]) -> Race:
    """Tune until the race is decided, in a folder of its own.

    Args:
        spec: Of the job.
        known: What was measured before any race, by request; more is added.
    """

    def note(tuning: Tuning, _event: Event) -> None:
        if tuning.job.findings.race is not None:
            raise Raced(tuning.job.findings.race, stacking.evidence(tuning.job))

    with tempfile.TemporaryDirectory() as folder:
        clocks = Clocks(Path(folder), known)
        try:
            tune(spec, measure=clocks.measure, on_event=note)
        except Raced as end:
            return Race(
                outcome=end.outcome,
                evidence=end.evidence,
                wall_seconds=clocks.wall,
                processor_seconds=clocks.processor,
                rung_seconds=clocks.rung_wall,
                rung_processor_seconds=clocks.rung_processor,
                finding_out_seconds=clocks.finding_out,
            )
    raise RuntimeError("the job was answered without a race")


@contextmanager
def one_by_one() -> Iterator[None]:
    """Switch stacks off for a while: with no width to try, nothing is asked."""
    widths = stacking.WIDTHS
    try:
        stacking.WIDTHS = ()  # type: ignore[misc, assignment]
        yield
    finally:
        stacking.WIDTHS = widths  # type: ignore[misc]


def compare(name: str, parts: Mapping[str, Any], rounds: int) -> dict[str, Any]:
    """Race both ways in turn.

    Args:
        name: Of the job.
        parts: Its spec.
        rounds: Races each way, one more before them that is not counted.
    """
    spec = TuningSpec.model_validate(parts)
    known: dict[str, Measurement] = {}
    chosen: list[Race] = []
    separate: list[Race] = []
    raced(spec, known)
    for number in range(rounds):
        for stacks in (True, False) if number % 2 else (False, True):
            with nullcontext() if stacks else one_by_one():
                (chosen if stacks else separate).append(raced(spec, known))
    first, other = chosen[0], separate[0]
    said = first.evidence
    pairs = list(zip(chosen, separate, strict=True))
    return {
        "job": name,
        "batch": first.outcome.batch,
        "runs": len(first.outcome.runs),
        "runs_stacked": [one.evidence.runs for one in chosen if one.evidence is not None],
        "refused": said and said.refused,
        "expected_gain": _rounded(said.expected_gain if said else None),
        "finding_out_seconds": _middle([one.finding_out_seconds for one in chosen]),
        "rung_seconds": [round(one.rung_seconds, 3) for one in chosen],
        "separate_rung_seconds": [round(one.rung_seconds, 3) for one in separate],
        "rung_ratio": _middle([b.rung_seconds / a.rung_seconds for a, b in pairs]),
        "rung_processor_ratio": _middle(
            [b.rung_processor_seconds / a.rung_processor_seconds for a, b in pairs]
        ),
        "race_seconds": [round(one.wall_seconds, 3) for one in chosen],
        "separate_race_seconds": [round(one.wall_seconds, 3) for one in separate],
        "curve_differences": _differences(first.outcome, other.outcome),
        "learning_rates": [_rounded(one.outcome.learning_rate) for one in chosen],
        "separate_learning_rates": [_rounded(one.outcome.learning_rate) for one in separate],
        "steps_to_target": [_rounded(one.outcome.reference_steps) for one in chosen],
        "separate_steps_to_target": [_rounded(one.outcome.reference_steps) for one in separate],
    }


def _differences(one: RaceOutcome, other: RaceOutcome) -> dict[str, float]:
    """Largest relative difference of the curves' ends, in each rung and on the long run."""
    theirs = {run.request.id: run.result.curve for run in other.runs}
    apart: dict[str, float] = {}
    for run in one.runs:
        stage = run.request.id.rpartition("-")[0]
        mine, its = run.result.curve, theirs.get(run.request.id, ())
        if mine and its and mine[-1].step == its[-1].step and math.isfinite(its[-1].value):
            difference = abs(mine[-1].value / its[-1].value - 1.0)
            apart[stage] = float(f"{max(difference, apart.get(stage, 0.0)):.1e}")
    return apart


def _middle(values: list[float]) -> float:
    return round(statistics.median(values), 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
