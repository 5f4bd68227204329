"""Memory estimates of a running service: a real child, real traces."""

from __future__ import annotations

import os
import signal
from typing import Any

import httpx
import pytest

from service.settings import Settings
from service.supervise import Embedded
from tests.workers.conftest import eventually, is_alive
from workers.processes import descendants

ADDRESS = "/v1/memory-estimates"
HIDDEN = 256
BODY: dict[str, Any] = {
    "model": {"kind": "builtin", "name": "mlp", "options": {"hidden": [HIDDEN]}},
    "dataset": {"kind": "sklearn", "name": "digits"},
    "training": {"task": "classification", "optimizer": {"kind": "adamw"}},
    "gpus": ["T4-16GB", "H100-80GB"],
}
PARAMETERS = (64 + 1) * HIDDEN + (HIDDEN + 1) * 10

TOKENS = {
    "kind": "synthetic",
    "inputs": {"shape": [16], "dtype": "int64", "high": 100},
    "num_samples": 100,
}
GIANT = {
    "kind": "hf_config",
    "model_type": "gpt2",
    "config": {"n_layer": 800, "n_head": 80, "n_embd": 10240},
}
"""About 10**12 parameters."""
EXPERTS = {
    "kind": "hf_config",
    "model_type": "mixtral",
    "config": {
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    },
}


def ask(client: httpx.Client, **parts: Any) -> tuple[int, Any]:
    """Ask for an estimate."""
    response = client.post(ADDRESS, json=BODY | parts)
    return response.status_code, response.json()


@pytest.fixture
def tracers(service: Embedded) -> Any:
    """Lists the processes that the API process has started."""
    return lambda: descendants(service.pids["api"])


def test_an_estimate_over_http(client: httpx.Client, tracers: Any) -> None:
    """A model is traced, giants are refused, a dead child is replaced; the API lives on."""
    assert tracers() == []
    status, found = ask(client)
    assert status == 200, found
    one = found["estimates"][0]
    assert one["split"]["parameter_bytes"] == 4 * PARAMETERS
    assert one["split"]["gradient_bytes"] == 4 * PARAMETERS
    assert 8 * PARAMETERS <= one["split"]["optimizer_state_bytes"] < 8 * PARAMETERS + 100
    assert (found["verdict"], one["limited_by"]) == ("fits", "dataset")
    assert ask(client)[1]["cached"] is True

    status, problem = ask(client, model=GIANT, dataset=TOKENS, training={"task": "causal_lm"})
    assert (status, problem["code"]) == (422, "model_too_large")

    training = {"task": "causal_lm", "experts": "eager"}
    status, problem = ask(client, model=EXPERTS, dataset=TOKENS, training=training)
    assert (status, problem["code"]) == (422, "model_not_traceable")

    killed = tracers()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(map(is_alive, killed)))
    status, found = ask(client, micro_batch_size=2)
    assert status == 200, found
    assert client.get("/livez").status_code == 200


def test_the_processes_end_with_the_service(settings: Settings) -> None:
    """Stopping a service leaves no process that traces behind."""
    with Embedded(settings) as service:
        with httpx.Client(base_url=service.url, timeout=90) as client:
            assert ask(client)[0] == 200
        started = descendants(service.pids["api"])
        assert started
    eventually(lambda: not any(map(is_alive, started)))
