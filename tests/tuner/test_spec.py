"""Specs: what is refused, and with which words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tuner.spec import TuningSpec, digest

MINIMAL: dict[str, Any] = {
    "model": {"kind": "builtin", "name": "cnn"},
    "dataset": {"kind": "sklearn", "name": "digits"},
    "training": {"task": "classification"},
}


def test_three_parts_are_enough() -> None:
    """Model, data set and task alone make a spec, defaults filled in."""
    spec = TuningSpec.model_validate(MINIMAL)
    assert spec.budget.max_trials == 24
    assert spec.learning_rates.high == 1.0


@pytest.mark.parametrize(
    ("part", "value", "says"),
    [
        ("search_space", {"global_batch_size": {"low": 64, "high": 8}}, "must not exceed high"),
        ("search_space", {"learning_rate": {"low": 1.0, "high": 0.1}}, "must be below high"),
        ("search_space", {"learning_rate": {"low": 0.1, "high": 1.0, "count": 1}}, "equal to 2"),
        ("objective", {"kind": "time_to_target", "target": -1.0}, "must be above 0"),
        ("objective", {"kind": "time_to_target", "metric": "accuracy", "target": 90}, "at most 1"),
        ("objective", {"kind": "loss_at_budget"}, "exactly one"),
        ("objective", {"kind": "time_to_target", "target": 0.1, "horizon_samples": 5}, "leave"),
        ("hardware", {"data_parallel_size": 2}, "Input should be 1"),
        ("training", {"task": "regression"}, "is for training.task classification"),
        ("training", {"task": "classification", "optimizer": {"kind": "sgd", "nesterov": True}},
         "nesterov needs a momentum"),
        ("training", {"task": "classification", "schedule": {"kind": "cosine",
         "warmup_samples": 9, "horizon_samples": 9}}, "must be below"),
        ("model", {"kind": "builtin", "name": "transformer", "options": {"heads": 3}},
         "must divide width"),
        ("model", {"name": "cnn"}, "kind"),
        ("model", {"kind": "builtin", "name": "cnn", "options": {"chanels": [8]}}, "Extra inputs"),
        ("dataset", {"kind": "sklearn", "name": "imagenet"}, "Input should be"),
        ("dataset", {"kind": "synthetic", "inputs": {"shape": [8], "dtype": "int64"},
         "num_samples": 9}, "needs `high`"),
        ("seed", -1, "greater than or equal to 0"),
        ("surprise", 1, "Extra inputs"),
    ],
)  # fmt: skip
def test_what_is_refused(part: str, value: object, says: str) -> None:
    """Each impossible combination is refused in words that name it."""
    with pytest.raises(ValidationError, match=says):
        TuningSpec.model_validate(MINIMAL | {part: value})


def test_a_count_of_rates_names_the_only_ones() -> None:
    """They are evenly spaced in ln, ends included; others are drawn to the nearest."""
    given = {"learning_rate": {"low": 0.01, "high": 1.0, "count": 5}}
    rates = TuningSpec.model_validate(MINIMAL | {"search_space": given}).learning_rates
    assert rates.values == pytest.approx([0.01, 0.0316228, 0.1, 0.316228, 1.0])
    assert rates.values[-1] == 1.0
    assert rates.nearest(0.06) == pytest.approx(0.1)
    assert rates.holds(0.1)
    assert not rates.holds(0.12)
    assert not rates.holds(10.0)
    free = TuningSpec.model_validate(MINIMAL).learning_rates
    assert free.values == ()
    assert free.holds(0.12)
    assert free.nearest(7.0) == free.high


def test_not_a_number_is_refused() -> None:
    """NaN and infinity are no learning rates."""
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            TuningSpec.model_validate(
                MINIMAL | {"search_space": {"learning_rate": {"low": 1e-3, "high": value}}}
            )


def test_digest_does_not_depend_on_the_order_of_keys() -> None:
    """Two files that say the same have the same digest, two that differ do not."""
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
