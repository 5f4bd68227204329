"""The prior: its laws, and what they do not agree on."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tuner.deciding.noise import NoiseScale
from tuner.deciding.prior import (
    CRITICAL_DEVIATION,
    UNRESOLVED_CRITICAL_BATCH,
    UNRESOLVED_DEVIATION,
    WORST,
    critical_batch,
    rate_penalties,
    rate_penalty,
)

from .observations import make_prior


def _spread(prior, batch: int, rate: float) -> float:
    weights, scores = prior.laws(np.array([float(batch)]), np.array([rate]))
    mean = weights @ scores[:, 0]
    return float(np.sqrt(weights @ (scores[:, 0] - mean) ** 2))


def test_the_weights_of_the_laws_are_those_of_normal_variables() -> None:
    """Weights sum to one, and the best rates of the laws have the deviation that was stated."""
    prior = make_prior(critical_deviation=0.0, exponent_deviation=0.0, rate_deviation=0.01)
    slow = np.array([0.05 / 4.0])
    weights, scores = prior.laws(np.array([64.0]), slow)
    assert weights.sum() == pytest.approx(1.0)
    # d(score)/d(ln rate0) of a slow rate, S0 being measured at rate0: only the rate's own slope.
    step = 1e-4
    slope = (rate_penalty(0.25 * math.exp(step)) - rate_penalty(0.25 * math.exp(-step))) / (
        2 * step
    )
    assert _spread(prior, 64, float(slow[0])) == pytest.approx(0.01 * abs(slope), rel=0.02)
    assert scores.shape == (len(weights), 1)


def test_a_prior_without_doubt_is_its_likeliest_law() -> None:
    """With no deviations every law gives the score of the formula."""
    prior = make_prior(critical_deviation=0.0, exponent_deviation=0.0, rate_deviation=0.0)
    for batch, rate in ((8, 0.01), (64, 0.05), (512, 0.3)):
        _, scores = prior.laws(np.array([float(batch)]), np.array([rate]))
        assert scores == pytest.approx(np.full_like(scores, prior.score(batch, rate)))


def test_all_laws_agree_on_the_reference() -> None:
    """The reference was measured: only what lies elsewhere is in doubt."""
    prior = make_prior()
    assert _spread(prior, 64, 0.05) == pytest.approx(0.0, abs=1e-9)
    assert _spread(prior, 512, prior.rate(512)) > 0.1
    assert _spread(prior, 64, 0.01) > 0.1


def test_a_wider_noise_scale_is_a_wider_prior_elsewhere() -> None:
    """The interval of the noise scale becomes doubt about other batches."""
    sure, unsure = make_prior(critical_deviation=0.1), make_prior(critical_deviation=1.0)
    assert _spread(unsure, 8, unsure.rate(8)) > 1.5 * _spread(sure, 8, sure.rate(8))


def test_a_noise_scale_is_weighed_against_what_is_usual() -> None:
    """The more is known of it the nearer the centre is to it; unresolved, the usual one stands."""
    narrow = NoiseScale(estimate=1000.0, low=990.0, high=1010.0, windows=50)
    wide = NoiseScale(estimate=1000.0, low=100.0, high=10_000.0, windows=50)
    unresolved = NoiseScale(estimate=None, low=None, high=None, windows=50)
    near, near_deviation = critical_batch(narrow)
    far, far_deviation = critical_batch(wide)
    assert UNRESOLVED_CRITICAL_BATCH < far < near < 1000.0
    assert near_deviation < CRITICAL_DEVIATION
    assert near_deviation < far_deviation < UNRESOLVED_DEVIATION
    usual = (UNRESOLVED_CRITICAL_BATCH, UNRESOLVED_DEVIATION)
    assert critical_batch(unresolved) == critical_batch(None) == usual


def test_penalties_of_many_rates_are_those_of_each() -> None:
    """The vectorized penalty equals the plain one, its cap included."""
    logs = np.linspace(-6.0, 3.0, 37)
    assert rate_penalties(logs) == pytest.approx([rate_penalty(math.exp(x)) for x in logs])
    assert rate_penalties(np.array([-50.0, 50.0])) == pytest.approx([WORST, WORST])


def test_a_metric_goal_has_a_prior_of_the_rate_alone() -> None:
    """Without steps to a target no batch is preferred."""
    prior = make_prior(steps=None)
    _, scores = prior.laws(np.array([64.0, 64.0]), np.array([0.05, 0.05 / 8.0]))
    assert (scores <= 1.0).all()
    assert prior.score(8, prior.rate(8)) == prior.score(512, prior.rate(512)) == 0.0
