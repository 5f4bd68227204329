"""Small studies that the tests share."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import torch

from tests.tuner.measuring.subjects import digits, nobody, training
from tuner.measuring.study import minimiser, run_to_minimum
from tuner.measuring.workbench import Workbench
from tuner.records import StudyRun, StudyRunResult, Workload

RPROP = {
    "kind": "rprop",
    "learning_rate": 1e-3,
    "eta_minus": 0.5,
    "eta_plus": 1.2,
    "smallest_step": 1e-6,
    "largest_step": 50.0,
}
NUM_TRAIN = 1438
"""Training samples of the digits when a fifth is held out."""


def images(*, batch_norm: bool = False, **options: Any) -> Workload:
    """State a convolutional network on scikit-learn's digits."""
    return dataclasses.replace(
        digits(training=options),
        model={
            "kind": "builtin",
            "name": "cnn",
            "options": {"channels": [4, 8], "batch_norm": batch_norm},
        },
    )


def study_run(workload: Workload, **changes: Any) -> StudyRun:
    """State a short run of a study."""
    fields: dict[str, Any] = {
        "id": "run",
        "workload": workload,
        "global_batch_size": 64,
        "micro_batch_size": 64,
        "learning_rate": 0.05,
        "seed": 3,
        "max_epochs": 4,
        "patience_epochs": 4,
        "device_kind": "cpu",
    }
    return StudyRun(**{**fields, **changes})


def ran(bench: Workbench, request: StudyRun, *, tightened: Any = nobody) -> StudyRunResult:
    """Run a request on a bench."""
    return run_to_minimum(lambda: bench, request, tightened=tightened, began=time.perf_counter())


def left(bench: Workbench, model: torch.nn.Module) -> str:
    """Leave a model's weights as a minimiser."""
    return minimiser.save(bench.places.artifacts, minimiser.held(model))


def trained(bench: Workbench, *, seed: int = 0, steps: int = 60, rate: float = 0.1) -> str:
    """Train the workload's model a little and leave it as a minimiser."""
    model = bench.model(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randint(0, len(bench.train), (64,), generator=generator)
        inputs, targets = bench.train.fetch(rows)
        optimizer.zero_grad()
        (bench.criterion.loss_sum(model, inputs, targets) / len(rows)).backward()
        optimizer.step()
    return left(bench, model)


__all__ = [
    "NUM_TRAIN",
    "RPROP",
    "digits",
    "images",
    "left",
    "ran",
    "study_run",
    "trained",
    "training",
]
