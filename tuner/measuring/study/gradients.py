"""How the gradients of random batches scatter, against the batch size.

Batches are drawn as training draws them, without replacement inside a batch, and independently
of each other. Their gradients are those of the loss in eval mode: dropout would add noise of its
own, and only without layers that look at neighbours is a batch's gradient the mean of its
samples' gradients, whatever passes it is cut into.

Without replacement, the covariance of the mean of B out of N samples is (N - B) / (N - 1) times
sigma^2 / B (Cochran 1977, Sampling Techniques, theorem 2.2). Below a tenth of the data that is
within a tenth of 1 / B; beyond it the variance falls faster, to zero at B = N. Whoever fits an
exponent leaves those sizes out, or divides by the factor: `GradientScatters.population` is N.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from tuner.measuring.random_state import derived_seed
from tuner.measuring.sharpness.surface import on_surface
from tuner.measuring.study.batch_statistics import recompute_statistics
from tuner.measuring.study.minimiser import model_at
from tuner.measuring.study.room import with_room
from tuner.measuring.workbench import Workbench, eagerly
from tuner.records import GradientProbe, GradientScatter, GradientScatters
from tuner.workloads.randomness import seeded


def measure_gradients(
    load_bench: Callable[[], Workbench], request: GradientProbe
) -> GradientScatters:
    """Draw batches of every size and compare their gradients.

    In fp32. At initial weights the running statistics of BatchNorm are taken anew first.

    Args:
        load_bench: Sets the workload up, or has it warm.
        request: Where to look, at which sizes, and how often.

    Returns:
        The scatter of every size that the data hold; at the size of the data all batches are
        the same one, and the variance is zero.

    Raises:
        NotAnswerable: The minimiser is not there any more.
    """
    bench = load_bench()
    with seeded(derived_seed(request.seed, "scatter")), eagerly(bench.workload):
        if request.minimiser is None:
            model = bench.model(request.seed)
            recompute_statistics(bench, model)
        else:
            model = model_at(bench, request.minimiser)
        return with_room(
            bench.device,
            request.samples_per_pass,
            lambda samples: _scatters(bench, model, request, samples),
        )


def _scatters(
    bench: Workbench, model: nn.Module, request: GradientProbe, samples_per_pass: int
) -> GradientScatters:
    population = len(bench.train)
    everything = torch.arange(population, device=bench.train.home)
    full_norm = float(
        torch.linalg.vector_norm(_gradient(bench, model, everything, samples_per_pass))
    )
    scatters = []
    for size in request.batch_sizes:
        if size > population:
            break
        if size == population:
            scatters.append(_certain(size, full_norm, request.draws))
            continue
        seen = _Scatter()
        generator = torch.Generator().manual_seed(derived_seed(request.seed, "draw", size))
        for _ in range(request.draws):
            rows = torch.randperm(population, generator=generator)[:size].to(bench.train.home)
            seen.add(_gradient(bench, model, rows, samples_per_pass))
        scatters.append(seen.told(size))
    return GradientScatters(scatters=tuple(scatters), full_norm=full_norm, population=population)


def _gradient(bench: Workbench, model: nn.Module, rows: Tensor, samples_per_pass: int) -> Tensor:
    """Gradient (n,) of the mean loss over some samples, in eval mode."""

    def loss_sum(samples: slice) -> Tensor:
        inputs, targets = bench.train.fetch(rows[samples])
        return bench.criterion.loss_sum(model, inputs, targets)

    counts = bench.train.counts.index_select(0, rows)
    with on_surface(model, loss_sum, counts, samples_per_pass=samples_per_pass) as surface:
        _, gradient = surface.gradient(surface.everything)
    return gradient


def _certain(size: int, full_norm: float, draws: int) -> GradientScatter:
    return GradientScatter(
        global_batch_size=size, variance=0.0, mean_norm=full_norm, cosine=1.0, draws=draws
    )


@dataclass(slots=True)
class _Scatter:
    """Sums over gradients, so that no two of them are held.

    Spread about the mean is summed as it comes (Welford 1962, doi:10.2307/1266577): the
    difference of two large sums would drown that of large batches.
    """

    norms: list[float] = field(default_factory=list)
    mean: Tensor | None = None
    directions: Tensor | None = None
    spread: float = 0.0

    def add(self, gradient: Tensor) -> None:
        gradient = gradient.double()
        norm = torch.linalg.vector_norm(gradient)
        self.norms.append(float(norm))
        if self.mean is None or self.directions is None:
            self.mean, self.directions = torch.zeros_like(gradient), torch.zeros_like(gradient)
        self.directions += gradient / norm if norm > 0.0 else gradient
        away = gradient - self.mean
        self.mean += away / len(self.norms)
        self.spread += float(torch.dot(away, gradient - self.mean))

    def told(self, size: int) -> GradientScatter:
        draws = len(self.norms)
        return GradientScatter(
            global_batch_size=size,
            variance=self.spread / (draws - 1),
            mean_norm=math.fsum(self.norms) / draws,
            cosine=self._cosine(draws),
            draws=draws,
        )

    def _cosine(self, draws: int) -> float:
        """Mean over all pairs of u_i u_j, from the norm of the sum of the unit vectors u."""
        if self.directions is None:
            return math.nan
        units = sum(norm > 0.0 for norm in self.norms)
        return (float(self.directions.square().sum()) - units) / (draws * (draws - 1))
