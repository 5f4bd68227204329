"""Confirmations of a known truth, drawn through the code that confirms.

Only the runs are made up: a `Job` with its plan, finalists and step times asks for training
runs, and gets times to target that were drawn from a law. Which seeds run, who is dropped,
what is chosen, and the interval of the answer are all decided by `tuner.deciding`.

The law: run j of finalist i takes exp(m_i + s_i (sqrt(r) a_j + sqrt(1 - r) e_ij)) seconds, with
a_j shared by all finalists on seed j. Its scatter s and correlation r are those that were
measured between seeds (0.08 to 0.24, and 0.57 to 0.83).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from tuner.deciding import confirm, evidence
from tuner.deciding.comparison import Contender
from tuner.deciding.history import History
from tuner.deciding.job import Findings, Job
from tuner.deciding.memory_curve import MemoryCurve
from tuner.deciding.plan import Goal, Plan
from tuner.deciding.rounds import LAYOUTS, Layout, standing
from tuner.deciding.search import Finalist, Ranking
from tuner.deciding.timing import Throughput
from tuner.records import (
    BatchPlan,
    CapacityChanged,
    CurvePoint,
    MemoryMeasurement,
    Outcome,
    PassTiming,
    Request,
    Result,
    Sharpness,
    Started,
    TrainingResult,
    TrainingRun,
)
from tuner.spec import TuningSpec

BATCHES = (32, 64, 128)
"""Global batches of the finalists; each has its own step time."""

STEP_SECONDS = {32: 0.0005, 64: 0.0008, 128: 0.0014}
BEST_SECONDS = 20.0
"""Geometric mean of the best finalist's times: long enough that whole steps round nothing off."""

SEEDS = 9
"""Seeds that are drawn for every finalist, whether they are run or not."""

TARGET = 0.1
LUCK = 1.0
"""The search saw one seed, the same for all, that was lucky by so many standard deviations."""

