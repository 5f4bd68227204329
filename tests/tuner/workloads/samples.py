"""Small workloads to test with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tuner.places import Places
from tuner.records import Workload
from tuner.workloads.data import Data, Split

NOWHERE = Places(artifacts=Path("artifacts"))
DIGITS = {"kind": "sklearn", "name": "digits", "validation_fraction": 0.2}
TOKENS = {
    "kind": "synthetic",
    "inputs": {"shape": [12], "dtype": "int64", "high": 20},
    "num_samples": 20,
    "num_outputs": 3,
}


def workload(
    model: Mapping[str, Any] | str = "mlp",
    dataset: Mapping[str, Any] = DIGITS,
    *,
    task: str = "classification",
    data_seed: int = 0,
    **training: Any,
) -> Workload:
    """Build a workload; a string names a builtin model with its usual options."""
    if isinstance(model, str):
        model = {"kind": "builtin", "name": model, "options": {}}
    return Workload(
        model=model,
        dataset=dataset,
        training={"task": task, "optimizer": {"kind": "sgd"}} | training,
        metric="validation_loss",
        accelerator="cpu",
        data_seed=data_seed,
    )


def data_of(inputs: torch.Tensor, targets: torch.Tensor | None, output_size: int) -> Data:
    """Build data whose two splits are the same."""
    split = Split(inputs=inputs, targets=targets)
    return Data(
        train=split,
        validation=split,
        output_size=output_size,
        tokens_per_sample=None if targets is not None else inputs.shape[1],
        synthetic=False,
        digest="sha256:none",
    )
