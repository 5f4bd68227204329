"""What the searches are tried on: eight small trainings on real data.

Four are there to develop on. The other four are only reported: no choice in the search was
made by looking at them. Each has a grid of 8 global batch sizes, 15 learning rates that lie
0.2 decades apart, and 8 seeds. `record.py` trains all of it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from tuner.records import Workload

SEEDS: Final = tuple(range(8))
"""Seeds of the runs of each cell."""

RATE_COUNT: Final = 15
RATES_PER_DECADE: Final = 5

BATCHES: Final = (4, 8, 16, 32, 64, 128, 256, 512)

CADENCE: Final = (62, 33, 18, 11, 7, 5, 3, 2)
"""Steps between evaluations at each batch size: some forty of them on the way to the target."""

NOISE_SPLITS: Final = 8
"""Parts at most that a batch is split into where the gradient noise scale is measured."""

SGD: Final = {"kind": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}
ADAM: Final = {
    "kind": "adam", "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.0,
}  # fmt: skip
ADAMW: Final = {**ADAM, "kind": "adamw", "weight_decay": 0.01}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One training whose grid is recorded.

    Args:
        name: Name of its file.
        kind: `dev` to develop on, `reported` for a workload that nothing was chosen by.
        model: The `model` of a spec.
        dataset: The `dataset` of a spec; files lie where `prepare_data.py` puts them.
        training: The `training` of a spec, defaults filled in.
        target: Validation loss to reach.
        batches: Global batch sizes, ascending.
        cadence: Optimizer steps between evaluations, for each batch.
        lowest_rate: The lowest learning rate, in fifths of a decade: 10 ** (lowest_rate / 5).
    """

    name: str
    kind: Literal["dev", "reported"]
    model: Mapping[str, Any]
    dataset: Mapping[str, Any]
    training: Mapping[str, Any]
    target: float
    batches: tuple[int, ...]
    cadence: tuple[int, ...]
    lowest_rate: int

    @property
    def rates(self) -> tuple[float, ...]:
        """Learning rates, ascending, 0.2 decades apart."""
        steps = range(self.lowest_rate, self.lowest_rate + RATE_COUNT)
        return tuple(float(f"{10 ** (step / RATES_PER_DECADE):.6g}") for step in steps)

    @property
    def workload(self) -> Workload:
        """The same as the record that a measurement takes."""
        return Workload(
            model=self.model,
            dataset=self.dataset,
            training=self.training,
            metric="validation_loss",
            accelerator="cpu",
            data_seed=0,
        )


def _builtin(name: str, **options: Any) -> Mapping[str, Any]:
    return {"kind": "builtin", "name": name, "options": options}


def _files(name: str) -> Mapping[str, Any]:
    return {"kind": "files", "format": "npz", "path": f"{name}.npz", "validation_fraction": 0.2}


def _training(task: str, optimizer: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "task": task,
        "optimizer": dict(optimizer),
        "schedule": {"kind": "constant"},
        "precision": "fp32",
        "gradient_clip_norm": None,
        "activation_checkpointing": False,
        "attention": "eager",
        "experts": "auto",
        "compile": False,
    }


DIGITS: Final = {"kind": "sklearn", "name": "digits", "validation_fraction": 0.2}

WORKLOADS: Final = (
    Recorded(
        name="digits-mlp-sgd",
        kind="dev",
        model=_builtin("mlp", hidden=[32]),
        dataset=DIGITS,
        training=_training("classification", SGD),
        target=0.12,
        batches=BATCHES,
        cadence=CADENCE,
        lowest_rate=-13,
    ),
    Recorded(
        name="digits-cnn-adam",
        kind="dev",
        model=_builtin("cnn", channels=[8, 16]),
        dataset=DIGITS,
        training=_training("classification", ADAM),
        target=0.09,
        batches=BATCHES,
        cadence=CADENCE,
        lowest_rate=-17,
    ),
    Recorded(
        name="kinds-mlp-sgd",
        kind="dev",
        model=_builtin("mlp", hidden=[32]),
        dataset=_files("kinds"),
        training=_training("classification", SGD),
        target=1.2,
        batches=BATCHES,
        cadence=CADENCE,
        lowest_rate=-14,
    ),
    Recorded(
        name="code-transformer-adam",
        kind="dev",
        model=_builtin("transformer", width=12, depth=1, heads=2),
        dataset=_files("code"),
        training=_training("causal_lm", ADAM),
        target=2.12,
        batches=BATCHES,
        cadence=CADENCE,
        lowest_rate=-18,
    ),
    Recorded(
        name="patches-cnn-sgd",
        kind="reported",
        model=_builtin("cnn", channels=[8, 16]),
        dataset=_files("patches"),
        training=_training("classification", SGD),
        target=1.1,
        batches=BATCHES,
        cadence=CADENCE,
        lowest_rate=-14,
    ),
    Recorded(
        name="lines-mlp-adam",
        kind="reported",
        model=_builtin("mlp", hidden=[24, 24]),
        dataset=_files("lines"),
        training=_training("regression", ADAM),
        target=0.09,
        batches=BATCHES,
        cadence=CADENCE,
        lowest_rate=-18,
    ),
    Recorded(
        name="topics-transformer-sgd",
        kind="reported",
        model=_builtin("transformer", width=12, depth=1, heads=2),
        dataset=_files("topics"),
        training=_training("causal_lm", SGD),
        target=2.45,
        batches=BATCHES,
        cadence=CADENCE,
        lowest_rate=-14,
    ),
    Recorded(
        name="patches-mlp-adamw",
        kind="reported",
        model=_builtin("mlp", hidden=[24]),
        dataset=_files("patches"),
        training=_training("classification", ADAMW),
        target=1.2,
        batches=BATCHES,
        cadence=CADENCE,
        lowest_rate=-18,
    ),
)
"""All of them."""

BY_NAME: Final = {recorded.name: recorded for recorded in WORKLOADS}
