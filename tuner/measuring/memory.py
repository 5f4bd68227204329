"""One memory trial: real optimizer steps and an evaluation at one micro-batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

import torch

from tuner.measuring.batches import Batches
from tuner.measuring.evaluation import look
from tuner.measuring.meters import Meter, metered
from tuner.measuring.out_of_memory import forget, is_out_of_memory
from tuner.measuring.replaying.cuda_history import CudaHistory, cuda_history
from tuner.measuring.replaying.recording import Recording, save
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


class Phases(Protocol):
    """What is told of the phases of a trial."""

    def during(self, phase: str, meter: Meter) -> AbstractContextManager[None]:
        """Run a phase: `forward_backward_bytes`, `optimizer_bytes` or `evaluation_bytes`."""

    def stepped(self, step: TrainingStep, meter: Meter) -> None:
        """Note that an optimizer step is complete."""


@dataclass(slots=True)
class _Peaks:
    """Highest peaks so far, by phase.

    Args:
        history: What the allocator is asked for; None where the device does not tell.
    """

    history: CudaHistory | None = None
    forward_backward_bytes: int = 0
    optimizer_bytes: int = 0
    evaluation_bytes: int = 0
    reserved_bytes: int = 0
    retries_of_warm_up: int = 0
    retries: int = 0
    steps: int = 0

    @contextmanager
    def during(self, phase: str, meter: Meter) -> Iterator[None]:
        """Note the peak of a phase, also of one that memory ends."""
        meter.begin()
        if self.history is not None:
            self.history.mark(phase, self.steps)
        try:
            yield
        finally:
            setattr(self, phase, max(getattr(self, phase), meter.peak_bytes()))
            self.reserved_bytes = max(self.reserved_bytes, meter.reserved_bytes())

    def stepped(self, step: TrainingStep, meter: Meter) -> None:
        """Count a step; what was retried in the first one is not held against the size."""
        del step
        self.steps += 1
        if self.steps == 1:
            self.retries_of_warm_up = meter.retries()


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
    peaks, recording = _Peaks(), None
    try:
        bench = load_bench()
        with (
            seeded(bench.workload.data_seed),
            metered(bench.device, request.limit_bytes) as meter,
            cuda_history(bench.device) as peaks.history,
        ):
            run_trial(
                bench,
                meter,
                peaks,
                micro_batch_size=request.micro_batch_size,
                accumulation=request.accumulation,
            )
            peaks.retries = meter.retries() - peaks.retries_of_warm_up
            recording = _recorded(peaks, bench, request)
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
        recording=None if out_of_memory else recording,
        device_seconds=0.0,
    )


def _recorded(peaks: _Peaks, bench: Workbench, request: MemoryTrial) -> str | None:
    """Keep what the allocator was asked for, and name the file."""
    events = None if peaks.history is None else peaks.history.events()
    if events is None:
        return None
    recording = Recording(
        micro_batch_size=request.micro_batch_size,
        reserved_bytes=peaks.reserved_bytes,
        events=events,
    )
    return save(bench.places.artifacts, recording)


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


def run_trial(
    bench: Workbench,
    meter: Meter,
    phases: Phases,
    *,
    micro_batch_size: int,
    accumulation: int,
    steps: int = STEPS,
) -> None:
    """Run the steps and the evaluation of a trial; nothing in here reads a tensor's values.

    Args:
        bench: The workload.
        meter: Counts memory.
        phases: Told of every phase and step.
        micro_batch_size: Samples per pass.
        accumulation: Passes per optimizer step.
        steps: Optimizer steps.
    """
    # Compiled code allocates where the CPU's tracking does not look; eager code needs no less.
    quietly = eagerly(bench.workload) if bench.device.type == "cpu" else nullcontext()
    with quietly:
        with phases.during("forward_backward_bytes", meter):
            rows = _held(bench, meter, micro_batch_size * accumulation)
            step = _prepared(bench, meter, micro_batch_size)
        for index in range(steps):
            with phases.during("forward_backward_bytes", meter):
                step.accumulate(rows)
            with phases.during("optimizer_bytes", meter):
                step.update(index * len(rows), len(rows))
            phases.stepped(step, meter)
        with phases.during("evaluation_bytes", meter):
            look(
                bench,
                step.model,
                samples_per_pass=micro_batch_size,
                num_samples=EVALUATION_PASSES * micro_batch_size,
            )


def _held(bench: Workbench, meter: Meter, samples: int) -> torch.Tensor:
    meter.hold(data_tensors(bench))
    return worst_rows(bench.train, samples)


def _prepared(bench: Workbench, meter: Meter, micro_batch_size: int) -> TrainingStep:
    model = bench.model(bench.workload.data_seed)
    meter.hold([*model.parameters(), *model.buffers()])
    return TrainingStep(
        bench, model, micro_batch_size=micro_batch_size, learning_rate=LEARNING_RATE
    )


def data_tensors(bench: Workbench) -> list[torch.Tensor]:
    """List the tensors that hold a bench's data."""
    splits = (bench.data.train, bench.data.validation)
    tensors = [bench.train.counts, bench.validation.counts]
    tensors += [t for split in splits for t in (split.inputs, split.targets) if t is not None]
    return tensors
