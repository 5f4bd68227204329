"""How sharp a minimum is: three measures on a fixed set, on the device, in fp32."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch

from tuner.measuring.sharpness.asam import asam_sharpness
from tuner.measuring.sharpness.hessian import hessian_top_eigenpair
from tuner.measuring.sharpness.keskar import keskar_phi
from tuner.measuring.sharpness.session import Session
from tuner.measuring.sharpness.surface import LossSum, LossSurface, on_surface
from tuner.records import Sharpness

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tuner.measuring.sharpness.lanczos import Eigenpair

__all__ = ["SAMPLES_PER_PASS", "LossSum", "LossSurface", "measure_sharpness", "on_surface"]

SAMPLES_PER_PASS: Final = 128
"""Samples of one forward or backward pass, so that memory stays that of a modest batch."""


def measure_sharpness(
    model: nn.Module,
    loss_sum: LossSum,
    counts: Tensor,
    *,
    seed: int,
    samples_per_pass: int = SAMPLES_PER_PASS,
) -> Sharpness:
    """Measure ASAM m-sharpness, Keskar's phi and the top Hessian eigenvalue at the weights.

    The mean loss is the sum of `loss_sum` over the sum of `counts`. The model comes back as it
    was, also when `loss_sum` raises: parameters bit for bit, modes of its modules, and torch's
    random state; its gradients become None.

    Cost: about 2 gradient evaluations of the set for ASAM, 20 to 60 for phi, and 1.5 for each
    of 5 to 15 Hessian-vector products as a rule (60 at most; 2.5 where the graphs of gradients
    do not fit into memory). Where a pass runs out of memory its samples are halved; what does
    not fit even with one is None.

    Args:
        model: Its trainable parameters, tied ones once, are what is perturbed.
        loss_sum: Differentiable sum of the loss over the samples of a slice of the fixed set,
            with the model's parameters of the moment.
        counts: Counted items (samples, tokens) of each sample of the set, shape (N,).
        seed: The start vectors follow from it.
        samples_per_pass: Samples of one pass at most; values do not depend on it.

    Returns:
        The measures; one that is not finite is None.
    """
    device = next((p.device for p in model.parameters() if p.requires_grad), None)
    if device is None or counts.numel() == 0:
        return Sharpness(
            asam=None, keskar=None, hessian_top_eigenvalue=None, num_samples=counts.numel()
        )
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        session = Session(model, loss_sum, counts, samples_per_pass)
        asam = session.measure(asam_sharpness)
        pair = session.measure(lambda surface: hessian_top_eigenpair(surface, seed=seed))
        directions = _directions(pair)
        phi = session.measure(lambda surface: keskar_phi(surface, seed=seed, directions=directions))
    return Sharpness(
        asam=_finite(asam),
        keskar=_finite(phi),
        hessian_top_eigenvalue=_finite(pair.value if pair else None),
        num_samples=counts.numel(),
    )


def _directions(pair: Eigenpair | None) -> tuple[Tensor, ...]:
    return (pair.vector,) if pair and pair.vector is not None else ()


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
