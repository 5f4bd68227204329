"""A workload on a device: measure what is not yet known, and know what it cost.

Every measurement is kept by a key that says all of what decides it. Methods are functions of
what is measured; called again, they ask for the same, and go on where the last call ended.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.search.on_card.ledger import Ledger
from tuner import curve
from tuner.errors import InvalidWorkload
from tuner.measuring.dispatch import Measuring
from tuner.measuring.workbench import Workbench
from tuner.records import (
    BatchPlan,
    Measurement,
    Outcome,
    PassTiming,
    Request,
    StepTiming,
    TimingMeasurement,
    TrainingResult,
    TrainingRun,
    Workload,
    decode,
    encode,
)

LEAST_STEPS: Final = 5
"""Of any run, however slow a step is."""


class OutOfTime(Exception):
    """The seconds of this call are used up; what was measured is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long this bench trains.

    Args:
        reference_seconds: Training seconds of the reference run; the target is read off it.
        budget_runs: What a search may cost, in reference times to the target.
        seeds: Unseen seeds that every pick is scored on.
        evaluations: Evaluations over the reference seconds.
        miss: A scored run is given up at this multiple of the reference's time.
        window_seconds: Steady state that a step time is read off.
        fewest_steps: Steps of the reference run at least, however slow a step is.
    """

    reference_seconds: float
    budget_runs: float
    seeds: int
    evaluations: int = 25
    miss: float = 2.0
    window_seconds: float = 1.0
    fewest_steps: int = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """How a global batch is run here, and how long a step of it takes."""

    plan: BatchPlan
    step_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One training run.

    Args:
        outcome: How it ended.
        seconds: Calibrated seconds to the target; None where it was missed.
        trained_seconds: Calibrated seconds that it trained.
        wall_seconds: What its training and evaluation took by the clock.
        device_seconds: What it took altogether.
        excess: ln of the last smoothed loss over the target; infinite where it diverged.
    """

    outcome: str
    seconds: float | None
    trained_seconds: float
    wall_seconds: float
    device_seconds: float
    excess: float

    @property
    def order(self) -> tuple[float, float]:
        """Best first: by time; those that missed come after, by how far off they were."""
        return (math.inf if self.seconds is None else self.seconds, self.excess)


class Rig:
    """One workload on one device, for one call.

    Args:
        workload: What is trained.
        device_kind: Kind of the device.
        ledger: What is known, and where it is kept.
        measuring: Measures, and keeps the workload warm.
        limits: How long is trained.
        ends_at: `time.monotonic` when the call is over.
    """

    def __init__(
        self,
        *,
        workload: Workload,
        device_kind: str,
        ledger: Ledger,
        measuring: Measuring,
        limits: Limits,
        ends_at: float,
    ) -> None:
        self.workload = workload
        self.device_kind = device_kind
        self.ledger = ledger
        self.measuring = measuring
        self.limits = limits
        self._ends_at = ends_at

    @property
    def bench(self) -> Workbench:
        """The workload with its data, set up."""
        return self.measuring.bench(self.workload, None)

    def reserve(self, seconds: float) -> None:
        """Go on only if the call has so many seconds left.

        Raises:
            OutOfTime: It has not.
        """
        if time.monotonic() + seconds > self._ends_at:
            raise OutOfTime

    def measure(self, key: str, request: Request) -> Measurement:
        """Measure a request, or return what an earlier call measured for it.

        Raises:
            OutOfTime: The call is over, or so nearly that a long run would not end in it.
        """
        asked = _digest(request)
        known = self.ledger.get(key)
        if known is not None and known["asked"] == asked:
            result: Measurement = decode(known["result"])
            return result
        self.reserve(self.limits.miss * self.limits.reference_seconds)
        result = self.measuring.measure(request, tightened=lambda: None)
        self.ledger.put(key, {"asked": asked, "result": encode(result)})
        print(f"  {key} {result.device_seconds:.1f} s", flush=True)
        return result

    def timed(self, batch: int) -> Timed:
        """Time a step of a global batch, in as few passes as memory allows."""
        passes = 1
        while True:
            plan = BatchPlan(micro_batch_size=batch // passes, gradient_accumulation_steps=passes)
            one = self._pass(plan.micro_batch_size)
            if one is not None:
                seconds = passes * one.pass_seconds + one.optimizer_seconds
                return Timed(plan=plan, step_seconds=seconds)
            passes *= 2
            if batch % passes:
                raise InvalidWorkload(f"Batch {batch} fits in no number of equal passes.")

    def _pass(self, size: int) -> PassTiming | None:
        request = StepTiming(
            id=f"timing-{size}",
            workload=self.workload,
            micro_batch_sizes=(size,),
            window_seconds=self.limits.window_seconds,
        )
        measured = self.measure(f"timing/{size}", request)
        if not isinstance(measured, TimingMeasurement):
            raise TypeError(type(measured).__name__)
        return measured.passes[0] if measured.passes else None

    def train(
        self,
        batch: int,
        learning_rate: float,
        seed: int,
        *,
        limit_seconds: float,
        target: float | None,
    ) -> tuple[TrainingResult, Ran]:
        """Train one configuration up to a target or a limit of calibrated seconds.

        Args:
            batch: Samples per optimizer step.
            learning_rate: Its rate.
            seed: Of the weights and the order of the data.
            limit_seconds: Calibrated training seconds after which it is given up.
            target: Smoothed validation loss to reach; None trains to the limit.

        Returns:
            What was measured, and what it comes to.
        """
        timed = self.timed(batch)
        steps = max(LEAST_STEPS, int(limit_seconds / timed.step_seconds))
        cadence = self.limits.reference_seconds / self.limits.evaluations
        request = TrainingRun(
            id="run",
            workload=self.workload,
            plan=timed.plan,
            learning_rate=learning_rate,
            seed=seed,
            max_steps=steps,
            evaluate_every_steps=max(1, round(cadence / timed.step_seconds)),
            target=target,
            device_kind=self.device_kind,
        )
        key = f"run/{batch}/{learning_rate:.6g}/{seed}/{steps}"
        measured = self.measure(key, request)
        if not isinstance(measured, TrainingResult):
            raise TypeError(type(measured).__name__)
        return measured, _ran(measured, timed.step_seconds, target)


def _ran(result: TrainingResult, step_seconds: float, target: float | None) -> Ran:
    crossed = result.crossing_steps
    excess = math.inf
    if target is not None and result.outcome in {Outcome.REACHED, Outcome.CENSORED}:
        values = curve.smoothed(result.curve)
        excess = math.log(values[-1] / target) if values else math.inf
    return Ran(
        outcome=str(result.outcome),
        seconds=None if crossed is None else crossed * step_seconds,
        trained_seconds=result.steps * step_seconds,
        wall_seconds=result.train_seconds + result.evaluation_seconds,
        device_seconds=result.device_seconds,
        excess=excess,
    )


def _digest(request: Request) -> str:
    plain: Mapping[str, Any] = encode(request)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]
