"""Which runs are stacked, and why others are not."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.tuner.measuring.stacking.subjects import SUBJECTS, bench_of, cnn, mlp, requests_of
from tuner.measuring.stacking import stackable, together, train_stacked

FOREIGN = {"kind": "hf_config", "model_type": "gpt2", "config": {}}
OWN_CODE = {"kind": "entrypoint", "target": "mine:model", "kwargs": {}}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_what_is_proven_is_let_through(subject: str, tmp_path: Path) -> None:
    """Every workload that the equality tests train is stackable."""
    assert stackable(SUBJECTS[subject](tmp_path)) is None


def test_batch_norm_and_dropout_are_let_through() -> None:
    """Both are proven equal, dropout for runs of one seed."""
    assert stackable(cnn(batch_norm=True)) is None
    assert together(requests_of(mlp(dropout=0.3), seeds=(1, 1, 1))) is None


@pytest.mark.parametrize(
    ("training", "word"),
    [
        ({"compile": True}, "compiled"),
        ({"precision": "bf16"}, "bf16"),
        ({"activation_checkpointing": True}, "computed again"),
        ({"optimizer": {"kind": "lbfgs"}}, "optimizer"),
    ],
)
def test_what_is_not_proven_is_refused(training: dict[str, Any], word: str) -> None:
    """The reason names the option that is to blame."""
    reason = stackable(mlp(**training))
    assert reason is not None
    assert word in reason


@pytest.mark.parametrize("model", [FOREIGN, OWN_CODE], ids=["foreign", "own code"])
def test_models_from_elsewhere_are_refused(model: dict[str, Any]) -> None:
    """What they do in a forward pass is not known."""
    assert stackable(dataclasses.replace(mlp(), model=model)) is not None


@pytest.mark.parametrize(
    ("part", "value"), [("max_steps", 41), ("target", 0.5), ("evaluate_every_steps", 5)]
)
def test_runs_of_a_stack_take_the_same_steps(part: str, value: float) -> None:
    """Runs that differ in anything but rate, seed and checkpoints stay apart, and it is named."""
    first, *others = requests_of(mlp())
    reason = together([dataclasses.replace(first, **{part: value}), *others])
    assert reason is not None
    assert part in reason


def test_dropout_needs_one_seed() -> None:
    """Runs with dropout of different seeds would draw each other's numbers."""
    assert "same seed" in str(together(requests_of(mlp(dropout=0.3))))


def test_a_refusal_is_raised_before_anything_is_trained(tmp_path: Path) -> None:
    """Whoever asks in spite of the rule is told its reason."""
    workload = mlp(dropout=0.3)
    with pytest.raises(ValueError, match="same seed"):
        train_stacked(bench_of(workload, tmp_path), requests_of(workload))


def test_no_runs_are_no_stack() -> None:
    """Nothing to train is refused in words, not by a stray index."""
    assert "at least one" in str(together([]))
