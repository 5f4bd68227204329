"""Replicas of one model that train side by side: weights stacked, one pass for all.

Every weight has a leading axis of replicas. A replica has its own initial weights, order of
samples and learning rate, and takes exactly the steps that it would take alone, up to
rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import torch
from torch import Tensor, nn

from tuner.measuring.batches import SampleOrder
from tuner.measuring.stacking.passes import Passes, Score
from tuner.measuring.stacking.tensors import (
    stacked_buffers,
    stacked_parameters,
    stacked_state,
    state_at,
    write_lone,
)
from tuner.measuring.step import TrainingStep
from tuner.measuring.workbench import Workbench
from tuner.workloads.optimizers import build_optimizer
from tuner.workloads.schedules import learning_rate_at

CLIP_EPSILON: Final = 1e-6
"""What `torch.nn.utils.clip_grad_norm_` adds to a norm before it divides by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replica:
    """What sets one replica apart from the others.

    Args:
        learning_rate: Peak of the schedule, per optimizer step.
        seed: Initial weights and the order of samples follow from it.
    """

    learning_rate: float
    seed: int

    def step(self, bench: Workbench, micro_batch_size: int) -> TrainingStep:
        """Set up the lone training that this is a replica of, before its first step."""
        return TrainingStep(
            bench,
            bench.model(self.seed),
            micro_batch_size=micro_batch_size,
            learning_rate=self.learning_rate,
        )


