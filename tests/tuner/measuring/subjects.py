"""Small workloads that the tests of measuring share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tuner.measuring.batches import Batches
from tuner.measuring.workbench import Workbench, set_up
from tuner.places import Places
from tuner.records import BatchPlan, TrainingRun, Workload
from tuner.workloads.data import Data, Split
from tuner.workloads.losses import build_criterion

SGD = {"kind": "sgd", "momentum": 0.9}
ADAM = {"kind": "adam"}


def nobody() -> int | None:
    """Tell no tighter limit."""
    return None


def training(task: str = "classification", **options: Any) -> dict[str, Any]:
    """State a training, defaults filled in."""
    return {
        "task": task,
        "optimizer": SGD,
        "schedule": {"kind": "constant"},
        "precision": "fp32",
        "gradient_clip_norm": None,
        **options,
    }


def digits(*, hidden: int = 16, dropout: float = 0.0, **options: Any) -> Workload:
    """State a perceptron on scikit-learn's digits."""
    return Workload(
        model={
            "kind": "builtin",
            "name": "mlp",
            "options": {"hidden": [hidden], "dropout": dropout},
        },
        dataset={"kind": "sklearn", "name": "digits", "validation_fraction": 0.2},
        training=training(**options.pop("training", {})),
        metric=options.pop("metric", "validation_loss"),
        accelerator="cpu",
        data_seed=0,
        **options,
    )


def run_of(workload: Workload, **changes: Any) -> TrainingRun:
    """State a short training run."""
    fields: dict[str, Any] = {
        "id": "run",
        "workload": workload,
        "plan": BatchPlan(micro_batch_size=16),
        "learning_rate": 0.05,
        "seed": 3,
        "max_steps": 40,
        "evaluate_every_steps": 10,
        "target": None,
        "device_kind": "cpu",
    }
    return TrainingRun(**{**fields, **changes})


def bench_of(workload: Workload, folder: Path) -> Workbench:
    """Set a workload up, with its artifacts in a folder."""
    return set_up(workload, Places(artifacts=folder))


def bench_over(
    inputs: torch.Tensor, targets: torch.Tensor | None, *, folder: Path, **options: Any
) -> Workbench:
    """Set up a bench over tensors at hand; its model is whatever a test gives it."""
    workload = digits(training=options)
    split = Split(inputs=inputs, targets=targets)
    task = workload.training["task"]
    data = Data(
        train=split,
        validation=split,
        output_size=int(inputs.max()) + 1 if task == "causal_lm" else 1,
        tokens_per_sample=inputs.shape[1] if task == "causal_lm" else None,
        synthetic=False,
        digest="sha256:none",
    )
    criterion = build_criterion(workload.training, data)
    device = torch.device("cpu")
    return Workbench(
        workload=workload,
        device=device,
        data=data,
        criterion=criterion,
        train=Batches(split, criterion.counts(split), device),
        validation=Batches(split, criterion.counts(split), device),
        places=Places(artifacts=folder),
    )
