"""Workloads on generated data, for a real card."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tuner.measuring.dispatch import Measuring
from tuner.measuring.train import train
from tuner.measuring.workbench import Workbench, set_up
from tuner.places import Places
from tuner.records import BatchPlan, TrainingResult, TrainingRun, Workload

ACCELERATOR = "cuda"
ADAMW = {"kind": "adamw"}


def training(task: str, **options: Any) -> dict[str, Any]:
    """State a training, defaults filled in."""
    return {
        "task": task,
        "optimizer": ADAMW,
        "schedule": {"kind": "constant"},
        "precision": "fp32",
        "gradient_clip_norm": 1.0,
        **options,
    }


def images(
    *, channels: tuple[int, ...] = (32, 64), samples: int = 4096, **options: Any
) -> Workload:
    """State a convolutional network on random images of 32 by 32 pixels."""
    return Workload(
        model={"kind": "builtin", "name": "cnn", "options": {"channels": list(channels)}},
        dataset={
            "kind": "synthetic",
            "inputs": {"shape": [3, 32, 32], "dtype": "float32"},
            "num_samples": samples,
            "num_outputs": 10,
        },
        training=training("classification", **options),
        metric="validation_loss",
        accelerator=ACCELERATOR,
        data_seed=0,
    )


def text(*, width: int = 128, depth: int = 2, **options: Any) -> Workload:
    """State a causal transformer on random tokens."""
    return Workload(
        model={
            "kind": "builtin",
            "name": "transformer",
            "options": {"width": width, "depth": depth, "heads": 4},
        },
        dataset={
            "kind": "synthetic",
            "inputs": {"shape": [64], "dtype": "int64", "high": 256},
            "num_samples": 1024,
        },
        training=training("causal_lm", **options),
        metric="validation_loss",
        accelerator=ACCELERATOR,
        data_seed=0,
    )


def nobody() -> int | None:
    """Tell no tighter limit."""
    return None


def run_of(workload: Workload, **changes: Any) -> TrainingRun:
    """State a short training run."""
    fields: dict[str, Any] = {
        "id": "run",
        "workload": workload,
        "plan": BatchPlan(micro_batch_size=32),
        "learning_rate": 1e-3,
        "seed": 1,
        "max_steps": 40,
        "evaluate_every_steps": 10,
        "target": None,
        "device_kind": ACCELERATOR,
    }
    return TrainingRun(**{**fields, **changes})


def bench_of(workload: Workload, folder: Path) -> Workbench:
    """Set a workload up."""
    return set_up(workload, Places(artifacts=folder))


def trained(bench: Workbench, request: TrainingRun) -> TrainingResult:
    """Run a request on a bench."""
    return train(lambda: bench, request, tightened=nobody, began=time.perf_counter())


def door(folder: Path) -> Measuring:
    """Make the door to everything that measures."""
    return Measuring(Places(artifacts=folder))