class Stack:
    """Trainings of one workload side by side.

    Args:
        bench: The workload.
        replicas: What sets each apart.
        steps: The lone trainings, all after equally many steps; they are only read.
    """

    def __init__(
        self, bench: Workbench, replicas: Sequence[Replica], steps: Sequence[TrainingStep]
    ) -> None:
        self.bench = bench
        self.replicas = tuple(replicas)
        self.micro_batch_size = steps[0].micro_batch_size
        models = [step.model for step in steps]
        trained = stacked_parameters(models, trained=True)
        self._names = list(trained)
        self._parameters = [nn.Parameter(stacked) for stacked in trained.values()]
        self._fixed = {**stacked_parameters(models, trained=False), **stacked_buffers(models)}
        self._optimizer()
        for place, parameter in enumerate(self._parameters):
            states = [step.optimizer.state.get(step.parameters[place], {}) for step in steps]
            if states[0]:
                self.optimizer.state[parameter] = stacked_state(states)
        self._orders = {
            seed: SampleOrder(len(bench.train), seed, bench.train.home)
            for seed in sorted({replica.seed for replica in replicas})
        }
        self._passes = Passes(
            models[0],
            bench.criterion.loss_sum,
            has_targets=bench.train.split.targets is not None,
            traces=bench.traces,
        )

    @classmethod
    def fresh(cls, bench: Workbench, replicas: Sequence[Replica], *, micro_batch_size: int) -> Self:
        """Stack trainings that have not begun.

        Args:
            bench: The workload.
            replicas: What sets each apart.
            micro_batch_size: Samples per pass and replica.
        """
        steps = [replica.step(bench, micro_batch_size) for replica in replicas]
        return cls(bench, replicas, steps)

    def __len__(self) -> int:
        """Count the replicas."""
        return len(self.replicas)

    # ------------------------------------------------------------------------ the replicas

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Trained weights, (R, ...) each."""
        return self._parameters

    def lone(self, place: int) -> TrainingStep:
        """Take one replica out as a training of its own; the stack keeps it."""
        step = self.replicas[place].step(self.bench, self.micro_batch_size)
        write_lone(step.model, step.optimizer, {**self._trained(), **self._fixed}, place)
        for parameter, stacked in zip(step.parameters, self._parameters, strict=True):
            if stacked in self.optimizer.state:
                step.optimizer.state[parameter] = state_at(self.optimizer.state[stacked], place)
        return step

    def trace_at_once(self) -> None:
        """Write passes down the next time, not only once they have come back often."""
        self._passes.trace_after = 1

    def keep(self, places: Sequence[int]) -> None:
        """Let all replicas leave but some.

        Args:
            places: Indices of those that stay, in order.
        """
        chosen = torch.tensor(places, dtype=torch.int64, device=self.bench.device)
        before, states = self._parameters, self.optimizer.state
        self._parameters = [nn.Parameter(each.detach()[chosen]) for each in before]
        self._fixed = {name: each[chosen] for name, each in self._fixed.items()}
        self.replicas = tuple(self.replicas[place] for place in places)
        self._optimizer()
        for old, new in zip(before, self._parameters, strict=True):
            if old in states:
                self.optimizer.state[new] = state_at(states[old], chosen)

    def _optimizer(self) -> None:
        held = nn.ParameterList(self._parameters)
        training, foreach = self.bench.workload.training, self.bench.foreach
        self.optimizer = build_optimizer(training, held, 1.0, foreach=foreach)

    def _trained(self) -> dict[str, Tensor]:
        return {
            name: parameter.detach()
            for name, parameter in zip(self._names, self._parameters, strict=True)
        }

    # --------------------------------------------------------------------------- the steps

    def rows(self, start: int, count: int) -> Tensor:
        """Take a stretch of the order of each replica.

        Args:
            start: Samples that came before it.
            count: Length of the stretch.

        Returns:
            int64 (R, count); or (1, count) where all replicas see the same samples.
        """
        seeds = dict.fromkeys(replica.seed for replica in self.replicas)
        of_seed = {seed: self._orders[seed].rows(start, count) for seed in seeds}
        if len(of_seed) == 1:
            return next(iter(of_seed.values())).unsqueeze(0)
        return torch.stack([of_seed[replica.seed] for replica in self.replicas])

    def run(self, start: int, samples: int) -> None:
        """Train on one global batch.

        Args:
            start: Samples trained on before it.
            samples: Its size, B.
        """
        self.update(self.accumulate(self.rows(start, samples)), start, samples)

    def accumulate(
        self, rows: Tensor, *, scale: Tensor | None = None, pass_size: int | None = None
    ) -> list[Tensor]:
        """Compute the gradient of the mean loss over a batch, pass by pass.

        Args:
            rows: int64 (R, B) or (1, B).
            scale: What the sum is multiplied by; None: what makes it the mean of these rows.
            pass_size: Samples per pass and replica; None: the micro-batch.

        Returns:
            Gradients of the trained weights, (R, ...) each.
        """
        scale = self.scale(rows) if scale is None else scale
        parts = torch.split(rows, pass_size or self.micro_batch_size, dim=1)
        total = self._backward(parts[0], scale)
        for part in parts[1:]:
            for held, more in zip(total, self._backward(part, scale), strict=True):
                held.add_(more)
        return total

    def scale(self, rows: Tensor) -> Tensor:
        """Say what each replica's sum over samples is multiplied by to make it their mean.

        Args:
            rows: int64 (R, n) or (1, n).

        Returns:
            float32 (R,) or (1,).
        """
        return torch.stack([self.bench.train.scale(each) for each in rows])

    def update(self, gradients: Sequence[Tensor], samples_before: int, samples: int) -> None:
        """Clip, and step by a gradient.

        Every optimizer here moves a weight by its learning rate times something that does not
        depend on the rate. So all replicas step at rate one together, and each then goes its
        own share of that way.

        Args:
            gradients: Of the trained weights, (R, ...) each; scaled in place by clipping.
            samples_before: Samples trained on before this step.
            samples: Samples of this step; the rate is that of their middle.
        """
        self._clip(gradients)
        before = [parameter.detach().clone() for parameter in self._parameters]
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        rates = self._rates(samples_before + samples / 2)
        for parameter, start in zip(self._parameters, before, strict=True):
            weight = parameter.detach()
            torch.lerp(start, weight, _along(rates, start), out=weight)

    def _backward(self, rows: Tensor, scale: Tensor) -> list[Tensor]:
        shared = len(rows) == 1
        inputs, targets = self.bench.train.fetch(rows.flatten())
        if not shared:
            inputs = inputs.view(*rows.shape, *inputs.shape[1:])
            if targets is not None:
                targets = targets.view(*rows.shape, *targets.shape[1:])
        data = (inputs, targets, scale[0] if shared else scale)
        of_each, self._fixed = self._passes.gradient(
            self._trained(), self._fixed, data, shared=shared
        )
        return [of_each[name] for name in self._names]

    def _rates(self, seen: float) -> Tensor:
        schedule = self.bench.workload.training["schedule"]
        rates = [learning_rate_at(schedule, seen, each.learning_rate) for each in self.replicas]
        return torch.tensor(rates, device=self.bench.device)

    def _clip(self, gradients: Sequence[Tensor]) -> None:
        limit = self.bench.workload.training.get("gradient_clip_norm")
        if limit is None:
            return
        norms = torch.stack([torch.linalg.vector_norm(g.flatten(1), dim=1) for g in gradients])
        whole = torch.linalg.vector_norm(norms, dim=0)
        share = (float(limit) / (whole + CLIP_EPSILON)).clamp(max=1.0)
        for gradient in gradients:
            gradient.mul_(_along(share, gradient))

    # --------------------------------------------------------------------- the evaluations

    def summed(self, score: Score, inputs: Tensor, targets: Tensor | None) -> Tensor:
        """Sum a score over a micro-batch that all replicas see, in eval mode.

        Args:
            score: For example `criterion.loss_sum`.
            inputs: (n, ...).
            targets: (n, ...) or None.

        Returns:
            (R,).
        """
        weights = {**self._trained(), **self._fixed}
        return self._passes.summed(weights, score, inputs, targets)


def _along(values: Tensor, tensor: Tensor) -> Tensor:
    """View one value per replica so that it meets every entry of that replica."""
    return values.view(-1, *(1 for _ in tensor.shape[1:]))
