"""Schedules, optimizers, precision and seeds."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from tuner.workloads.optimizers import OPTIMIZERS, build_optimizer
from tuner.workloads.precision import autocast_of
from tuner.workloads.randomness import seeded
from tuner.workloads.schedules import learning_rate_at

COSINE = {"kind": "cosine", "warmup_samples": 100, "horizon_samples": 1100}


@pytest.mark.parametrize(
    ("samples", "share"),
    [(0, 0.0), (50, 0.5), (100, 1.0), (350, 0.853553), (600, 0.5), (1100, 0.0), (9999, 0.0)],
)
def test_cosine_values(samples: int, share: float) -> None:
    """The rate rises linearly to its peak, and falls by half a cosine to zero."""
    assert learning_rate_at(COSINE, samples, 0.2) == pytest.approx(0.2 * share, abs=1e-6)


def test_constant_and_unknown_schedules() -> None:
    """A constant schedule is the peak; one that nobody knows is refused."""
    assert learning_rate_at({"kind": "constant"}, 10**9, 0.3) == 0.3
    with pytest.raises(ValueError, match="linear"):
        learning_rate_at({"kind": "linear"}, 0, 0.3)


def test_batches_of_all_sizes_walk_under_the_same_area() -> None:
    """At the middle of their samples, large and small batches sum to the same rate per sample."""
    areas = [
        sum(
            learning_rate_at(COSINE, start + size / 2, 1.0) * size for start in range(0, 1100, size)
        )
        for size in (1, 10, 100)
    ]
    assert areas == pytest.approx([areas[0]] * 3, rel=0.01)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"kind": "sgd", "momentum": 0.9, "nesterov": True}, {"momentum": 0.9, "nesterov": True}),
        ({"kind": "adam", "beta1": 0.8, "epsilon": 1e-6}, {"betas": (0.8, 0.999), "eps": 1e-6}),
        ({"kind": "adamw", "beta2": 0.95}, {"betas": (0.9, 0.95), "weight_decay": 0.01}),
        (
            {"kind": "rprop", "eta_minus": 0.4, "eta_plus": 1.3, "largest_step": 2.0},
            {"etas": (0.4, 1.3), "step_sizes": (1e-6, 2.0)},
        ),
        ({"kind": "rmsprop", "alpha": 0.9, "momentum": 0.5}, {"alpha": 0.9, "momentum": 0.5}),
    ],
)
def test_optimizers_take_their_options(
    options: dict[str, object], expected: dict[str, object]
) -> None:
    """Every option of a spec reaches torch's optimizer, and the rate as well."""
    optimizer = build_optimizer({"optimizer": options}, nn.Linear(2, 2), 0.25)
    group = optimizer.param_groups[0]
    assert expected.items() <= group.items()
    assert group["lr"] == 0.25
    assert type(optimizer).__name__.lower() == options["kind"]


@pytest.mark.parametrize("kind", sorted(OPTIMIZERS))
def test_optimizers_descend_and_leave_frozen_weights_alone(kind: str) -> None:
    """A step lowers a convex loss; a parameter that wants no gradient stays as it is."""
    model = nn.Linear(3, 1)
    model.bias.requires_grad_(requires_grad=False)
    frozen = model.bias.clone()
    optimizer = build_optimizer({"optimizer": {"kind": kind}}, model, 0.01)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = (model(torch.ones(1, 3)) - 5.0).square().sum()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert torch.equal(model.bias, frozen)


def test_bf16_autocast_computes_in_bf16() -> None:
    """bf16 runs matrix products in bfloat16; fp32 changes nothing."""
    layer, x = nn.Linear(2, 2), torch.ones(1, 2)
    with autocast_of({"precision": "bf16"}, torch.device("cpu")):
        assert layer(x).dtype == torch.bfloat16
    with autocast_of({"precision": "fp32"}, torch.device("cpu")):
        assert layer(x).dtype == torch.float32


def test_seeded_numbers_repeat_and_leave_the_process_alone() -> None:
    """Inside, all three generators follow from the seed; outside, none has moved."""

    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(1))  # noqa: NPY002

    states = random.getstate(), torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    with seeded(7):
        first = draw()
    with pytest.raises(IndexError), seeded(7):
        _ = draw()[3]
    with seeded(7):
        second = draw()
    assert second == first
    assert random.getstate() == states[0]
    assert torch.equal(torch.get_rng_state(), states[1])
    assert np.random.get_state()[1].tolist() == states[2]  # noqa: NPY002
