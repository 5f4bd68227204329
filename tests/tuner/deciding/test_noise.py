"""The noise scale against a Gaussian model whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from tuner.deciding.noise import noise_scale
from tuner.records import NoiseWindow


def _windows(
    rng: np.random.Generator, *, gradient: np.ndarray, deviation: np.ndarray, size: int, splits: int
) -> NoiseWindow:
    """Split gradients of a quadratic: true gradient plus per-sample noise over the split."""
    means = gradient + rng.normal(size=(splits, len(gradient))) * deviation / np.sqrt(size)
    return NoiseWindow(
        step=0,
        small_batch_size=size,
        splits=splits,
        small=float((means**2).sum(axis=1).mean()),
        big=float((means.mean(axis=0) ** 2).sum()),
    )


def test_the_estimate_covers_the_exact_ratio() -> None:
    """On a Gaussian model the 95 % interval holds tr S / |G|^2 in about 95 % of the draws."""
    rng = np.random.default_rng(0)
    gradient = rng.normal(size=30) * 0.3
    deviation = np.abs(rng.normal(size=30)) + 0.5
    exact = float((deviation**2).sum() / (gradient**2).sum())
    covered = 0
    for _ in range(200):
        windows = [
            _windows(rng, gradient=gradient, deviation=deviation, size=4, splits=8)
            for _ in range(40)
        ]
        found = noise_scale(windows)
        assert found.estimate is not None
        covered += (found.low or 0.0) <= exact <= (found.high or np.inf)
    assert 0.90 <= covered / 200 <= 0.99


def test_pure_noise_is_unresolved() -> None:
    """Where the true gradient is zero the scale is mostly unresolved or unbounded, never small."""
    rng = np.random.default_rng(1)
    for _ in range(30):
        windows = [
            _windows(rng, gradient=np.zeros(50), deviation=np.ones(50), size=4, splits=8)
            for _ in range(20)
        ]
        found = noise_scale(windows)
        assert found.estimate is None or found.estimate > 100.0


def test_batch_sizes_may_differ() -> None:
    """Windows of different sizes pool to the same scale."""
    rng = np.random.default_rng(2)
    gradient, deviation = np.full(20, 0.5), np.full(20, 2.0)
    windows = [
        _windows(rng, gradient=gradient, deviation=deviation, size=size, splits=splits)
        for size, splits in [(2, 4), (8, 8), (16, 4)] * 40
    ]
    found = noise_scale(windows)
    assert found.estimate == pytest.approx(16.0, rel=0.2)


def test_too_few_windows_are_unresolved() -> None:
    """Four windows say nothing about their own spread."""
    window = NoiseWindow(step=0, small_batch_size=2, splits=4, small=2.0, big=1.0)
    assert noise_scale([window] * 4).estimate is None
    assert noise_scale([window] * 5).estimate is not None
