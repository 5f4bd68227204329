"""One trace: the steps of a memory trial on tensors without values."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from tuner.errors import TunerError
from tuner.measuring.allocating.events import AllocationEvents
from tuner.measuring.memory import data_tensors, run_trial
from tuner.measuring.meters import TrackedMeter
from tuner.measuring.tracing.cuda_rules import cuda_rules
from tuner.measuring.tracing.outline import Material, bench_over, gather
from tuner.measuring.tracing.recorder import Recorder
from tuner.measuring.workbench import DEVICE_SHARE
from tuner.places import Places
from tuner.records import CardModel, Workload
from tuner.workloads.randomness import seeded

TRACED_STEPS: Final = 2
"""Optimizer steps of a trace: with the second one everything is there, and repeats."""

REASON_CHARACTERS: Final = 400
"""A longer reason is cut."""


class NotTraceable(Exception):
    """The workload does something that cannot be followed without values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a few optimizer steps and an evaluation ask of an allocator.

    Args:
        micro_batch_size: Samples per pass.
        accumulation: Passes per optimizer step.
        events: Births and deaths of storages.
        parameter_bytes: All parameters.
        gradient_bytes: Gradients of the trained ones.
        optimizer_state_bytes: State that the optimizer keeps on the device.
        buffer_bytes: The model's buffers.
        data_bytes: Data that lie on the device.
    """

    micro_batch_size: int
    accumulation: int
    events: AllocationEvents
    parameter_bytes: int
    gradient_bytes: int
    optimizer_state_bytes: int
    buffer_bytes: int
    data_bytes: int


class Tracer:
    """Traces one workload for one card, at any micro-batch size.

    Args:
        workload: Its accelerator need not be here.
        places: Where files and own code may lie.
        card: The device that is stood in for.

    Raises:
        InvalidWorkload: The data cannot be read, or the model is not accepted or too large.
    """

    def __init__(self, workload: Workload, places: Places, card: CardModel) -> None:
        self.card = card
        self.material: Material = gather(workload, places)
        limit = min(card.memory_bytes, workload.memory_limit_bytes or card.memory_bytes)
        self._is_cuda = card.device_type == "cuda"
        fits = self.material.data_bytes <= DEVICE_SHARE * limit
        self._data_on_device = fits or not self._is_cuda

    def trace(
        self, micro_batch_size: int, accumulation: int, *, steps: int = TRACED_STEPS
    ) -> Trace:
        """Run the trial's own code; seconds do not depend on the sizes.

        Args:
            micro_batch_size: Samples per pass.
            accumulation: Passes per optimizer step.
            steps: Optimizer steps, at least 2: the state appears with the first.

        Returns:
            The trace.

        Raises:
            NotTraceable: Something in the workload asks for values, or has no shape rule.
        """
        mode = FakeTensorMode(allow_non_fake_inputs=True)
        bench = bench_over(
            self.material, mode, foreach=self._is_cuda, on_device=self._data_on_device
        )
        recorder = Recorder(is_cuda=self._is_cuda)
        if not self._data_on_device:
            recorder.ignore(data_tensors(bench))
        else:
            recorder.keep(bench.train.missing_bytes + bench.validation.missing_bytes)
        try:
            with mode, recorder, self._conditions(), seeded(self.material.workload.data_seed):
                run_trial(
                    bench,
                    TrackedMeter(recorder),
                    recorder,
                    micro_batch_size=micro_batch_size,
                    accumulation=accumulation,
                    steps=steps,
                )
        except TunerError:
            raise
        except Exception as error:
            raise NotTraceable(_reason(error)) from error
        model = bench.outlined
        return Trace(
            micro_batch_size=micro_batch_size,
            accumulation=accumulation,
            events=recorder.events(),
            parameter_bytes=_bytes(model.parameters()),
            gradient_bytes=_bytes(p for p in model.parameters() if p.requires_grad),
            optimizer_state_bytes=recorder.state_bytes,
            buffer_bytes=_bytes(model.buffers()),
            data_bytes=self.material.data_bytes if self._data_on_device else 0,
        )

    def _conditions(self) -> AbstractContextManager[Any]:
        """Make operations go the way of the card, where that is another one."""
        return cuda_rules(self.card.attention_kernel) if self._is_cuda else nullcontext()


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _reason(error: Exception) -> str:
    text = f"{type(error).__name__}: {error}".strip()
    return text if len(text) <= REASON_CHARACTERS else text[: REASON_CHARACTERS - 1] + "…"
