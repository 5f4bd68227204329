"""Trainings that the tests of stacking share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.tuner.measuring.subjects import digits, run_of, training
from tuner.measuring.workbench import Workbench, set_up
from tuner.places import Places
from tuner.records import TrainingRun, Workload


def mlp(*, dropout: float = 0.0, **options: Any) -> Workload:
    """State a perceptron on digits."""
    return digits(hidden=8, dropout=dropout, training=options)


def cnn(*, batch_norm: bool = False, **options: Any) -> Workload:
    """State a convolutional network on digits."""
    return Workload(
        model={
            "kind": "builtin",
            "name": "cnn",
            "options": {"channels": [4, 8], "batch_norm": batch_norm},
        },
        dataset={"kind": "sklearn", "name": "digits", "validation_fraction": 0.2},
        training=training(**options),
        metric="validation_loss",
        accelerator="cpu",
        data_seed=0,
    )


def text(folder: Path, *, padded: bool = False, **options: Any) -> Workload:
    """State a language model on invented text, with padding of different lengths or without."""
    draw = np.random.default_rng(5)
    tokens = (np.cumsum(draw.integers(0, 3, (160, 8)), axis=1) % 11).astype(np.int64)
    if padded:
        lengths = draw.integers(3, 9, len(tokens))
        tokens[np.arange(8) >= lengths[:, None]] = -1
    np.savez(folder / "text.npz", x_train=tokens[:128], x_val=tokens[128:])
    return Workload(
        model={
            "kind": "builtin",
            "name": "transformer",
            "options": {"width": 8, "depth": 1, "heads": 2},
        },
        dataset={"kind": "files", "format": "npz", "path": "text.npz"},
        training=training("causal_lm", **options),
        metric="validation_loss",
        accelerator="cpu",
        data_seed=0,
    )


def table(_folder: Path) -> Workload:
    """State a regression by a perceptron."""
    return Workload(
        model={"kind": "builtin", "name": "mlp", "options": {"hidden": [8]}},
        dataset={"kind": "sklearn", "name": "diabetes", "validation_fraction": 0.2},
        training=training("regression"),
        metric="validation_loss",
        accelerator="cpu",
        data_seed=0,
    )


def bench_of(workload: Workload, folder: Path) -> Workbench:
    """Set a workload up, with its data and its artifacts in one folder."""
    return set_up(workload, Places(artifacts=folder, file_roots=(folder,)))


SUBJECTS: dict[str, Callable[[Path], Workload]] = {
    "mlp": lambda _folder: mlp(),
    "cnn": lambda _folder: cnn(),
    "regression": table,
    "transformer": text,
    "eager attention": lambda folder: text(folder, attention="eager"),
    "padded text": lambda folder: text(folder, padded=True),
}
"""From a name to what states a workload, its files in a folder."""


def requests_of(
    workload: Workload,
    *,
    rates: Sequence[float] = (0.002, 0.01, 0.05),
    seeds: Sequence[int] = (3, 3, 4),
    **changes: Any,
) -> list[TrainingRun]:
    """State runs that differ in learning rate and seed."""
    return [
        run_of(workload, id=f"run-{place}", learning_rate=rate, seed=seed, **changes)
        for place, (rate, seed) in enumerate(zip(rates, seeds, strict=True))
    ]
