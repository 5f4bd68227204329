"""The function for torchtitan, run on records that have the fields of its configuration.

torchtitan's releases on PyPI (0.2.2) are configured otherwise than its source, which needs packages
that are not published for every machine. The fields here are those of its `TrainingConfig`,
`LRSchedulersContainer.Config`, `OptimizersContainer.Config` and `ParamGroupConfig` that the export
writes, with their defaults, at commit b5bcd76c66d0acb1a08b176d9639425bc55e0b2a. Records with slots
refuse every other name, as torchtitan's do.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.tuner.exports.answers import (
    ADAM_DECAYED,
    ADAMW,
    RMSPROP,
    SAMPLE_COUNTS,
    SGD,
    answer,
)
from tuner.exports.registry import export

SEQUENCE_LENGTH = 512


@dataclass(kw_only=True, slots=True)
class Training:
    """Of `TrainingConfig`."""

    num_tokens_per_microbatch_per_dp_rank: int = 16384
    num_tokens_per_train_step: int = -1
    max_context_length: int = 2048
    max_norm: float = 1.0


@dataclass(kw_only=True, slots=True)
class Scheduler:
    """Of `LRSchedulersContainer.Config`."""

    warmup_steps: int = 200
    total_steps: int | None = None
    decay_ratio: float | None = None
    decay_type: str = "linear"
    min_lr_factor: float = 0.0


@dataclass(kw_only=True, slots=True)
class Group:
    """`ParamGroupConfig`."""

    pattern: str
    optimizer_name: str
    optimizer_kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True, slots=True)
class Optimizers:
    """Of `OptimizersContainer.Config`."""

    param_groups: list[Group] = field(default_factory=list)


@dataclass(kw_only=True, slots=True)
class Config:
    """Of `Trainer.Config`."""

    training: Training = field(default_factory=Training)
    lr_scheduler: Scheduler = field(default_factory=Scheduler)
    optimizer: Optimizers = field(default_factory=Optimizers)


@pytest.fixture(autouse=True)
def torchtitan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the names at hand where the snippet imports them from."""
    optimizer = ModuleType("torchtitan.components.optimizer")
    optimizer.__dict__.update(
        OptimizersContainer=SimpleNamespace(Config=Optimizers), ParamGroupConfig=Group
    )
    trainer = ModuleType("torchtitan.trainer")
    trainer.__dict__.update(Trainer=SimpleNamespace(Config=Config))
    monkeypatch.setitem(sys.modules, "torchtitan", ModuleType("torchtitan"))
    components = ModuleType("torchtitan.components")
    monkeypatch.setitem(sys.modules, components.__name__, components)
    monkeypatch.setitem(sys.modules, optimizer.__name__, optimizer)
    monkeypatch.setitem(sys.modules, trainer.__name__, trainer)


def configured(given: dict[str, Any]) -> Config:
    """Run an export on a default configuration."""
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(export(given, "torchtitan").text, names)  # noqa: S102 - what was exported just now
    config = names["with_measured"](Config(), sequence_length=SEQUENCE_LENGTH)
    assert isinstance(config, Config)
    return config


@pytest.mark.parametrize("optimizer", [ADAMW, ADAM_DECAYED])
def test_tokens_are_samples_times_the_sequence(optimizer: dict[str, Any]) -> None:
    """Batch, accumulation as torchtitan derives it, and rate are the answer's."""
    given = answer(optimizer, learning_rate=1e-05, **SAMPLE_COUNTS)
    config = configured(given)
    training = config.training
    per_rank, per_step = (
        training.num_tokens_per_microbatch_per_dp_rank,
        training.num_tokens_per_train_step,
    )
    assert per_step == given["global_batch_size"] * SEQUENCE_LENGTH
    passes, rest = divmod(per_step, per_rank * given["data_parallel_size"])
    assert (passes, rest) == (given["gradient_accumulation_steps"], 0)
    assert training.max_context_length == SEQUENCE_LENGTH
    (group,) = config.optimizer.param_groups
    assert group.optimizer_name.lower() == optimizer["kind"]
    assert group.optimizer_kwargs == {
        "lr": 1e-05,
        "betas": (optimizer["beta1"], optimizer["beta2"]),
        "eps": optimizer["epsilon"],
        "weight_decay": optimizer["weight_decay"],
    }


@pytest.mark.parametrize("optimizer", [SGD, RMSPROP])
def test_a_rate_of_another_optimizer_is_not_written(optimizer: dict[str, Any]) -> None:
    """The optimizer stays as it was, and the comments say so."""
    assert configured(answer(optimizer)).optimizer == Optimizers()
    assert "learning rate are left out" in export(answer(optimizer), "torchtitan").text


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", Scheduler(warmup_steps=0, min_lr_factor=1.0)),
        ("cosine", Scheduler(warmup_steps=10, total_steps=1000, decay_type="cosine")),
    ],
)
def test_the_schedule_is_the_one_that_was_measured(schedule: str, expected: Scheduler) -> None:
    """Its own default, a warm-up and a linear decay, is not left in place."""
    assert configured(answer(ADAMW, schedule)).lr_scheduler == expected


@pytest.mark.parametrize(("norm", "expected"), [(None, float("inf")), (0.75, 0.75)])
def test_gradients_are_clipped_as_they_were(norm: float | None, expected: float) -> None:
    """Its default of 1.0 is overwritten in either case."""
    assert configured(answer(ADAMW, gradient_clip_norm=norm)).training.max_norm == expected
