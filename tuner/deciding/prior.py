"""What physics says about ln T over (B, learning rate), before a trial is spent.

    S(B)      = S0 (1 + Bc/B) / (1 + Bc/B0)                    steps, rate retuned at every B
    rate*(B)  = rate0 ((1 + Bc/B0) / (1 + Bc/B))^a             a = 1 for SGD, 1/2 for Adam
    h(r)      = -ln(2r - r^2) for r <= 1, (ln r)^2 above       r = rate / rate*(B), at most 3
    ln T      = ln S(B) + ln tau(B) + h(r)

2r - r^2 is the gain of one step of gradient descent on a quadratic, relative to the best; the
branch above 1 is a choice.

Sources: McCandlish et al. 2018, arXiv:1812.06162 (S); Goyal et al. 2017, arXiv:1706.02677
(linear scaling); Malladi et al. 2022, arXiv:2205.10287 (square root, Adam).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tuner.deciding.job import Job
from tuner.deciding.plan import Goal
from tuner.deciding.runs import throughput_of

EXPONENTS: Final = {"sgd": 1.0, "adam": 0.5, "adamw": 0.5, "rmsprop": 0.5}
"""How the best rate grows with the batch, below the critical one."""

UNRESOLVED_CRITICAL_BATCH: Final = 64.0
"""Stands in for an unresolved noise scale: a factor-of-two guess that trials correct."""

WORST: Final = 3.0
"""Upper bound of the rate penalty, in units of ln T."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """The prior mean of a score over (B, rate); lower is better.

    Args:
        batch: B0, global batch of the reference.
        learning_rate: rate0, its learning rate.
        steps: S0, its steps to the target; None for a metric goal, whose prior is flat in B.
        critical_batch_size: Bc, in samples.
        exponent: a.
        step_seconds: tau(B) by global batch.
    """

    batch: int
    learning_rate: float
    steps: float | None
    critical_batch_size: float
    exponent: float
    step_seconds: Mapping[int, float]

    def rate(self, batch: int) -> float:
        """Return rate*(B), the centre of the search at a batch; never the answer."""
        ratio = (1.0 + self.critical_batch_size / self.batch) / (
            1.0 + self.critical_batch_size / batch
        )
        return float(self.learning_rate * ratio**self.exponent)

    def score(self, batch: int, learning_rate: float) -> float:
        """Return the expected score: ln of calibrated seconds, or a penalty for the rate alone."""
        penalty = rate_penalty(learning_rate / self.rate(batch))
        if self.steps is None:
            return penalty / WORST
        growth = (1.0 + self.critical_batch_size / batch) / (
            1.0 + self.critical_batch_size / self.batch
        )
        return math.log(self.steps * growth * self.step_seconds[batch]) + penalty


def rate_penalty(ratio: float) -> float:
    """Return h(r): what a rate that is `ratio` times the best one costs in ln T."""
    if ratio <= 0.0:
        return WORST
    if ratio <= 1.0:
        return min(WORST, -math.log(max(2.0 * ratio - ratio**2, 1e-12)))
    return min(WORST, math.log(ratio) ** 2)


def prior_of(job: Job, goal: Goal) -> Prior:
    """Build the prior of a job from its race."""
    race = job.findings.race
    assert race is not None  # noqa: S101  (stages run in order)
    assert race.learning_rate is not None  # noqa: S101  (a goal needs a race)
    noise = race.noise.estimate if race.noise else None
    return Prior(
        batch=race.batch,
        learning_rate=race.learning_rate,
        steps=race.reference_steps if goal.kind == "time" else None,
        critical_batch_size=noise or UNRESOLVED_CRITICAL_BATCH,
        exponent=EXPONENTS[job.spec.training.optimizer.kind],
        step_seconds=throughput_of(job).step_seconds,
    )
