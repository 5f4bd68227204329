"""Data are split, standardised, checked and digested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tests.tuner.workloads.samples import NOWHERE, TOKENS, workload
from tuner.errors import InvalidWorkload
from tuner.places import Places
from tuner.workloads.data import load_data


def _files(folder: Path, **arrays: np.ndarray) -> tuple[dict[str, object], Places]:
    np.savez(folder / "data.npz", **arrays)
    dataset = {"kind": "files", "format": "npz", "path": "data.npz", "validation_fraction": 0.25}
    return dataset, Places(artifacts=folder, file_roots=(folder,))


def test_digits_are_images_between_0_and_1() -> None:
    """Digits come as (N, 1, 8, 8) floats in [0, 1] with ten classes."""
    data = load_data(workload(), NOWHERE)
    assert data.input_shape == (1, 8, 8)
    assert data.output_size == 10
    assert float(data.train.inputs.min()) == 0.0
    assert float(data.train.inputs.max()) == 1.0
    assert len(data.train) + len(data.validation) == 1797


def test_tables_are_standardised_by_training_statistics_alone() -> None:
    """Training columns have mean 0 and deviation 1; validation columns only roughly."""
    data = load_data(
        workload(dataset={"kind": "sklearn", "name": "diabetes"}, task="regression"), NOWHERE
    )
    targets = data.train.targets
    assert targets is not None
    assert targets.shape == (len(data.train), 1)
    for array in (data.train.inputs, targets):
        assert torch.allclose(array.mean(dim=0), torch.zeros(1), atol=1e-5)
        assert torch.allclose(array.std(dim=0, correction=0), torch.ones(1), atol=1e-5)
    assert not torch.allclose(data.validation.inputs.mean(dim=0), torch.zeros(1), atol=1e-3)


def test_the_split_follows_from_the_data_seed() -> None:
    """The same seed gives the same digest, another seed another one."""
    digests = [load_data(workload(data_seed=seed), NOWHERE).digest for seed in (3, 3, 4)]
    assert digests[0] == digests[1] != digests[2]


def test_validation_arrays_of_the_file_are_used(tmp_path: Path) -> None:
    """A file with its own validation arrays is not split again."""
    x = np.arange(24, dtype=np.float64).reshape(12, 2)
    y = np.arange(12) % 3
    dataset, places = _files(tmp_path, x_train=x, y_train=y, x_val=x[:5], y_val=y[:5])
    data = load_data(workload(dataset=dataset), places)
    assert (len(data.train), len(data.validation)) == (12, 5)
    assert data.train.inputs.dtype == torch.float32
    assert torch.equal(data.validation.inputs, data.train.inputs[:5])


def test_the_share_that_is_held_out(tmp_path: Path) -> None:
    """Without validation arrays, the stated share is held out and no sample is in both."""
    x = np.arange(20, dtype=np.float32).reshape(20, 1)
    dataset, places = _files(tmp_path, x_train=x, y_train=x[:, 0])
    data = load_data(workload(dataset=dataset, task="regression"), places)
    assert len(data.validation) == 5
    assert sorted(
        torch.cat([data.train.inputs, data.validation.inputs]).flatten().tolist()
    ) == list(range(20))


def test_byte_tokens_from_safetensors(tmp_path: Path) -> None:
    """uint8 tokens become int64 ids, and the vocabulary is the highest id plus one."""
    tokens = np.tile(np.arange(10, dtype=np.uint8), (6, 1))
    save_file({"x_train": tokens, "x_val": tokens + 1}, tmp_path / "tokens.safetensors")
    dataset = {"kind": "files", "format": "safetensors", "path": "tokens.safetensors"}
    places = Places(artifacts=tmp_path, file_roots=(tmp_path,))
    data = load_data(workload("transformer", dataset, task="causal_lm"), places)
    assert data.train.inputs.dtype == torch.int64
    assert (data.output_size, data.tokens_per_sample, data.train.targets) == (11, 10, None)


def test_byte_images_are_scaled(tmp_path: Path) -> None:
    """uint8 arrays with image axes are divided by 255."""
    x = np.full((8, 1, 2, 2), 255, dtype=np.uint8)
    dataset, places = _files(tmp_path, x_train=x, y_train=np.arange(8) % 2)
    assert float(load_data(workload(dataset=dataset), places).train.inputs.max()) == 1.0


def test_samples_that_are_padding_alone_are_left_out(tmp_path: Path) -> None:
    """A sample without a token to predict would leave a batch with nothing to count."""
    tokens = np.tile(np.arange(6), (8, 1))
    tokens[3] = -1
    tokens[4, 1:] = -1
    dataset, places = _files(tmp_path, x_train=tokens)
    data = load_data(workload("transformer", dataset, task="causal_lm"), places)
    assert len(data.train) + len(data.validation) == 6


def test_data_move_to_a_device() -> None:
    """`to` moves every tensor and keeps the rest."""
    data = load_data(workload(dataset=TOKENS), NOWHERE)
    moved = data.to(torch.device("meta"))
    assert moved.train.inputs.is_meta
    assert moved.validation.targets is not None
    assert moved.validation.targets.is_meta
    assert moved.digest == data.digest
    assert moved.synthetic


X = np.ones((8, 2), dtype=np.float32)
Y = np.arange(8) % 2


@pytest.mark.parametrize(
    ("arrays", "task", "code"),
    [
        (
            {"x_train": np.where(np.eye(8, 2) > 0, np.nan, X), "y_train": Y},
            "classification",
            "data_not_finite",
        ),
        ({"x_train": X, "y_train": np.full(8, np.inf)}, "regression", "data_not_finite"),
        ({"x_train": np.full((8, 2), 1e300), "y_train": Y}, "classification", "data_not_finite"),
        ({"x_train": X, "y_train": Y - 1}, "classification", "labels_out_of_range"),
        ({"x_train": X, "y_train": Y + 2**40}, "classification", "labels_out_of_range"),
        (
            {"x_train": X, "y_train": Y, "x_val": X, "y_val": Y + 1},
            "classification",
            "labels_out_of_range",
        ),
        ({"x_train": np.full((8, 4), 2**40)}, "causal_lm", "labels_out_of_range"),
        ({"x_train": np.full((8, 4), -1)}, "causal_lm", "labels_out_of_range"),
        ({"x_train": np.tile([3, -1, 3, -1], (8, 1))}, "causal_lm", "too_few_samples"),
        ({"x_train": X[:1], "y_train": Y[:1]}, "classification", "too_few_samples"),
        ({"x_train": X[:0], "y_train": Y[:0]}, "classification", "too_few_samples"),
        ({"x_train": X}, "classification", "missing_array"),
        ({"x_train": X, "y_train": Y, "x_val": X}, "classification", "missing_array"),
        ({"x_train": X, "y_train": Y[:7]}, "classification", "shape_mismatch"),
        ({"x_train": X, "y_train": Y.astype(float)}, "classification", "shape_mismatch"),
        ({"x_train": X}, "causal_lm", "shape_mismatch"),
    ],
)
def test_bad_data_is_refused(
    tmp_path: Path, arrays: dict[str, np.ndarray], task: str, code: str
) -> None:
    """Each kind of bad data has its code, and the problem points into the data set."""
    dataset, places = _files(tmp_path, **arrays)
    with pytest.raises(InvalidWorkload) as caught:
        load_data(workload(dataset=dataset, task=task), places)
    assert caught.value.problem_code == code
    assert str(caught.value.pointer).startswith("/dataset")
