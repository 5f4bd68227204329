"""The data: interleaved spirals in the plane, with noise."""

from __future__ import annotations

import numpy as np


def spirals(samples: int = 4000, arms: int = 4, noise: float = 0.03) -> dict[str, np.ndarray]:
    """Draw points on the arms of a spiral, each labelled with its arm.

    Args:
        samples: Points in all.
        arms: Spirals, and classes.
        noise: Standard deviation round the arm.

    Returns:
        `x_train` float32 (samples, 2) and `y_train` int64 (samples,).
    """
    generator = np.random.default_rng(0)
    arm = generator.integers(arms, size=samples)
    radius = np.sqrt(generator.uniform(0.02, 1.0, size=samples))
    angle = 2.0 * np.pi * (2.0 * radius + arm / arms)
    points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    points += noise * radius[:, None] * generator.standard_normal((samples, 2))
    return {"x_train": points.astype(np.float32), "y_train": arm.astype(np.int64)}
