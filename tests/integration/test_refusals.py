"""What a running service refuses: a problem that names the field, and nothing queued."""

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from service.settings import Settings
from tests.integration.jobs import JOBS, SPEC

TOKENS = {
    "dataset": {
        "kind": "synthetic",
        "inputs": {"shape": [16], "dtype": "int64", "high": 9},
        "num_samples": 1000,
    },
    "training": {"task": "causal_lm"},
}


def of_file(path: str) -> dict[str, Any]:
    """A data set in a file."""
    return {"dataset": {"kind": "files", "format": "npz", "path": path}}


def of_architecture(model_type: str, **config: Any) -> dict[str, Any]:
    """A language model of transformers on tokens."""
    return {**TOKENS, "model": {"kind": "hf_config", "model_type": model_type, "config": config}}


def with_batches(low: int, high: int) -> dict[str, Any]:
    """A range of batches."""
    return {"search_space": {"global_batch_size": {"low": low, "high": high}}}


REFUSED = [
    ({"bugdet": {}}, "invalid_spec", "/bugdet"),
    ({"training": {**SPEC["training"], "optimiser": {}}}, "invalid_spec", "/training/optimiser"),
    ({"seed": "0"}, "invalid_spec", "/seed"),
    ({"dataset": {"kind": "mnist"}}, "invalid_spec", "/dataset/kind"),
    (with_batches(64, 8), "invalid_spec", "/search_space/global_batch_size/low"),
    (with_batches(256, 512), "batch_above_data_cap", "/search_space/global_batch_size/low"),
    (
        {"objective": {"kind": "time_to_target", "target": -1.0}},
        "invalid_spec",
        "/objective/target",
    ),
    (
        {"objective": {"kind": "time_to_target", "metric": "accuracy", "target": 90}},
        "invalid_spec",
        "/objective/target",
    ),
    (of_architecture("no_such"), "model_not_accepted", "/model/model_type"),
    (of_architecture("gpt2", auto_map={}), "config_key_refused", "/model/config/auto_map"),
    (of_file("../secret.npz"), "path_outside_root", "/dataset/path"),
    (of_file("link.npz"), "path_outside_root", "/dataset/path"),
    (of_file("bare.npz"), "missing_array", "/dataset/path"),
    (of_file("short.npz"), "shape_mismatch", "/dataset/path"),
    (
        {"model": {"kind": "entrypoint", "target": "os:system"}},
        "entrypoint_not_allowed",
        "/model/target",
    ),
    ({"hardware": {"data_parallel_size": 2}}, "invalid_spec", "/hardware/data_parallel_size"),
]


@pytest.fixture(scope="module", autouse=True)
def files(shared: Settings) -> Path:
    """Files that do not fit, and one outside of the root with a link to it."""
    root = shared.file_roots[0]
    x, y = np.zeros((400, 4), "float32"), np.zeros(400, "int64")
    np.savez(root / "bare.npz", x_train=x)
    np.savez(root / "short.npz", x_train=x, y_train=y[:-1])
    np.savez(root.parent / "secret.npz", x_train=x, y_train=y)
    (root / "link.npz").symlink_to(root.parent / "secret.npz")
    return root


@pytest.mark.parametrize(("parts", "code", "pointer"), REFUSED)
def test_a_request_is_refused_at_its_field(
    asking: httpx.Client, parts: dict[str, Any], code: str, pointer: str
) -> None:
    """Each is a 422 with its code, a pointer to the field and a sentence; nothing is queued."""
    response = asking.post(JOBS, json={**SPEC, **parts})
    problem = response.json()
    assert (response.status_code, problem["code"]) == (422, code), problem
    assert response.headers["content-type"] == "application/problem+json"
    (violation,) = problem["errors"]
    assert violation["pointer"] == pointer
    assert violation["detail"].endswith(".")
    assert asking.get(JOBS).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b'{"seed": NaN}', 400, "invalid_json"),
        (b" " * (1024 * 1024 + 1), 413, "body_too_large"),
    ],
)
def test_a_body_that_is_no_request(
    asking: httpx.Client, body: bytes, status: int, code: str
) -> None:
    """Text that is no JSON and a body over the limit are problems as well; nothing is queued."""
    response = asking.post(JOBS, content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert asking.get(JOBS).json()["items"] == []
