"""Both losses on the straight line through two minimisers.

Goodfellow et al. 2014 (arXiv:1412.6544); Keskar et al. 2016 (arXiv:1609.04836) show with it that
large-batch minima are steep where small-batch minima are flat.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from tuner.measuring.study.batch_statistics import recompute_statistics
from tuner.measuring.study.losses import Losses, losses_of
from tuner.measuring.study.minimiser import State, fetch
from tuner.measuring.study.room import SAMPLES_PER_PASS, with_room
from tuner.measuring.workbench import Workbench
from tuner.records import LinePoint, LineProbe, LineProfile


def measure_line(load_bench: Callable[[], Workbench], request: LineProbe) -> LineProfile:
    """Evaluate both losses at (1 - alpha) w0 + alpha w1 over all floating weights.

    Both splits are evaluated whole, as after an epoch of a run. Buffers of whole numbers are
    those of the first minimiser. Running statistics are taken anew at every point, the ends
    included, so that all points are measured alike (see `batch_statistics`).

    Args:
        load_bench: Sets the workload up, or has it warm.
        request: Names the minimisers and the points.

    Returns:
        The profile; without points, and with the reason, where the two have different shapes.

    Raises:
        NotAnswerable: A minimiser is not there any more.
    """
    bench = load_bench()
    first, second = fetch(bench, request.first), fetch(bench, request.second)
    model = bench.model(0)
    refused = _mismatch(first, second) or _mismatch(first, model.state_dict())
    if refused is not None:
        return LineProfile(points=(), refused=refused)
    points, recomputed = [], False
    for alpha in request.alphas:
        model.load_state_dict(_between(first, second, alpha))
        recomputed = recompute_statistics(bench, model)
        points.append(_point(alpha, _losses(bench, model)))
    return LineProfile(points=tuple(points), statistics_recomputed=recomputed)


def _losses(bench: Workbench, model: nn.Module) -> Losses:
    return with_room(
        bench.device,
        SAMPLES_PER_PASS,
        lambda samples: losses_of(bench, model, samples_per_pass=samples),
    )


def _point(alpha: float, losses: Losses) -> LinePoint:
    return LinePoint(
        alpha=alpha,
        train_loss=_finite(losses.train),
        validation_loss=_finite(losses.validation),
    )


def _between(first: State, second: State, alpha: float) -> dict[str, Tensor]:
    return {
        name: torch.lerp(start.double(), second[name].double(), alpha).to(start.dtype)
        if start.is_floating_point()
        else start
        for name, start in first.items()
    }


def _mismatch(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> str | None:
    """Say in a sentence where two sets of weights do not go together."""
    lone = sorted(one.keys() ^ other.keys())
    if lone:
        return f"There is no line: only one of the models has {lone[0]!r}."
    for name, tensor in one.items():
        here, there = tuple(tensor.shape), tuple(other[name].shape)
        if here != there:
            return f"There is no line: {name!r} is {here} in one of the models, {there} in another."
    return None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
