"""Requests that are shown in the documentation; tests send them."""

from __future__ import annotations

from typing import Any, Final

DIGITS: Final[dict[str, Any]] = {
    "model": {
        "kind": "builtin",
        "name": "cnn",
        "options": {"channels": [16, 32], "dropout": 0.5},
    },
    "dataset": {"kind": "sklearn", "name": "digits", "validation_fraction": 0.2},
    "training": {
        "task": "classification",
        "optimizer": {"kind": "sgd", "momentum": 0.9},
    },
    "objective": {"kind": "time_to_target", "metric": "validation_loss", "target": 0.06},
    "search_space": {
        "global_batch_size": {"low": 8, "high": 64},
        "learning_rate": {"low": 0.001, "high": 1.0},
        "max_data_fraction": 0.1,
    },
    "budget": {"max_trials": 10, "timeout_seconds": 200},
    "hardware": {"accelerator": "cpu"},
    "seed": 0,
}

STUDY: Final[dict[str, Any]] = {
    "model": {"kind": "builtin", "name": "mlp", "options": {"hidden": [32]}},
    "dataset": {"kind": "sklearn", "name": "digits", "validation_fraction": 0.2},
    "training": {"task": "classification", "optimizer": {"kind": "sgd"}},
    "batch_sizes": [16, 128],
    "learning_rate": {"kind": "fixed", "learning_rate": 0.1},
    "seeds": 2,
    "patience_epochs": 3,
    "max_epochs": 20,
    "figures": {"line_points": 7, "landscape_points": 5},
    "budget": {"timeout_seconds": 300},
    "hardware": {"accelerator": "cpu"},
    "seed": 0,
}

ESTIMATE: Final[dict[str, Any]] = {
    "model": {
        "kind": "hf_config",
        "model_type": "gpt2",
        "config": {"n_layer": 12, "n_head": 12, "n_embd": 768},
    },
    "dataset": {
        "kind": "synthetic",
        "inputs": {"shape": [1024], "dtype": "int64", "high": 50257},
        "num_samples": 10000,
    },
    "training": {"task": "causal_lm", "optimizer": {"kind": "adamw"}, "precision": "bf16"},
    "gpus": ["A10-24GB", "H100-80GB"],
    "micro_batch_size": 8,
}
