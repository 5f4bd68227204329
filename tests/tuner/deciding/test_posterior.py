"""The posterior: what trials teach, cut and diverged ones included."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tuner.deciding import kernel, posterior
from tuner.deciding.posterior import MOST_BEYOND, MOST_OBSERVATIONS, beyond, fit

from .observations import SPACE, make_prior, trial

PRIOR = make_prior()


def _expected(belief: posterior.Posterior) -> list[float]:
    return [one.expected for one in belief.told]


def test_without_trials_the_prior_speaks() -> None:
    """Means are those of the laws, and far points are less sure than the reference."""
    belief = fit(PRIOR, [])
    means, deviations = belief.scores([(64, 0.05), (512, 0.4)])
    assert means[0] == pytest.approx(PRIOR.score(64, 0.05))
    assert deviations[1] > deviations[0] > 0.0
    assert belief.best is None
    assert belief.incumbent is None


def test_a_trial_pulls_the_mean_and_takes_the_doubt() -> None:
    """At its point the posterior lies near the trial, as far as one seed can be believed."""
    before = PRIOR.score(64, 0.05)
    belief = fit(PRIOR, [trial(64, 0.05, before + 0.3)])
    mean, deviation = belief.score(64, 0.05)
    assert before + 0.15 < mean < before + 0.3
    assert deviation < math.hypot(posterior.NOISE, kernel.SEED_LEVEL, kernel.LUCK)
    assert belief.score(8, 0.02)[1] > deviation


def test_another_seed_teaches_more_than_the_same_one() -> None:
    """Neighbours on one seed share its luck: on two seeds they leave less doubt."""
    at = PRIOR.score(64, 0.05)
    alike = [trial(64, 0.05, at, seed=1), trial(64, 0.045, at, seed=1)]
    apart = [trial(64, 0.05, at, seed=1), trial(64, 0.045, at, seed=2)]
    doubt = [fit(PRIOR, seen).score(64, 0.05)[1] for seen in (alike, apart)]
    assert doubt[1] < 0.9 * doubt[0]


def test_a_better_rate_at_one_batch_moves_the_rates_of_others() -> None:
    """Trials that put the best rate of batch 64 lower put it lower at batch 512 too."""

    def best_rate(seen) -> float:
        belief = fit(PRIOR, seen)
        rates = np.geomspace(0.01, 1.0, 81)
        means, _ = belief.scores([(512, float(rate)) for rate in rates])
        return float(rates[np.argmin(means)])

    base = PRIOR.score(64, 0.05)
    seen = [trial(64, 0.05, base), trial(64, 0.02, base - 0.4), trial(64, 0.008, base - 0.1)]
    assert best_rate(seen) < 0.8 * best_rate([trial(64, 0.05, base)])


def test_truncated_moments_are_those_of_a_simulation() -> None:
    """Mean and variance given a cut agree with a million draws."""
    draws = np.random.default_rng(0).normal(1.0, 0.5, 1_000_000)
    kept = draws[draws > 1.4]
    mean, variance = beyond(np.array([1.4]), np.array([1.0]), np.array([0.5]))
    assert mean[0] == pytest.approx(kept.mean(), abs=2e-3)
    assert variance[0] == pytest.approx(kept.var(), rel=0.02)


def test_a_cut_where_more_was_expected_says_nothing() -> None:
    """A trial that was cut long before its expected end leaves mean and deviation as they were."""
    reference = trial(64, 0.05, PRIOR.score(64, 0.05))
    without = fit(PRIOR, [reference])
    before = without.score(8, 0.5)
    belief = fit(PRIOR, [reference, trial(8, 0.5, before[0] - 4.0, "censored")])
    after = belief.score(8, 0.5)
    assert after[0] == pytest.approx(before[0], abs=0.02)
    assert after[1] == pytest.approx(before[1], rel=0.05)


def test_a_cut_where_less_was_expected_says_much() -> None:
    """A trial that outlasts its expectation is expected beyond its cut, and lifts its place."""
    reference = trial(64, 0.05, PRIOR.score(64, 0.05))
    before = fit(PRIOR, [reference]).score(128, 0.07)
    cut = before[0] + 0.8
    belief = fit(PRIOR, [reference, trial(128, 0.07, cut, "censored")])
    assert cut < _expected(belief)[1] < cut + MOST_BEYOND
    assert belief.score(128, 0.07)[0] > before[0] + 0.5
    assert belief.score(128, 0.07)[1] < before[1]


def test_a_cut_depends_on_its_neighbours_not_on_the_prior_alone() -> None:
    """Beside slow trials a cut one is expected to be slow, though the prior said fast."""
    reference = trial(64, 0.05, PRIOR.score(64, 0.05))
    cut = trial(256, PRIOR.rate(256), PRIOR.score(256, PRIOR.rate(256)), "censored")
    slow = [
        trial(batch, PRIOR.rate(256) * share, cut.score + 1.2)
        for batch, share in ((256, 0.9), (256, 1.1), (512, 1.0))
    ]
    alone = _expected(fit(PRIOR, [reference, cut]))[1]
    among = _expected(fit(PRIOR, [reference, cut, *slow]))[1]
    assert among > alone + 0.3
    assert among <= cut.score + MOST_BEYOND


def test_many_cuts_settle() -> None:
    """Forty cut neighbours give finite values, all beyond their cuts."""
    base = PRIOR.score(64, 0.05)
    seen = [trial(64, 0.05, base)]
    seen += [trial(64, 0.04 * 1.02**k, base + 0.2, "censored") for k in range(40)]
    belief = fit(PRIOR, seen)
    assert all(math.isfinite(value) for value in _expected(belief))
    assert min(_expected(belief)[1:]) >= base + 0.2
    assert np.isfinite(belief.scores([(b, 0.05) for b in SPACE.batches])[0]).all()


def test_a_diverged_trial_is_worse_than_all_that_were_seen() -> None:
    """Divergence repels; it never enters as the short time that it took."""
    base = PRIOR.score(64, 0.05)
    seen = [trial(64, 0.05, base), trial(64, 0.1, base - 5.0, "diverged")]
    belief = fit(PRIOR, seen)
    assert _expected(belief)[1] == base + posterior.DIVERGED_PENALTY
    assert belief.score(64, 0.1)[0] > fit(PRIOR, seen[:1]).score(64, 0.1)[0]
    assert belief.best == (64, 0.05)


def test_an_infeasible_trial_teaches_nothing_of_time() -> None:
    """Out of memory is no score."""
    seen = [trial(64, 0.05, 1.0)]
    with_it = fit(PRIOR, [*seen, trial(512, 0.3, None, "infeasible")])
    assert with_it.score(512, 0.3) == fit(PRIOR, seen).score(512, 0.3)


def test_running_trials_take_doubt_and_leave_the_mean() -> None:
    """A point under way is taken to end where it is expected."""
    seen = [trial(64, 0.05, PRIOR.score(64, 0.05))]
    alone, beside = fit(PRIOR, seen), fit(PRIOR, seen, [(128, 0.08)])
    points = [(batch, rate) for batch in SPACE.batches for rate in (0.02, 0.08, 0.2)]
    assert beside.scores(points)[0] == pytest.approx(alone.scores(points)[0], abs=1e-6)
    assert beside.score(128, 0.08)[1] < 0.7 * alone.score(128, 0.08)[1]


def test_the_incumbent_is_not_the_luckiest_run() -> None:
    """One run far below its equals is believed in part, and the incumbent lies above it."""
    base = PRIOR.score(64, 0.05)
    seen = [trial(64, 0.05 * share, base) for share in (0.85, 0.93, 1.07, 1.15)]
    belief = fit(PRIOR, [*seen, trial(64, 0.05, base - 0.5)])
    assert base - 0.4 < belief.incumbent < base


def test_a_metric_goal_takes_its_level_from_its_trials() -> None:
    """A prior without steps is lifted to what was seen; an early reading counts for little."""
    prior = make_prior(steps=None)
    seen = [trial(64, 0.05, -2.0), trial(128, 0.05, -2.1)]
    assert fit(prior, seen).score(64, 0.05)[0] == pytest.approx(-2.0, abs=0.05)
    early = fit(prior, [*seen, trial(512, 0.3, -1.0, "censored")])
    assert early.told[2].expected == -1.0


def test_the_best_trials_are_kept_where_there_are_too_many() -> None:
    """A fit never grows beyond its bound, and keeps the best trial."""
    rng = np.random.default_rng(1)
    seen = [
        trial(64, float(rate), float(score))
        for rate, score in zip(rng.uniform(0.01, 0.2, 400), rng.uniform(0.0, 3.0, 400), strict=True)
    ]
    belief = fit(PRIOR, [*seen, trial(64, 0.05, -1.0)])
    assert len(belief.told) == MOST_OBSERVATIONS
    assert min(one.observation.score for one in belief.told) == -1.0
