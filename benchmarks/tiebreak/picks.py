"""Confirmations drawn from what was trained, each decided by the rule that decides for users."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from benchmarks.tiebreak.setting import Setting, job_of
from benchmarks.tiebreak.splits import ThreeWay
from benchmarks.tiebreak.training import SEEDS, Trained
from tuner.deciding.comparison import Contender
from tuner.deciding.confirm import choose
from tuner.deciding.history import Run
from tuner.deciding.score import Observation, observe

FINALISTS: Final = 4
"""As many as a confirmation starts with where the budget holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way to confirm.

    Args:
        name: What reports call it.
        rounds: Seeds on which the finalists run side by side, sharpness measured on each.
        tolerance: `sharpness_tolerance`.
    """

    name: str
    rounds: int
    tolerance: float


RULES: Final = (
    Rule(name="tolerance 0.03", rounds=3, tolerance=0.03),
    Rule(name="ties alone", rounds=3, tolerance=0.0),
    Rule(name="tolerance 0.10", rounds=3, tolerance=0.10),
    Rule(name="five seeds", rounds=5, tolerance=0.03),
)
"""The first is what the verdict is read off: what jobs did when this was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """One confirmation.

    Args:
        seeds: Replicates that it ran.
        fastest: Candidate that time alone names.
        chosen: Candidate that is recommended.
    """

    seeds: tuple[int, ...]
    fastest: int
    chosen: int


def picks(
    split: ThreeWay, setting: Setting, trained: Sequence[Trained], rule: Rule
) -> Iterator[Pick]:
    """Confirm every four candidates on every few seeds: all draws that there are.

    Args:
        split: The workload.
        setting: What is settled of it.
        trained: One run of every candidate on every seed.
        rule: How to confirm.
    """
    job = job_of(split, setting, tolerance=rule.tolerance)
    assert job.findings.plan is not None  # noqa: S101  (set by `job_of`)
    goal = job.findings.plan.goal
    assert goal is not None  # noqa: S101
    seen: dict[tuple[int, int], Observation] = {
        (one.candidate, one.seed): observe(job, goal, Run(request=one.request, result=one.result))
        for one in trained
    }
    candidates = range(len(setting.candidates))
    for finalists in combinations(candidates, min(FINALISTS, len(candidates))):
        for seeds in combinations(range(SEEDS), rule.rounds):
            contenders = [
                Contender(
                    global_batch_size=setting.candidates[one].global_batch_size,
                    learning_rate=setting.candidates[one].learning_rate,
                    runs=tuple(seen[one, seed] for seed in seeds),
                    believed=setting.candidates[one].believed,
                )
                for one in finalists
            ]
            found = choose(job, contenders)
            named = [_position(setting, found.contenders[at]) for at in (0, found.chosen)]
            yield Pick(seeds=seeds, fastest=named[0], chosen=named[1])


def _position(setting: Setting, contender: Contender) -> int:
    wanted = contender.global_batch_size, contender.learning_rate
    return next(
        position
        for position, one in enumerate(setting.candidates)
        if (one.global_batch_size, one.learning_rate) == wanted
    )