RANKING_ERROR = 0.05
"""Standard deviation of what the search expected of a finalist, besides that luck."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """How the times of one simulated confirmation are drawn.

    Args:
        scatter: Standard deviation of ln T between seeds.
        gap: By how much the two rivals are slower than the best, as a share.
        correlation: Range of the correlation of ln T between two finalists on one seed.
        unequal: Scatters of the finalists are 1 / unequal, 1 and unequal times `scatter`.
        stuck: Share of runs that never get there, whatever their time.
        tails: `normal`, `heavy` (Student's t with 5 degrees of freedom), or a skewness of a
            half to `long` or `short` times (a shifted gamma law of shape 16); all of one variance.
        sharpness: Whether runs have a sharpness that may choose; it differs by a tenth both
            between finalists and between seeds.
        affords: Confirming runs that the budget holds.
    """

    scatter: float
    gap: float = 0.0
    correlation: tuple[float, float] = (0.57, 0.83)
    unequal: float = 1.0
    stuck: float = 0.02
    tails: str = "normal"
    sharpness: bool = False
    affords: int = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One confirmation, and the truth behind it.

    Args:
        scores: ln T of what was run, (finalists, seeds); NaN where it missed or did not run.
        rounds: Seeds that were run side by side, by whoever was not dropped before.
        chosen: Position of what was recommended.
        truth: Mean of ln T of what was recommended, over runs that get there.
        low: Lower end of the interval in the answer, ln; NaN where it has none.
        high: Upper end, ln.
        estimate: ln of the estimate in the answer.
        runs: Confirming runs.
        missed: Whether a run of the answer missed the target.
        dropped: Finalists that were dropped on the way.
        by_sharpness: Whether sharpness chose.
        regret: Relative time of what was recommended over the best finalist, less one.
        scatter: Of what was recommended, as a multiple of the law's.
    """

    scores: Floats
    rounds: int
    chosen: int
    truth: float
    low: float
    high: float
    estimate: float
    runs: int
    missed: bool
    dropped: int
    by_sharpness: bool
    regret: float
    scatter: float


class Simulation:
    """Draws confirmations of one law, one after the other.

    Args:
        law: How times are drawn.
        seed: Of the random numbers. Two simulations of one seed draw the same times, however
            they confirm.
        layouts: What confirmation may look like.
        tolerance: `sharpness_tolerance` of what was asked; None: sharpness decides nothing.
    """

    def __init__(
        self,
        law: Law,
        seed: int,
        layouts: tuple[Layout, ...] = LAYOUTS,
        *,
        tolerance: float | None = 0.03,
    ) -> None:
        self._law = law
        self._layouts = layouts
        self._rng = np.random.default_rng(seed)
        self._spec = TuningSpec.model_validate(_spec(tolerance))

    def draws(self, count: int) -> list[Drawn]:
        """Confirm so many times."""
        with mock.patch.object(confirm, "LAYOUTS", self._layouts):
            return [self._draw() for _ in range(count)]

    def _draw(self) -> Drawn:
        """Confirm three finalists once."""
        law, rng = self._law, self._rng
        gaps = rng.permutation([0.0, math.log1p(law.gap), math.log1p(law.gap)])
        scatters = rng.permutation([1.0 / law.unequal, 1.0, law.unequal])
        correlation = rng.uniform(*law.correlation)
        shared, own = self._noise((1, SEEDS)), self._noise((3, SEEDS))
        noise = math.sqrt(correlation) * shared + math.sqrt(1.0 - correlation) * own
        scores = math.log(BEST_SECONDS) + gaps[:, None] + law.scatter * scatters[:, None] * noise
        scores[rng.random(scores.shape) < law.stuck] = math.inf
        flatness = np.full(scores.shape, math.nan)
        if law.sharpness:
            flatness = np.exp(rng.normal(0.0, 0.1, (3, 1)) + rng.normal(0.0, 0.1, (3, SEEDS)))
        expected = math.log(BEST_SECONDS) + gaps - LUCK * law.scatter
        job = self._job(expected + rng.normal(0.0, RANKING_ERROR, 3))
        finalists = [BATCHES.index(one.global_batch_size) for one in confirm.layout(job)[0]]
        _drive(job, scores[finalists], flatness[finalists])
        return _read(job, gaps[finalists], scatters[finalists])

    def _noise(self, shape: tuple[int, int]) -> Floats:
        """Draw noise of unit variance."""
        if self._law.tails == "heavy":
            return self._rng.standard_t(5.0, shape) / math.sqrt(5.0 / 3.0)
        if self._law.tails != "normal":
            skewed = (self._rng.gamma(16.0, 1.0, shape) - 16.0) / 4.0
            return skewed if self._law.tails == "long" else -skewed
        return self._rng.standard_normal(shape)

    def _job(self, expected: Floats) -> Job:
        """Make a job that has searched, and is about to confirm."""
        found = sorted(zip(expected.tolist(), BATCHES, strict=True))
        finalists = tuple(
            Finalist(global_batch_size=batch, learning_rate=0.1, score=score)
            for score, batch in found
        )
        one = confirm.EXPECTED_OVERHEAD * math.exp(finalists[0].score)
        goal = Goal(kind="time", target=TARGET, cadence_seconds=1.0)
        plan = Plan(
            evidence="full",
            goal=goal,
            trials=12,
            confirm_seconds=(self._law.affords + 0.5) * one,
            predicted_seconds=0.0,
        )
        ranking = Ranking(finalists=finalists, observations=(), trials=12)
        return Job(
            spec=self._spec,
            spec_digest="",
            history=History(),
            findings=Findings(plan=plan, search=ranking, timing=_TIMING, memory=_MEMORY),
            capacity=CapacityChanged(accelerator="cpu", device_kind="cpu", slots=3),
        )


def _drive(job: Job, scores: Floats, flatness: Floats) -> None:
    """Answer every request of the confirmation, until it asks for nothing more."""
    while requests := confirm.wants(job).requests:
        for request in requests:
            job.history.started(Started(request=request))
            result = _run(request, scores, flatness)
            job.history.ended(Result(request_id=request.id, result=result))


def _run(request: Request, scores: Floats, flatness: Floats) -> TrainingResult:
    assert isinstance(request, TrainingRun)  # noqa: S101  (the memory of each batch is known)
    position, seed = (int(part) for part in request.id.split("-")[1:])
    step_seconds = STEP_SECONDS[request.plan.global_batch_size]
    steps = math.exp(scores[position, seed]) / step_seconds
    reached = steps <= request.max_steps
    last = round(steps) if reached else request.max_steps
    asam = float(flatness[position, seed])
    sharpness = Sharpness(asam=asam, keskar=None, hessian_top_eigenvalue=None, num_samples=1)
    has_sharpness = request.measure.sharpness and not math.isnan(asam)
    return TrainingResult(
        outcome=Outcome.REACHED if reached else Outcome.CENSORED,
        steps=last,
        crossing_steps=steps if reached else None,
        curve=(CurvePoint(step=last, value=TARGET if reached else 2.0 * TARGET),),
        sharpness=sharpness if has_sharpness else None,
        device_seconds=last * step_seconds,
        limit_applied=request.max_steps,
    )


def _read(job: Job, gaps: Floats, scatters: Floats) -> Drawn:
    """Read the answer, and hold it against the truth."""
    found = confirm.finding(job)
    assert found is not None  # noqa: S101  (nothing more was asked for)
    answer = found.contenders[found.chosen]
    time = evidence.scored(job, answer).time
    contenders = confirm.contenders_of(job)
    chosen = contenders.index(answer)
    stands = standing(contenders, confirm.layout(job)[1].rounds)
    return Drawn(
        scores=np.array([_row(one) for one in contenders]),
        rounds=stands.rounds,
        chosen=chosen,
        truth=math.log(BEST_SECONDS) + float(gaps[chosen]),
        low=_ln(time.low if time else None),
        high=_ln(time.high if time else None),
        estimate=_ln(time.estimate if time else None),
        runs=sum(len(one.done) for one in contenders),
        missed=answer.reached < len(answer.done),
        dropped=len(stands.dropped),
        by_sharpness=found.by_sharpness,
        regret=math.expm1(float(gaps[chosen])),
        scatter=float(scatters[chosen]),
    )


def _ln(value: float | None) -> float:
    return math.nan if value is None else math.log(value)


def _row(contender: Contender) -> list[float]:
    return [math.nan if score is None else score for score in contender.scores]


def _spec(tolerance: float | None) -> dict[str, Any]:
    return {
        "model": {"kind": "builtin", "name": "mlp"},
        "dataset": {"kind": "sklearn", "name": "digits"},
        "training": {"task": "classification"},
        "objective": {
            "kind": "time_to_target",
            "target": TARGET,
            "sharpness_tolerance": tolerance,
        },
        "budget": {"timeout_seconds": 1e6, "parallel_trials": 3},
    }


_TIMING = Throughput(
    passes={
        batch: PassTiming(
            micro_batch_size=batch,
            pass_seconds=seconds,
            optimizer_seconds=0.0,
            input_seconds=0.0,
            spread=0.0,
            windows=(seconds,),
        )
        for batch, seconds in STEP_SECONDS.items()
    },
    plans={batch: BatchPlan(micro_batch_size=batch) for batch in BATCHES},
    step_seconds=STEP_SECONDS,
    fixed_seconds=0.0002,
    seconds_per_sample=0.00001,
    evaluation_seconds=0.0,
)

_MEMORY = MemoryCurve(
    max_micro_batch_size=max(BATCHES),
    limited=False,
    limit_bytes=10**9,
    predicted=(),
    not_predicted=None,
    trials=tuple(
        MemoryMeasurement(
            micro_batch_size=batch,
            out_of_memory=False,
            forward_backward_bytes=10**8,
            optimizer_bytes=10**8,
            evaluation_bytes=10**8,
            reserved_bytes=10**8,
            allocation_retries=0,
            steps=3,
            recording=None,
            device_seconds=0.0,
        )
        for batch in BATCHES
    ),
)
