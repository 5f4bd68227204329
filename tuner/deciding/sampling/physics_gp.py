"""A sampler for Optuna that knows how batch size and learning rate go together.

    study = optuna.create_study(sampler=PhysicsGPSampler(prior=prior, space=space))
    study.optimize(objective, n_trials=20, callbacks=[stop_when_settled])

The objective suggests the integer `batch_index` and the float `learning_rate`, and returns ln of
the seconds to the target. A trial that was cut short sets its user attribute `kind` to
`censored` and returns ln of the seconds at its cut; one that diverged sets it to `diverged`; one
that ran out of memory sets a constraint above 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from tuner.deciding import posterior
from tuner.deciding.job import seed_from
from tuner.deciding.posterior import NOISE
from tuner.deciding.prior import Prior
from tuner.deciding.sampling import studies
from tuner.deciding.sampling.acquisition import WORTH_A_TRIAL, choose
from tuner.deciding.sampling.question import Question
from tuner.deciding.sampling.space import Point, Space, without_infeasible


class PhysicsGPSampler(BaseSampler):
    """Expected improvement per second of a Gaussian process about a physical prior.

    It is a pure function of the trials of its study: two samplers suggest the same. Parameters
    that it does not know are drawn at random.

    Args:
        prior: What is expected before any trial.
        space: Batches and rates that may be suggested.
        noise: Standard deviation of one trial about its expectation, in units of the value.
        run_seconds: What a run costs at each batch; None where the value is ln of that.
        seed: Of the parameters that are drawn at random.
    """

    def __init__(
        self,
        *,
        prior: Prior,
        space: Space,
        noise: float = NOISE,
        run_seconds: Mapping[int, float] | None = None,
        seed: int | None = None,
    ) -> None:
        self._prior = prior
        self._space = space
        self._noise = noise
        self._run_seconds = run_seconds
        self._others = RandomSampler(seed=seed)
        self.gain: float | None = None
        """Expected improvement that the last suggestion was made for; None before the first."""

    def reseed_rng(self) -> None:
        """Draw differently in each process of a parallel study."""
        self._others.reseed_rng()

    def infer_relative_search_space(
        self,
        study: Study,  # noqa: ARG002  (the space does not follow from the trials)
        trial: FrozenTrial,  # noqa: ARG002
    ) -> dict[str, BaseDistribution]:
        """Return the distributions of `batch_index` and `learning_rate`."""
        return studies.distributions(self._space)

    def sample_relative(
        self,
        study: Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],  # noqa: ARG002  (it is our own)
    ) -> dict[str, Any]:
        """Suggest a point, given every trial of the study that ended or runs.

        Raises:
            ValueError: The study maximizes, or has several objectives.
        """
        if study.directions != [StudyDirection.MINIMIZE]:
            raise ValueError("PhysicsGPSampler minimizes one value: ln of the seconds to a target")
        seen = studies.observations_of(self._space, study)
        running = studies.running_of(self._space, study, trial.number)
        belief = posterior.fit(self._prior, seen, running, noise=self._noise)
        tried = [(one.global_batch_size, one.learning_rate) for one in seen] + running
        space = without_infeasible(self._space, seen)
        choice = choose(belief, space, tried, self._run_seconds)
        if choice is None:
            self.gain = 0.0
            return {}
        self.gain = choice.gain
        return studies.params_of(self._space, choice.point)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Draw a parameter that is not ours at random."""
        return self._others.sample_independent(study, trial, param_name, param_distribution)


def stop_when_settled(study: Study, trial: FrozenTrial) -> None:  # noqa: ARG001  (Optuna's port)
    """Stop a study whose last suggestion promised too little; for `callbacks` of `optimize`."""
    sampler = study.sampler
    if isinstance(sampler, PhysicsGPSampler) and (sampler.gain or WORTH_A_TRIAL) < WORTH_A_TRIAL:
        study.stop()


def ask(question: Question) -> Point | None:
    """Ask for the next trial; None where none is worth its cost any more."""
    sampler = PhysicsGPSampler(
        prior=question.prior,
        space=question.space,
        noise=question.noise,
        run_seconds=question.run_seconds,
        seed=seed_from(question.seed, question.index),
    )
    study = optuna.create_study(sampler=sampler, direction="minimize")
    study.add_trials(
        studies.frozen_trials(
            question.space, question.belief, question.observations, question.running
        )
    )
    params = study.ask(studies.distributions(question.space)).params
    if sampler.gain is None or sampler.gain < WORTH_A_TRIAL:
        return None
    return studies.point_of(question.space, params)
