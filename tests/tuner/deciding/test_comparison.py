"""Ranking and separating contenders by paired seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tuner.deciding.comparison import Contender, behind, flatter, interval, separated
from tuner.deciding.history import Run
from tuner.deciding.score import Observation
from tuner.records import (
    BatchPlan,
    Outcome,
    Sharpness,
    TrainingResult,
    TrainingRun,
    Workload,
)

WORKLOAD = Workload(
    model={}, dataset={}, training={}, metric="validation_loss", accelerator="cpu", data_seed=0
)


def _observation(score: float, kind: str = "complete", asam: float | None = None) -> Observation:
    request = TrainingRun(
        id="confirm-0-0",
        workload=WORKLOAD,
        plan=BatchPlan(micro_batch_size=8),
        learning_rate=0.1,
        seed=0,
        max_steps=10,
        evaluate_every_steps=1,
        target=0.1,
        device_kind="cpu",
    )
    sharpness = Sharpness(asam=asam, keskar=None, hessian_top_eigenvalue=None, num_samples=8)
    result = TrainingResult(
        outcome=Outcome.REACHED,
        steps=10,
        crossing_steps=5.0,
        curve=(),
        sharpness=None if asam is None else sharpness,
        limit_applied=10,
    )
    return Observation(
        global_batch_size=8,
        learning_rate=0.1,
        kind=kind,
        score=score,
        run=Run(request=request, result=result),
    )


def _contender(*observations: Observation) -> Contender:
    return Contender(global_batch_size=8, learning_rate=0.1, runs=observations)


def test_share_that_reached_ranks_before_time() -> None:
    """A configuration that always gets there beats a faster one that sometimes misses."""
    steady = _contender(_observation(1.0), _observation(1.0))
    lucky = _contender(_observation(0.1), _observation(0.5, "censored"))
    assert min([lucky, steady], key=lambda one: one.rank) is steady


def test_misses_cost_what_they_spent() -> None:
    """Expected time is all seconds spent over the number of successes."""
    mixed = _contender(_observation(math.log(2.0)), _observation(math.log(3.0), "censored"))
    assert mixed.expected == pytest.approx(math.log(5.0))
    assert _contender(_observation(1.0, "censored")).expected == math.inf


def test_a_diverged_run_costs_what_it_took() -> None:
    """Four runs of ten seconds and one that diverged after five cost 11.25 seconds each."""
    tens = [_observation(math.log(10.0)) for _ in range(4)]
    burst = _observation(math.log(5.0), "diverged")
    assert math.exp(_contender(*tens, burst).expected) == pytest.approx(11.25)


def test_losses_are_never_added_up() -> None:
    """For a metric goal the expected score is the mean of the runs that ended."""
    runs = (_observation(-1.0), _observation(-2.0), _observation(0.0, "diverged"))
    contender = Contender(global_batch_size=8, learning_rate=0.1, runs=runs, timed=False)
    assert contender.expected == pytest.approx(-1.5)


def test_pairing_separates_what_seeds_hide() -> None:
    """A small constant difference is seen through a large seed effect, with three seeds."""
    seeds = [0.0, 0.5, -0.4]
    best = _contender(*(_observation(seed) for seed in seeds))
    slower = _contender(*(_observation(seed + 0.1 + 0.01 * seed) for seed in seeds))
    assert separated(best, slower)
    assert not separated(slower, best)
    two = [_contender(*one.runs[:2]) for one in (best, slower)]
    assert not separated(*two)


def test_contenders_are_compared_on_the_seeds_they_share() -> None:
    """Slow seeds that only one of two has run do not count against it."""
    longer = _contender(*(_observation(score) for score in (1.0, 1.1, 5.0)))
    shorter = _contender(*(_observation(score) for score in (1.2, 1.3)))
    assert longer.expected > shorter.expected
    assert behind(longer, shorter) == pytest.approx(0.2)


def test_a_miss_counts_by_what_it_costs() -> None:
    """Where one of two missed, what reaching the target is expected to take decides."""
    steady = _contender(_observation(1.0), _observation(1.0))
    missed = _contender(_observation(0.9), _observation(2.0, "censored"))
    assert behind(steady, missed) == pytest.approx(missed.expected - 1.0)
    assert behind(steady, missed) > 0.0


def test_interval_covers_its_share() -> None:
    """Over many draws of five scores the 95 % interval holds the mean in 93 to 97 %."""
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(4000, 5))
    held = sum(low <= 0.0 <= high for _, low, high in (interval(draw) for draw in draws))
    assert 0.93 <= held / 4000 <= 0.97


def test_sharpness_needs_three_pairs_and_two_standard_errors() -> None:
    """A flatter rival is preferred only beyond two standard errors over three shared seeds."""
    best = _contender(*(_observation(1.0, asam=0.5 + 0.01 * k) for k in range(3)))
    flat = _contender(*(_observation(1.0, asam=0.4 + 0.01 * k + 0.001 * k * k) for k in range(3)))
    noisy = _contender(*(_observation(1.0, asam=value) for value in (0.1, 0.9, 0.4)))
    assert flatter(best, flat)
    assert not flatter(best, noisy)
    assert not flatter(_contender(*best.runs[:2]), _contender(*flat.runs[:2]))
