"""One optimizer step. The runner, the timing and the memory trial all run this very code."""

from __future__ import annotations

import torch

from tuner.measuring.workbench import Workbench
from tuner.workloads.optimizers import build_optimizer
from tuner.workloads.precision import autocast_of
from tuner.workloads.schedules import learning_rate_at


class TrainingStep:
    """A model with its optimizer, and how the two make a step.

    Nothing here waits for the device: losses stay where they are computed.

    Args:
        bench: The workload.
        model: On the device; trained in place.
        micro_batch_size: Samples per pass.
        learning_rate: Peak of the schedule.
    """

    def __init__(
        self,
        bench: Workbench,
        model: torch.nn.Module,
        *,
        micro_batch_size: int,
        learning_rate: float,
    ) -> None:
        training = bench.workload.training
        self.bench = bench
        self.model = model
        self.optimizer = build_optimizer(training, model, learning_rate, foreach=bench.foreach)
        self.micro_batch_size = micro_batch_size
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self._peak = learning_rate
        self._schedule = training["schedule"]
        self._is_scheduled = self._schedule["kind"] != "constant"
        self._clip_norm = training.get("gradient_clip_norm")

    def run(self, rows: torch.Tensor, samples_before: int) -> None:
        """Train on one global batch.

        Args:
            rows: int64 (B,), its samples.
            samples_before: Samples trained on before it; the schedule counts in them.
        """
        self.accumulate(rows)
        self.update(samples_before, len(rows))

    def accumulate(self, rows: torch.Tensor) -> None:
        """Add the gradient of the mean loss over a global batch, pass by pass.

        Every pass's sum is divided by the items of the whole batch, so that s passes of m
        samples give the gradient of one pass of s * m, also where samples differ in tokens.
        """
        scale = self.bench.train.scale(rows)
        if len(rows) <= self.micro_batch_size:
            self.backward(rows, scale)
            return
        for part in torch.split(rows, self.micro_batch_size):
            self.backward(part, scale)

    def backward(self, rows: torch.Tensor, scale: torch.Tensor) -> None:
        """Add `scale` times the gradient of the summed loss over one micro-batch."""
        bench = self.bench
        inputs, targets = bench.train.fetch(rows)
        with autocast_of(bench.workload.training, bench.device):
            loss = bench.criterion.loss_sum(self.model, inputs, targets)
        torch.autograd.backward(loss, scale)

    def update(self, samples_before: int, samples: int) -> None:
        """Clip, step by the accumulated gradient, and drop it.

        Args:
            samples_before: Samples trained on before this step.
            samples: Samples of this step; the rate is that of their middle.
        """
        if self._is_scheduled:
            rate = learning_rate_at(self._schedule, samples_before + samples / 2, self._peak)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
        if self._clip_norm is not None:
            # Multi-tensor is what torch takes on every device for plain tensors; said here, it
            # holds for a traced step too.
            torch.nn.utils.clip_grad_norm_(self.parameters, float(self._clip_norm), foreach=True)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
