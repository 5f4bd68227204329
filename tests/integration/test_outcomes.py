"""Jobs that end otherwise than with a time to a target: each says why, and the next one runs."""

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.settings import Settings
from tests.integration.jobs import create, ended, follow

LAB = """
import torch


class Raises(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(64, 10)

    def forward(self, inputs):
        raise RuntimeError("no such layer")


def model():
    return Raises()


def works(input_shape, output_size):
    return torch.nn.Linear(input_shape[0], output_size)


def data():
    raise KeyError("the file is gone")
"""


@pytest.fixture(scope="module", autouse=True)
def files(shared: Settings) -> Path:
    """Data whose header is in order and whose values are not, and code that raises."""
    root = shared.file_roots[0]
    x, y = np.ones((400, 4), "float32"), np.zeros(400, "int64")
    spoiled = x.copy()
    spoiled[7, 1] = np.nan
    np.savez(root / "nan.npz", x_train=spoiled, y_train=y)
    np.savez(root / "labels.npz", x_train=x, y_train=y - 1)
    assert shared.code_root is not None
    (shared.code_root / "lab.py").write_text(LAB)
    return root


def of_file(path: str) -> dict[str, Any]:
    """A data set in a file."""
    return {"dataset": {"kind": "files", "format": "npz", "path": path}}


def with_rates(low: float, high: float) -> dict[str, Any]:
    """A range of learning rates, at one batch."""
    batches = {"low": 16, "high": 16}
    return {
        "search_space": {"global_batch_size": batches, "learning_rate": {"low": low, "high": high}}
    }


@pytest.mark.parametrize(
    ("parts", "code", "pointer"),
    [
        (of_file("nan.npz"), "data_not_finite", "/dataset"),
        (of_file("labels.npz"), "labels_out_of_range", "/dataset"),
        ({"model": {"kind": "entrypoint", "target": "lab:model"}}, "model_failed", "/model"),
        (
            {"dataset": {"kind": "entrypoint", "target": "lab:data"}},
            "data_failed",
            "/dataset/target",
        ),
        (
            {"hardware": {"accelerator": "cpu", "memory_limit_bytes": 1000}},
            "no_feasible_batch",
            "/hardware/memory_limit_bytes",
        ),
        (
            with_rates(500.0, 1000.0),
            "all_runs_diverged",
            "/search_space/learning_rate",
        ),
    ],
)
def test_a_job_that_fails_says_why(
    asking: httpx.Client, parts: dict[str, Any], code: str, pointer: str
) -> None:
    """It ends `failed` with the problem object of a refusal, the field and a sentence in it."""
    job = follow(asking, create(asking, **parts), ended)
    assert job["state"] == "failed"
    problem = job["problem"]
    assert (problem["code"], problem["type"]) == (code, f"urn:batchscout:problem:{code}")
    (violation,) = problem["errors"]
    assert violation["pointer"] == pointer
    assert violation["detail"] == problem["detail"]
    if code in {"model_failed", "data_failed"}:
        assert "lab.py" in problem["traceback"]
    if code == "no_feasible_batch":
        assert problem["facts"]["bytes_needed"] > problem["facts"]["bytes_available"]


def test_a_target_out_of_reach_is_an_answer(asking: httpx.Client) -> None:
    """Runs that diverge have their outcome, the job goes on, and the closest result is told."""
    parts = {
        **with_rates(1e-3, 1000.0),
        "objective": {"kind": "time_to_target", "target": 1e-5},
        "budget": {"max_trials": 2, "max_device_seconds": 12.0, "timeout_seconds": 60.0},
    }
    address = create(asking, **parts)
    job = follow(asking, address, ended)
    assert job["state"] == "succeeded", job["problem"]
    answer = asking.get(f"{address}/recommendation").json()
    assert (answer["target_reached"], answer["runs_reached"]) == (False, 0)
    assert answer["target"] == 1e-5
    assert answer["closest_metric"] > 1e-5
    assert "target_not_reached" in {warning["code"] for warning in answer["warnings"]}
    trials = asking.get(f"{address}/trials").json()["items"]
    assert {"diverged", "censored"} <= {trial["state"] for trial in trials}


def test_a_micro_batch_that_does_not_fit_is_no_end(asking: httpx.Client) -> None:
    """Sizes over the limit are tried and left out; the answer accumulates, and was run."""
    parts = {
        "search_space": {"global_batch_size": {"low": 128, "high": 128}},
        "hardware": {"accelerator": "cpu", "memory_limit_bytes": 545_000},
        "budget": {"max_trials": 2, "max_device_seconds": 30.0, "timeout_seconds": 60.0},
    }
    address = create(asking, **parts)
    job = follow(asking, address, ended)
    assert job["state"] == "succeeded", job["problem"]
    answer = asking.get(f"{address}/recommendation").json()
    assert answer["micro_batch_size"] <= answer["max_micro_batch_size"] < 128
    assert answer["peak_memory_bytes"] <= answer["memory_limit_bytes"] <= 545_000
    assert answer["global_batch_size"] == 128


def test_generated_data_say_nothing_of_a_rate(asking: httpx.Client) -> None:
    """Own code on generated data is answered with the throughput optimum and no rate."""
    parts = {
        "model": {"kind": "entrypoint", "target": "lab:works"},
        "dataset": {"kind": "synthetic", "inputs": {"shape": [8]}, "num_samples": 1000},
        "objective": {"kind": "loss_at_budget", "budget_samples": 10_000},
        **with_rates(1e-3, 1.0),
    }
    address = create(asking, **parts)
    job = follow(asking, address, ended)
    assert job["state"] == "succeeded", job["problem"]
    answer = asking.get(f"{address}/recommendation").json()
    assert (answer["evidence"], answer["learning_rate"]) == ("throughput_only", None)
    assert answer["global_batch_size"] == 16
    assert "learning_rate_not_tuned" in {warning["code"] for warning in answer["warnings"]}


def test_the_best_loss_for_a_budget(asking: httpx.Client) -> None:
    """The other objective is answered over HTTP, with the metric and no time to a target."""
    parts = {
        "objective": {"kind": "loss_at_budget", "budget_samples": 4000},
        **with_rates(1e-3, 1.0),
    }
    address = create(asking, **parts)
    job = follow(asking, address, ended)
    assert job["state"] == "succeeded", job["problem"]
    answer = asking.get(f"{address}/recommendation").json()
    assert (answer["objective"], answer["evidence"]) == ("loss_at_budget", "full")
    assert answer["metric_at_budget"]["estimate"] > 0.0
    assert (answer["target"], answer["time_to_target_seconds"]) == (None, None)
