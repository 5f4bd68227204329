"""A small world with known laws, in place of a device: what the decisions are tested against.

Steps to the target follow S(B) (1 + Bc/B) with a known best rate, losses fall as a known
power, step times and memory are affine, seeds scatter by a known amount. So the right answer
is known, and a thousand jobs take a second.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from tuner import curve
from tuner.deciding.prior import rate_penalty
from tuner.records import (
    CurvePoint,
    Device,
    Inspect,
    Inspection,
    Measurement,
    MemoryMeasurement,
    MemoryPrediction,
    MemoryReplay,
    MemoryReplayed,
    MemoryTrace,
    MemoryTrial,
    NoiseWindow,
    Outcome,
    PassTiming,
    PredictedPeak,
    Request,
    Sharpness,
    StackedResults,
    StackedRuns,
    StackPace,
    StackPaces,
    StackTiming,
    StepTiming,
    TimingMeasurement,
    TrainingResult,
    TrainingRun,
)


@dataclass(slots=True, kw_only=True)
class World:
    """The laws of one workload on one device.

    Args:
        target_loss: Loss that takes `steps_minimum * (1 + critical / B)` steps at the best rate.
        diverges_above: A rate above this multiple of the best one diverges.
        predicted_share: What a trace predicts of the bytes that are really taken; 0 for a
            workload that cannot be traced.
        predicted_less_bytes: What a trace does not see besides, whatever the size.
        records_requests: Whether memory trials are recorded.
        replays: Whether recordings are found when they are replayed.
        scatter: Standard deviation of ln steps between seeds.
        own_scatter: The same between configurations on one seed.
        reaching_share: Share of the seeds on which the loss can fall to the target at all.
        resolved: Whether split gradients show any common direction.
        diverges_after: Steps after which every run diverges; None for never.
        stack_gain: By how much eight runs are faster side by side than one after the other.
        trying_seconds: What finding that out costs.
        refused: Why runs cannot be stacked; None if they can.
    """

    num_train: int = 20_000
    steps_minimum: float = 300.0
    critical: float = 60.0
    best_rate: float = 0.05
    rate_batch: int = 64
    pass_fixed_seconds: float = 0.002
    pass_seconds_per_sample: float = 0.00005
    optimizer_seconds: float = 0.001
    evaluation_seconds: float = 0.002
    bytes_fixed: int = 10_000_000
    bytes_per_sample: int = 100_000
    limit_bytes: int = 10**12
    predicted_share: float = 1.0
    predicted_less_bytes: int = 0
    records_requests: bool = False
    replays: bool = True
    target_loss: float = 0.1
    scatter: float = 0.0
    own_scatter: float = 0.0
    reaching_share: float = 1.0
    resolved: bool = True
    diverges_after: int | None = None
    diverges_above: float = 8.0
    synthetic: bool = False
    batch_dependent: tuple[str, ...] = ()
    floor: float = 0.0
    stack_gain: float = 1.0
    trying_seconds: float = 0.0
    refused: str | None = None
    measured: list[str] = field(default_factory=list)

    def measure(self, request: Request) -> Measurement:  # noqa: PLR0911 - one for each kind
        """Measure one request by the laws."""
        self.measured.append(request.id)
        match request:
            case Inspect():
                return self._inspect()
            case MemoryTrial():
                return self._memory(request)
            case MemoryTrace():
                return self._trace(request)
            case MemoryReplay():
                return self._replay(request)
            case StepTiming():
                return self._timing(request)
            case TrainingRun():
                return self._train(request)
            case StackTiming():
                return self._paces(request)
            case StackedRuns():
                results = tuple(self._train(run) for run in request.runs)
                seconds = sum(result.device_seconds for result in results)
                return StackedResults(
                    results=results, device_seconds=seconds / self._gain(len(results))
                )

    def step_seconds(self, micro_batch_size: int, accumulation: int) -> float:
        """Seconds of one optimizer step."""
        one = self.pass_fixed_seconds + self.pass_seconds_per_sample * micro_batch_size
        return accumulation * one + self.optimizer_seconds

    def rate(self, batch: int) -> float:
        """The best learning rate at a batch."""
        at = 1.0 + self.critical / self.rate_batch
        return self.best_rate * at / (1.0 + self.critical / batch)

    def steps(self, batch: int, learning_rate: float, seed: int) -> float:
        """Steps to the target of one run."""
        own = random.Random(f"{seed} {batch} {learning_rate:.6g}")
        luck = random.Random(seed).gauss(0.0, self.scatter) + own.gauss(0.0, self.own_scatter)
        best = self.steps_minimum * (1.0 + self.critical / batch)
        return best * math.exp(rate_penalty(learning_rate / self.rate(batch)) + luck)

    def peak_bytes(self, micro_batch_size: int) -> int:
        """Convex and piecewise linear: the optimizer dominates small batches."""
        linear = self.bytes_fixed + self.bytes_per_sample * micro_batch_size
        return max(self.bytes_fixed * 2, linear)

    def _inspect(self) -> Inspection:
        return Inspection(
            num_train=self.num_train,
            num_validation=1000,
            input_shape=(8,),
            input_dtype="float32",
            output_size=10,
            tokens_per_sample=None,
            parameter_count=1000,
            parameter_bytes=4000,
            batch_dependent_layers=self.batch_dependent,
            synthetic=self.synthetic,
            data_digest="sha256:d",
            code_digest="sha256:c",
            initial_loss=2.3,
            device=Device(
                kind="cpu",
                name="world",
                memory_bytes=self.limit_bytes,
                limit_bytes=self.limit_bytes,
                torch_version="2.13.0",
            ),
            device_seconds=0.1,
        )

    def _memory(self, request: MemoryTrial) -> MemoryMeasurement:
        peak = self.peak_bytes(request.micro_batch_size)
        out_of_memory = peak > request.limit_bytes
        is_recorded = self.records_requests and not out_of_memory
        return MemoryMeasurement(
            micro_batch_size=request.micro_batch_size,
            out_of_memory=out_of_memory,
            forward_backward_bytes=peak,
            optimizer_bytes=self.bytes_fixed * 2,
            evaluation_bytes=self.bytes_fixed,
            reserved_bytes=peak,
            allocation_retries=0,
            steps=3,
            recording=f"of {request.micro_batch_size}" if is_recorded else None,
            device_seconds=0.5,
        )

    def _replay(self, request: MemoryReplay) -> MemoryReplayed:
        """Promise the largest size that the law allows."""
        size = (request.goal_bytes - self.bytes_fixed) // self.bytes_per_sample
        promised = max(request.above, min(size, request.up_to)) if self.replays else None
        return MemoryReplayed(micro_batch_size=promised, device_seconds=0.1)

    def _trace(self, request: MemoryTrace) -> MemoryPrediction:
        """Predict by the law, as wrongly as the world was told to."""
        sizes = request.micro_batch_sizes if self.predicted_share else ()
        points = [
            (size, int(self.predicted_share * (self.peak_bytes(size) - self.predicted_less_bytes)))
            for size in sizes
        ]
        return MemoryPrediction(
            points=tuple(
                PredictedPeak(
                    micro_batch_size=size,
                    forward_backward_bytes=peak,
                    optimizer_bytes=int(self.predicted_share * self.bytes_fixed * 2),
                    evaluation_bytes=int(self.predicted_share * self.bytes_fixed),
                    reserved_bytes=peak,
                    needed_bytes=peak,
                    total_bytes=peak,
                )
                for size, peak in points
            ),
            parameter_bytes=4000,
            gradient_bytes=4000,
            optimizer_state_bytes=0,
            buffer_bytes=0,
            data_bytes=0,
            activation_bytes_per_sample=float(self.bytes_per_sample),
            traced=bool(points),
            reason=None if points else "the world said so.",
            device_seconds=0.2,
        )

    def _timing(self, request: StepTiming) -> TimingMeasurement:
        passes = []
        for size in request.micro_batch_sizes:
            one = self.pass_fixed_seconds + self.pass_seconds_per_sample * size
            passes.append(
                PassTiming(
                    micro_batch_size=size,
                    pass_seconds=one,
                    optimizer_seconds=self.optimizer_seconds,
                    input_seconds=0.0001,
                    spread=0.01,
                    windows=(one + self.optimizer_seconds,) * request.rounds,
                )
            )
        return TimingMeasurement(
            passes=tuple(passes), evaluation_seconds=self.evaluation_seconds, device_seconds=3.0
        )

    def _paces(self, request: StackTiming) -> StackPaces:
        if self.refused is not None:
            return StackPaces(
                lone_step_seconds=0.0, paces=(), refused=self.refused, device_seconds=0.0
            )
        plan = request.runs[0].plan
        lone = self.step_seconds(plan.micro_batch_size, plan.gradient_accumulation_steps)
        return StackPaces(
            lone_step_seconds=lone,
            paces=tuple(
                StackPace(runs=width, step_seconds=width * lone / self._gain(width))
                for width in request.widths
            ),
            device_seconds=self.trying_seconds,
        )

    def _gain(self, width: int) -> float:
        """By how much a stack is faster: all of it at eight runs, less of it with fewer."""
        return max(1.0, self.stack_gain * width / 8)

    def _train(self, request: TrainingRun) -> TrainingResult:
        batch = request.plan.global_batch_size
        seconds = self.step_seconds(
            request.plan.micro_batch_size, request.plan.gradient_accumulation_steps
        )
        lived = self._lived(request, batch)
        if lived is not None:
            return TrainingResult(
                outcome=Outcome.DIVERGED,
                steps=lived,
                crossing_steps=None,
                curve=(CurvePoint(step=lived, value=math.inf),),
                device_seconds=lived * seconds,
                limit_applied=request.max_steps,
            )
        points = self._curve(request, batch)
        crossing = None
        if request.target is not None:
            crossing = curve.crossing_steps(points, request.target, request.workload.metric)
        steps = points[-1].step
        return TrainingResult(
            outcome=Outcome.REACHED if crossing is not None else Outcome.CENSORED,
            steps=steps,
            crossing_steps=crossing,
            curve=points,
            noise=self._noise(request, batch),
            sharpness=self._sharpness(request),
            train_seconds=steps * seconds,
            train_steps=steps,
            device_seconds=steps * seconds,
            limit_applied=request.max_steps,
            checkpoint="c" if request.checkpoint else None,
        )

    def _lived(self, request: TrainingRun, batch: int) -> int | None:
        """Steps after which a run diverges, if it does."""
        if request.learning_rate > self.diverges_above * self.rate(batch):
            return 1
        if self.diverges_after is not None and request.max_steps > self.diverges_after:
            return self.diverges_after
        return None

    def _curve(self, request: TrainingRun, batch: int) -> tuple[CurvePoint, ...]:
        """A loss that falls as a power of the share of steps taken, down to its floor."""
        needed = self.steps(batch, request.learning_rate, request.seed)
        stuck = random.Random(f"stuck {request.seed}").random() >= self.reaching_share
        floor = max(self.floor, 1.2 * self.target_loss) if stuck else self.floor
        points: list[CurvePoint] = []
        step = 0
        while step < request.max_steps:
            step = min(step + request.evaluate_every_steps, request.max_steps)
            fall = (self.target_loss / 2.3) ** ((step / needed) ** 0.5)
            points.append(CurvePoint(step=step, value=max(2.3 * fall, floor)))
            if request.target is not None and curve.smoothed(points)[-1] <= request.target:
                break
        return tuple(points)

    def _noise(self, request: TrainingRun, batch: int) -> tuple[NoiseWindow, ...]:
        """Windows whose noise scale is `critical`, scattered a little."""
        rng = random.Random(request.seed)
        small = max(1, batch // 8)
        splits = batch // small
        windows = []
        for index in range(request.measure.noise_windows if splits > 1 else 0):
            size = math.exp(rng.gauss(0.0, 0.1))
            windows.append(
                NoiseWindow(
                    step=index,
                    small_batch_size=small,
                    splits=splits,
                    small=size * (1.0 + self.critical / small),
                    big=size * (1.0 + self.critical / batch) if self.resolved else 0.0,
                )
            )
        return tuple(windows)

    def _sharpness(self, request: TrainingRun) -> Sharpness | None:
        if not request.measure.sharpness:
            return None
        return Sharpness(
            asam=0.01 + request.learning_rate / 100.0,
            keskar=1.0,
            hessian_top_eigenvalue=2.0 / request.learning_rate,
            num_samples=1024,
        )
