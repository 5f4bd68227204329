"""A device that answers every request of a tuning from a recorded grid, in no time.

Steps and losses are real ones, recorded; seconds and bytes follow the laws of a card. Whatever
a device would have spent is charged: inspection, memory, timing, evaluations, split steps.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Final

from benchmarks.search.card import Card
from benchmarks.search.draw import Draw
from benchmarks.search.grid import Grid
from tuner.records import (
    BatchPlan,
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
    Outcome,
    PassTiming,
    PredictedPeak,
    Request,
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

FIXED_BYTES: Final = 2_000_000_000
BYTES_PER_SAMPLE: Final = 100_000_000
MEMORY_MARGIN: Final = 0.03
TRIAL_STEPS: Final = 3
TRACE_SECONDS: Final = 2.0
SPREAD: Final = 0.02


@dataclass(slots=True, kw_only=True)
class GridWorld:
    """What a tuning measures, answered from a grid.

    Seeds of the job are given the search seeds of the draw in the order in which they are
    first met; from the fifth on they come round again. Scoring seeds are never trained.

    Args:
        grid: What was recorded.
        card: What it costs.
        drawn: Which seeds may be trained on.
        out_of_memory: How often anything ran out of memory.
        seeds: Seeds of the job, in the order in which they were met.
    """

    grid: Grid
    card: Card
    drawn: Draw
    out_of_memory: int = 0
    seeds: list[int] = field(default_factory=list)
    _checkpoints: dict[str, int] = field(default_factory=dict)

    def measure(self, request: Request) -> Measurement:  # noqa: PLR0911 - one for each kind
        """Answer one request."""
        match request:
            case Inspect():
                return self._inspect()
            case MemoryTrial():
                return self._memory(request)
            case MemoryTrace():
                return self._trace(request)
            case MemoryReplay():
                return MemoryReplayed(micro_batch_size=None, device_seconds=0.0)
            case StepTiming():
                return self._timing(request)
            case TrainingRun():
                return self._train(request)
            case StackTiming():
                return self._paces(request)
            case StackedRuns():
                results = tuple(self._train(run) for run in request.runs)
                seconds = sum(result.device_seconds for result in results)
                return StackedResults(results=results, device_seconds=seconds)

    @property
    def limit_bytes(self) -> int:
        """The device's memory: what its largest micro-batch needs, and the margin."""
        needed = _peak_bytes(self.card.largest_micro_batch_size)
        return math.ceil((needed + BYTES_PER_SAMPLE // 2) / (1.0 - MEMORY_MARGIN))

    def _inspect(self) -> Inspection:
        return Inspection(
            num_train=int(self.grid.meta["num_train"]),
            num_validation=1000,
            input_shape=(1,),
            input_dtype="float32",
            output_size=1,
            tokens_per_sample=None,
            parameter_count=1000,
            parameter_bytes=4000,
            batch_dependent_layers=(),
            synthetic=False,
            data_digest=f"sha256:{self.grid.name}",
            code_digest="sha256:grid",
            initial_loss=float(self.grid.meta["initial_loss"]),
            device=Device(
                kind="cpu",
                name=self.card.name,
                memory_bytes=self.limit_bytes,
                limit_bytes=self.limit_bytes,
                torch_version="2.13.0",
            ),
            device_seconds=self.card.start_seconds,
        )

    def _memory(self, request: MemoryTrial) -> MemoryMeasurement:
        peak = _peak_bytes(request.micro_batch_size)
        too_large = peak > request.limit_bytes
        self.out_of_memory += too_large
        plan = BatchPlan(
            micro_batch_size=request.micro_batch_size,
            gradient_accumulation_steps=request.accumulation,
        )
        steps = TRIAL_STEPS * self.card.plan_seconds(plan)
        return MemoryMeasurement(
            micro_batch_size=request.micro_batch_size,
            out_of_memory=too_large,
            forward_backward_bytes=peak,
            optimizer_bytes=FIXED_BYTES,
            evaluation_bytes=FIXED_BYTES,
            reserved_bytes=peak,
            allocation_retries=0,
            steps=TRIAL_STEPS,
            device_seconds=self.card.start_seconds + steps + self.card.evaluation_seconds,
        )

    def _trace(self, request: MemoryTrace) -> MemoryPrediction:
        return MemoryPrediction(
            points=tuple(_predicted(size) for size in request.micro_batch_sizes),
            parameter_bytes=4000,
            gradient_bytes=4000,
            optimizer_state_bytes=0,
            buffer_bytes=0,
            data_bytes=0,
            activation_bytes_per_sample=float(BYTES_PER_SAMPLE),
            traced=True,
            device_seconds=TRACE_SECONDS,
        )

    def _timing(self, request: StepTiming) -> TimingMeasurement:
        passes = []
        for size in request.micro_batch_sizes:
            one = self.card.pass_seconds(size)
            passes.append(
                PassTiming(
                    micro_batch_size=size,
                    pass_seconds=one,
                    optimizer_seconds=self.card.optimizer_seconds,
                    input_seconds=0.0,
                    spread=SPREAD,
                    windows=(one + self.card.optimizer_seconds,) * request.rounds,
                )
            )
        steady = sum(max(request.window_seconds, 2.0 * sum(one.windows)) for one in passes)
        return TimingMeasurement(
            passes=tuple(passes),
            evaluation_seconds=self.card.evaluation_seconds,
            device_seconds=steady + self.card.evaluation_seconds,
        )

    def _paces(self, request: StackTiming) -> StackPaces:
        """Runs are recorded one by one: side by side they would gain nothing, at no price."""
        lone = self.card.plan_seconds(request.runs[0].plan)
        return StackPaces(
            lone_step_seconds=lone,
            paces=tuple(
                StackPace(runs=width, step_seconds=width * lone) for width in request.widths
            ),
            device_seconds=0.0,
        )

    def _train(self, request: TrainingRun) -> TrainingResult:
        if request.plan.micro_batch_size > self.card.largest_micro_batch_size:
            self.out_of_memory += 1
            return TrainingResult(
                outcome=Outcome.OUT_OF_MEMORY,
                steps=0,
                crossing_steps=None,
                curve=(),
                limit_applied=request.max_steps,
                device_seconds=self.card.start_seconds,
            )
        done = self._checkpoints.get(request.resume_from or "", 0)
        limit = self._limit(request, done)
        result = self.grid.train(
            self.grid.cell(request.plan.global_batch_size, request.learning_rate),
            self._seed_index(request.seed),
            max_steps=limit,
            card=self.card,
            target=request.target,
            noise_windows=request.measure.noise_windows,
            done_steps=done,
        )
        if not request.checkpoint:
            return result
        self._checkpoints[request.id] = result.steps
        return dataclasses.replace(result, checkpoint=request.id)

    def _limit(self, request: TrainingRun, done: int) -> int:
        """Steps that the limit and the deadline allow."""
        if request.deadline_seconds is None:
            return request.max_steps
        one = self.card.plan_seconds(request.plan)
        return max(1, min(request.max_steps, done + int(request.deadline_seconds / one)))

    def _seed_index(self, seed: int) -> int:
        if seed not in self.seeds:
            self.seeds.append(seed)
        return self.drawn.search[self.seeds.index(seed) % len(self.drawn.search)]


def _peak_bytes(micro_batch_size: int) -> int:
    return FIXED_BYTES + BYTES_PER_SAMPLE * micro_batch_size


def _predicted(micro_batch_size: int) -> PredictedPeak:
    peak = _peak_bytes(micro_batch_size)
    return PredictedPeak(
        micro_batch_size=micro_batch_size,
        forward_backward_bytes=peak,
        optimizer_bytes=FIXED_BYTES,
        evaluation_bytes=FIXED_BYTES,
        reserved_bytes=peak,
        needed_bytes=peak,
        total_bytes=peak,
    )
