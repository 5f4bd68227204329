"""Replicas of one model that train side by side: weights stacked, one pass for all.

Every weight has a leading axis of replicas. A replica has its own initial weights, order of
samples and learning rate, and takes exactly the steps that it would take alone, up to
rounding. `torch.func` maps the gradient over the stack, so that one pass serves all replicas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from tuner.measuring.batches import SampleOrder
from tuner.measuring.workbench import Workbench
from tuner.workloads.optimizers import build_optimizer
from tuner.workloads.schedules import learning_rate_at

Score = Callable[[nn.Module, Tensor, Tensor | None], Tensor]
"""From a model and a micro-batch to a sum over its counted items."""

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


class Stack:
    """Models of one workload with their optimizer, side by side.

    Args:
        bench: The workload.
        replicas: One for each model; those of one seed start from the same weights.
        micro_batch_size: Samples per pass and replica.
    """

    def __init__(
        self, bench: Workbench, replicas: Sequence[Replica], *, micro_batch_size: int
    ) -> None:
        self.bench = bench
        self.replicas = tuple(replicas)
        self.micro_batch_size = micro_batch_size
        seeds = sorted({replica.seed for replica in replicas})
        models = {seed: bench.model(seed) for seed in seeds}
        self._orders = {
            seed: SampleOrder(len(bench.train), seed, bench.train.home) for seed in seeds
        }
        # Whatever is in this one model's place is exchanged for the stack's at every call.
        self.outline = models[seeds[0]]
        of_each = [dict(models[replica.seed].named_parameters()) for replica in replicas]
        self._fixed: dict[str, Tensor] = {}
        self._trained = nn.ParameterDict()
        self._names: list[str] = []
        for name, parameter in of_each[0].items():
            stacked = torch.stack([each[name].detach() for each in of_each])
            if parameter.requires_grad:
                self._names.append(name)
                self._trained[_key(name)] = nn.Parameter(stacked)
            else:
                self._fixed[name] = stacked
        self.optimizer = self._new_optimizer()
        loss_sum = bench.criterion.loss_sum
        self._shared_gradient = self._function(loss_sum, shared=True)
        self._own_gradient = self._function(loss_sum, shared=False)

    def __len__(self) -> int:
        """Count the replicas."""
        return len(self.replicas)

    # ------------------------------------------------------------------------- the weights

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Trained weights: (R, ...) each."""
        return [self._trained[_key(name)] for name in self._names]

    @property
    def weights(self) -> dict[str, Tensor]:
        """All weights by name, (R, ...) each, without their history."""
        trained = zip(self._names, self.parameters, strict=True)
        return {**{name: value.detach() for name, value in trained}, **self._fixed}

    def keep(self, places: Sequence[int]) -> None:
        """Let all replicas leave but some.

        Args:
            places: Indices of those that stay, in order.
        """
        chosen = torch.tensor(places, dtype=torch.int64, device=self.bench.device)
        before, states = self.parameters, self.optimizer.state
        for name, parameter in zip(self._names, before, strict=True):
            self._trained[_key(name)] = nn.Parameter(parameter.detach().index_select(0, chosen))
        self._fixed = {name: each.index_select(0, chosen) for name, each in self._fixed.items()}
        self.replicas = tuple(self.replicas[place] for place in places)
        self.optimizer = self._new_optimizer()
        for old, new in zip(before, self.parameters, strict=True):
            self.optimizer.state[new] = {
                key: _chosen(value, old.shape, chosen) for key, value in states[old].items()
            }

    def _new_optimizer(self) -> torch.optim.Optimizer:
        training, foreach = self.bench.workload.training, self.bench.foreach
        return build_optimizer(training, self._trained, 1.0, foreach=foreach)

    # --------------------------------------------------------------------------- the steps

    def rows(self, start: int, count: int) -> Tensor:
        """Take a stretch of the order of each replica.

        Args:
            start: Samples that came before it.
            count: Length of the stretch.

        Returns:
            int64 (R, count); or (1, count) where all replicas see the same samples.
        """
        of_seed = {seed: order.rows(start, count) for seed, order in self._live_orders()}
        if len(of_seed) == 1:
            return next(iter(of_seed.values())).unsqueeze(0)
        return torch.stack([of_seed[replica.seed] for replica in self.replicas])

    def gradient(self, rows: Tensor, scale: Tensor) -> list[Tensor]:
        """Compute `scale` times the gradient of the summed loss over one micro-batch.

        Args:
            rows: int64 (R, m) or (1, m).
            scale: float32 (R,) or (1,).

        Returns:
            Gradients of the trained weights, (R, ...) each.
        """
        shared = len(rows) == 1
        inputs, targets = self.bench.train.fetch(rows.flatten())
        if not shared:
            inputs = inputs.view(*rows.shape, *inputs.shape[1:])
            if targets is not None:
                targets = targets.view(*rows.shape, *targets.shape[1:])
        function = self._shared_gradient if shared else self._own_gradient
        trained = {
            name: value.detach() for name, value in zip(self._names, self.parameters, strict=True)
        }
        of_each: Mapping[str, Tensor] = function(
            trained, self._fixed, inputs, targets, scale[0] if shared else scale
        )
        return [of_each[name] for name in self._names]

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
        total = self.gradient(parts[0], scale)
        for part in parts[1:]:
            for held, more in zip(total, self.gradient(part, scale), strict=True):
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
        parameters = self.parameters
        before = [parameter.detach().clone() for parameter in parameters]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        rates = self._rates(samples_before + samples / 2)
        for parameter, start in zip(parameters, before, strict=True):
            own = rates.view(-1, *(1 for _ in start.shape[1:]))
            torch.lerp(start, parameter.detach(), own, out=parameter.detach())

    def run(self, start: int, samples: int) -> None:
        """Train on one global batch.

        Args:
            start: Samples trained on before it.
            samples: Its size, B.
        """
        self.update(self.accumulate(self.rows(start, samples)), start, samples)

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
            gradient.mul_(share.view(-1, *(1 for _ in gradient.shape[1:])))

    def _live_orders(self) -> Iterator[tuple[int, SampleOrder]]:
        alive = {replica.seed for replica in self.replicas}
        return ((seed, order) for seed, order in self._orders.items() if seed in alive)

    # ----------------------------------------------------------------------- the functions

    def summed(self, score: Score, inputs: Tensor, targets: Tensor | None) -> Tensor:
        """Sum a score over a micro-batch that all replicas see, in eval mode.

        Args:
            score: For example `criterion.loss_sum`.
            inputs: (n, ...).
            targets: (n, ...) or None.

        Returns:
            (R,).
        """
        with _evaluating(self.outline), torch.no_grad():

            def one(weights: Mapping[str, Tensor]) -> Tensor:
                module = _Scoring(self.outline, score)
                return self._call(module, weights, inputs, targets)

            summed: Tensor = vmap(one)(self.weights)
        return summed

    def _function(self, score: Score, *, shared: bool) -> Callable[..., Any]:
        module = _Scoring(self.outline, score)

        def loss(
            trained: Mapping[str, Tensor],
            fixed: Mapping[str, Tensor],
            inputs: Tensor,
            targets: Tensor | None,
            scale: Tensor,
        ) -> Tensor:
            return self._call(module, {**trained, **fixed}, inputs, targets) * scale

        of_data = None if shared else 0
        in_dims = (
            0,
            0,
            of_data,
            None if self.bench.train.split.targets is None else of_data,
            of_data,
        )
        return vmap(grad(loss), in_dims=in_dims)

    @staticmethod
    def _call(
        module: nn.Module, weights: Mapping[str, Tensor], inputs: Tensor, targets: Tensor | None
    ) -> Tensor:
        named = {f"model.{name}": value for name, value in weights.items()}
        out: Tensor = functional_call(module, named, (inputs, targets))
        return out


class _Scoring(nn.Module):
    """A model with a score as one module, whose weights can be exchanged for a call."""

    def __init__(self, model: nn.Module, score: Score) -> None:
        super().__init__()
        self.model = model
        self._score = score

    def forward(self, inputs: Tensor, targets: Tensor | None) -> Tensor:
        """Score a micro-batch: a scalar."""
        return self._score(self.model, inputs, targets)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    model.eval()
    try:
        yield
    finally:
        model.train()


def _key(name: str) -> str:
    """A parameter dictionary takes no dots."""
    return name.replace(".", "/")


def _chosen(value: Any, shape: torch.Size, places: Tensor) -> Any:
    """Keep some replicas of a state that has an axis of them; leave a counter as it is."""
    if isinstance(value, Tensor) and value.shape == shape:
        return value.index_select(0, places)
    return value
