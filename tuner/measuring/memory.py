"""One memory trial: real optimizer steps and an evaluation at one micro-batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

import torch

from tuner.measuring.batches import Batches
from tuner.measuring.evaluation import evaluate
from tuner.measuring.meters import Meter, metered
from tuner.measuring.out_of_memory import forget, is_out_of_memory
from tuner.measuring.step import TrainingStep
from tuner.measuring.workbench import Workbench, eagerly
from tuner.records import MemoryMeasurement, MemoryTrial
from tuner.workloads.randomness import seeded

STEPS: Final = 3
"""Optimizer steps of a trial: its state appears with the first and is stepped with after."""

LEARNING_RATE: Final = 1e-6
"""So small that nothing diverges; memory does not depend on it."""

EVALUATION_PASSES: Final = 2
"""Passes of the evaluation; all of them have the same size, but the last."""


@dataclass(slots=True)
class _Peaks:
    """Highest peaks so far, by phase."""

    forward_backward_bytes: int = 0
    optimizer_bytes: int = 0
    evaluation_bytes: int = 0
    reserved_bytes: int = 0
    retries: int = 0
    steps: int = 0

    @contextmanager
    def during(self, phase: str, meter: Meter) -> Iterator[None]:
        """Note the peak of a phase, also of one that memory ends."""
        meter.begin()
        try:
            yield
        finally:
            setattr(self, phase, max(getattr(self, phase), meter.peak_bytes()))
            self.reserved_bytes = max(self.reserved_bytes, meter.reserved_bytes())


def measure_memory(load_bench: Callable[[], Workbench], request: MemoryTrial) -> MemoryMeasurement:
    """Train and evaluate at one micro-batch size and say what memory it took.

    The samples are those with the most counted items, repeated where the set is smaller than
    the batch. Data that lie on the device count, and so do model, gradients and optimizer
    state.

    Args:
        load_bench: Sets the workload up; on a card under the limit already.
        request: Size, accumulation and limit.

    Returns:
        Peaks by phase. After out of memory, those seen before it.
    """
    peaks = _Peaks()
    try:
        bench = load_bench()
        with seeded(bench.workload.data_seed), metered(bench.device, request.limit_bytes) as meter:
            _try(bench, request, meter, peaks)
        out_of_memory = False
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        forget(error)
        out_of_memory = True
    return MemoryMeasurement(
        micro_batch_size=request.micro_batch_size,
        out_of_memory=out_of_memory,
        forward_backward_bytes=peaks.forward_backward_bytes,
        optimizer_bytes=peaks.optimizer_bytes,
        evaluation_bytes=peaks.evaluation_bytes,
        reserved_bytes=peaks.reserved_bytes,
        allocation_retries=peaks.retries,
        steps=peaks.steps,
        device_seconds=0.0,
    )


def worst_rows(batches: Batches, count: int) -> torch.Tensor:
    """Choose the samples with the most counted items.

    Args:
        batches: The training split.
        count: How many; beyond the size of the set they repeat.

    Returns:
        int64 (count,), indices into the set.
    """
    order = torch.sort(batches.counts, descending=True, stable=True).indices
    return order[torch.arange(count, device=order.device) % len(order)]


def _try(bench: Workbench, request: MemoryTrial, meter: Meter, peaks: _Peaks) -> None:
    # Compiled code allocates where the CPU's tracking does not look; eager code needs no less.
    quietly = eagerly(bench.workload) if bench.device.type == "cpu" else nullcontext()
    with quietly:
        with peaks.during("forward_backward_bytes", meter):
            step, rows = _prepared(bench, request, meter)
        for index in range(STEPS):
            _step(step, rows, meter, peaks, samples_before=index * len(rows))
            if index == 0:
                retries_before = meter.retries()
        with peaks.during("evaluation_bytes", meter):
            evaluate(
                bench,
                step.model,
                samples_per_pass=request.micro_batch_size,
                num_samples=EVALUATION_PASSES * request.micro_batch_size,
            )
        peaks.retries = meter.retries() - retries_before


def _prepared(
    bench: Workbench, request: MemoryTrial, meter: Meter
) -> tuple[TrainingStep, torch.Tensor]:
    meter.hold(_tensors(bench))
    rows = worst_rows(bench.train, request.micro_batch_size * request.accumulation)
    model = bench.model(bench.workload.data_seed)
    meter.hold([*model.parameters(), *model.buffers()])
    step = TrainingStep(
        bench, model, micro_batch_size=request.micro_batch_size, learning_rate=LEARNING_RATE
    )
    return step, rows


def _step(
    step: TrainingStep, rows: torch.Tensor, meter: Meter, peaks: _Peaks, *, samples_before: int
) -> None:
    with peaks.during("forward_backward_bytes", meter):
        step.accumulate(rows)
    with peaks.during("optimizer_bytes", meter):
        step.update(samples_before, len(rows))
    peaks.steps += 1


def _tensors(bench: Workbench) -> list[torch.Tensor]:
    splits = (bench.data.train, bench.data.validation)
    tensors = [bench.train.counts, bench.validation.counts]
    tensors += [t for split in splits for t in (split.inputs, split.targets) if t is not None]
    return tensors
