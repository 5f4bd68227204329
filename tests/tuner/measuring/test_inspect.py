"""Inspection says what data and model are, and refuses what cannot be trained."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.tuner.workloads.samples import DIGITS, NOWHERE, TOKENS, workload
from tuner.errors import InvalidWorkload
from tuner.machine import available_memory_bytes, total_memory_bytes
from tuner.measuring.device import describe_device
from tuner.measuring.inspect import inspect
from tuner.places import Places
from tuner.records import Inspect, Inspection, Workload

SOURCE = '''
import torch

class Raises(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(64, 10)
    def forward(self, x):
        raise ValueError("this layer is broken")

class Centred(torch.nn.Module):
    """Subtracts the mean of the batch, which no known layer type tells."""
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(64, 10)
        )
    def forward(self, x):
        scores = self.layer(x)
        return scores - scores.mean(dim=0)

class Dropped(Centred):
    def forward(self, x):
        return self.layer(x)

class Detached(Centred):
    def forward(self, x):
        return torch.zeros(len(x), 10, requires_grad=True)

class Infinite(Centred):
    def forward(self, x):
        return self.layer(x) * float("inf")

class Peeks(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Embedding(20, 20)
    def forward(self, tokens):
        return self.layer(tokens.roll(-1, dims=1))
'''


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    """A code root with one module of odd models, forgotten again afterwards."""
    (tmp_path / "odd_models.py").write_text(SOURCE)
    path = list(sys.path)
    yield Places(
        artifacts=tmp_path,
        code_root=tmp_path,
        entrypoint_prefixes=("odd_models",),
        file_roots=(tmp_path,),
    )
    sys.path[:] = path
    sys.modules.pop("odd_models", None)


def _inspected(made: Workload, places: Places = NOWHERE) -> Inspection:
    return inspect(Inspect(id="inspect", workload=made), places)


def _odd(name: str) -> dict[str, Any]:
    return {"kind": "entrypoint", "target": f"odd_models:{name}", "kwargs": {}}


def test_digits_are_described() -> None:
    """Sizes, counts, digests and the loss of a fresh model are what they are."""
    seen = _inspected(workload("mlp"))
    assert (seen.num_train, seen.num_validation) == (1438, 359)
    assert (seen.input_shape, seen.input_dtype) == ((1, 8, 8), "float32")
    assert (seen.output_size, seen.tokens_per_sample) == (10, None)
    assert seen.parameter_count == 64 * 64 + 64 + 64 * 10 + 10
    assert seen.parameter_bytes == 4 * seen.parameter_count
    assert seen.initial_loss == pytest.approx(math.log(10), abs=0.3)
    assert seen.batch_dependent_layers == ()
    assert not seen.synthetic
    assert seen.warnings == ()


def test_inspection_repeats_and_leaves_random_numbers_alone() -> None:
    """Two inspections agree on everything that is not time or free memory."""
    before = torch.get_rng_state()
    one, two = (_inspected(workload("cnn")) for _ in range(2))
    assert replace(one, device=two.device, device_seconds=0.0) == replace(two, device_seconds=0.0)
    assert torch.equal(torch.get_rng_state(), before)


def test_language_models_and_synthetic_data() -> None:
    """Tokens are told, and so is that the targets are invented."""
    seen = _inspected(workload("transformer", TOKENS, task="causal_lm"))
    assert (seen.tokens_per_sample, seen.output_size, seen.input_dtype) == (12, 20, "int64")
    assert seen.synthetic
    assert seen.initial_loss == pytest.approx(math.log(20), abs=0.5)
    assert "4 samples" in seen.warnings[0]


def test_batch_norm_is_named() -> None:
    """Every normalisation over the batch is named, by its place in the model."""
    model = {"kind": "builtin", "name": "cnn", "options": {"batch_norm": True}}
    assert _inspected(workload(model)).batch_dependent_layers == ("blocks.0.1", "blocks.1.1")


def test_unknown_dependence_on_the_batch_is_found(places: Places) -> None:
    """A model that looks at its neighbours is found by trying; dropout alone is not."""
    assert _inspected(workload(_odd("Centred")), places).batch_dependent_layers == ("(model)",)
    assert _inspected(workload(_odd("Dropped")), places).batch_dependent_layers == ()


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("Raises", "this layer is broken"),
        ("Detached", "does not depend on any parameter"),
        ("Infinite", "validation loss of"),
    ],
)
def test_models_that_cannot_be_trained_are_refused(places: Places, name: str, detail: str) -> None:
    """A model that raises, learns nothing or starts without a finite loss is its own problem."""
    with pytest.raises(InvalidWorkload, match=detail) as caught:
        _inspected(workload(_odd(name)), places)
    assert caught.value.problem_code == "model_failed"
    assert str(caught.value.pointer).startswith("/model")
    assert ("odd_models.py" in (caught.value.problem.traceback or "")) == (name == "Raises")


def test_a_language_model_that_sees_the_future_is_refused(places: Places) -> None:
    """Predicting a token that the model was shown means nothing."""
    with pytest.raises(InvalidWorkload, match="not causal"):
        _inspected(workload(_odd("Peeks"), TOKENS, task="causal_lm"), places)


def test_memory_is_nobodys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of memory passes through: it is an answer elsewhere, not a broken model."""

    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(torch.nn.Linear, "forward", full)
    with pytest.raises(torch.OutOfMemoryError):
        _inspected(workload("mlp"))


def test_nan_in_a_file_is_found(places: Places, tmp_path: Path) -> None:
    """The real data are looked at, not only their header."""
    x = np.ones((20, 3), dtype=np.float32)
    x[7, 1] = np.nan
    np.savez(tmp_path / "data.npz", x_train=x, y_train=np.arange(20) % 2)
    dataset = {"kind": "files", "format": "npz", "path": "data.npz"}
    with pytest.raises(InvalidWorkload, match="first in sample 7") as caught:
        _inspected(workload("mlp", dataset), places)
    assert caught.value.problem_code == "data_not_finite"


def test_the_limit_of_the_cpu_is_the_users_cap_or_a_share_of_what_is_free() -> None:
    """The default is 80 % of the available memory; a cap below it holds."""
    made = workload(dataset=DIGITS)
    usual = describe_device(made)
    assert (usual.kind, usual.torch_version) == ("cpu", torch.__version__)
    assert usual.memory_bytes == total_memory_bytes()
    assert usual.limit_bytes == pytest.approx(0.8 * available_memory_bytes(), rel=0.2)
    assert describe_device(replace(made, memory_limit_bytes=10**6)).limit_bytes == 10**6
