"""What a sampler is asked, and all that its answer may depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from tuner.deciding import posterior
from tuner.deciding.posterior import NOISE, Posterior
from tuner.deciding.prior import Prior
from tuner.deciding.sampling.space import Point, Space
from tuner.deciding.score import Observation


@dataclass(frozen=True, kw_only=True)
class Question:
    """One ask.

    Args:
        prior: What is expected before any trial.
        space: What may be suggested.
        observations: Trials that have ended, those of the race included.
        running: Trials that are under way.
        seed: Of the job.
        index: Counts the asks of the job from 0.
        noise: Standard deviation of one trial about its expectation, in units of the score.
        run_seconds: What a run costs at each batch; None where the score itself is ln of that.
    """

    prior: Prior
    space: Space
    observations: Sequence[Observation]
    running: Sequence[Point]
    seed: int
    index: int
    noise: float = NOISE
    run_seconds: Mapping[int, float] | None = None

    @property
    def tried(self) -> list[Point]:
        """Points of all trials, ended or not."""
        ended = [(one.global_batch_size, one.learning_rate) for one in self.observations]
        return [*ended, *self.running]

    @cached_property
    def belief(self) -> Posterior:
        """What is believed after these trials."""
        return posterior.fit(self.prior, self.observations, self.running, noise=self.noise)
