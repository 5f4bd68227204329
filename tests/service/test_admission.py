"""What is refused before anything is queued, and with which words."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import datasets

from service.admission import SKLEARN_SIZES, admit
from service.problems import KINDS
from service.settings import Settings
from tuner.errors import InvalidWorkload
from tuner.spec import SKLEARN_TASK

GOOD: dict[str, Any] = {
    "model": {"kind": "builtin", "name": "mlp"},
    "dataset": {"kind": "sklearn", "name": "digits"},
    "training": {"task": "classification"},
}
CPU = frozenset({"cpu"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file root with one good file, and a secret beside it."""
    root = tmp_path / "root"
    root.mkdir()
    x, y = np.zeros((200, 4), "float32"), np.zeros(200, "int64")
    np.savez(root / "good.npz", x_train=x, y_train=y)
    np.savez(root / "split.npz", x_train=x, y_train=y, x_val=x[:20], y_val=y[:20])
    np.savez(root / "short.npz", x_train=x, y_train=y[:-1])
    np.savez(root / "bare.npz", x_train=x)
    (root / "text.npz").write_text("no archive")
    np.savez(tmp_path / "secret.npz", x_train=x, y_train=y)
    (root / "link.npz").symlink_to(tmp_path / "secret.npz")
    return root


def refusal(parts: dict[str, Any], settings: Settings) -> InvalidWorkload:
    """The error with which a request is refused."""
    with pytest.raises(InvalidWorkload) as caught:
        admit({**GOOD, **parts}, settings=settings, accelerators=CPU)
    assert KINDS[caught.value.problem_code].status == 422
    return caught.value


def of_file(path: str) -> dict[str, Any]:
    """A data set in a file."""
    return {"dataset": {"kind": "files", "format": "npz", "path": path}}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("../secret.npz", "path_outside_root"),
        ("/etc/passwd", "path_outside_root"),
        ("link.npz", "path_outside_root"),
        ("absent.npz", "file_not_found"),
        (".", "unreadable_file"),
        ("text.npz", "unreadable_file"),
        ("bare.npz", "missing_array"),
        ("short.npz", "shape_mismatch"),
    ],
)
def test_a_file_is_looked_at_before_it_is_queued(root: Path, path: str, code: str) -> None:
    """Paths that lead outside and headers that do not fit are refused at the path."""
    error = refusal(of_file(path), Settings(file_roots=(root,)))
    assert (error.problem_code, error.pointer) == (code, "/dataset/path")


def test_without_a_root_no_file_is_read(root: Path) -> None:
    """Files are off until the operator names a folder."""
    assert refusal(of_file("good.npz"), Settings()).problem_code == "path_outside_root"


@pytest.mark.parametrize(
    ("model", "pointer", "code"),
    [
        ({"model_type": "no_such"}, "/model/model_type", "model_not_accepted"),
        (
            {"model_type": "gpt2", "config": {"auto_map": {}}},
            "/model/config/auto_map",
            "config_key_refused",
        ),
        (
            {"model_type": "gpt2", "config": {"attn_implementation": "evil/kernels"}},
            "/model/config/attn_implementation",
            "config_key_refused",
        ),
    ],
)
def test_an_architecture_is_checked_before_it_is_queued(
    model: dict[str, Any], pointer: str, code: str
) -> None:
    """Architectures off the list and keys that could load code are refused where they stand."""
    parts = {"model": {"kind": "hf_config", **model}, "training": {"task": "causal_lm"}}
    parts["dataset"] = {
        "kind": "synthetic",
        "inputs": {"shape": [16], "dtype": "int64", "high": 9},
        "num_samples": 1000,
    }
    error = refusal(parts, Settings())
    assert (error.problem_code, error.pointer) == (code, pointer)


@pytest.mark.parametrize("part", ["model", "dataset"])
@pytest.mark.parametrize("target", ["os:system", "labs.models:make", "tuner.spec:digest"])
def test_own_code_needs_the_operators_leave(part: str, target: str) -> None:
    """An entry point outside of the allowed prefixes is refused."""
    settings = Settings(entrypoint_prefixes=("lab", "tuner"))
    error = refusal({part: {"kind": "entrypoint", "target": target}}, settings)
    assert (error.problem_code, error.pointer) == ("entrypoint_not_allowed", f"/{part}/target")


def test_a_code_root_must_not_hide_our_packages(tmp_path: Path) -> None:
    """A code root with a package of our name is refused with a clear message."""
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "__init__.py").touch()
    settings = Settings(entrypoint_prefixes=("lab",), code_root=tmp_path)
    error = refusal({"model": {"kind": "entrypoint", "target": "lab:make"}}, settings)
    assert "Rename yours" in error.detail


def test_allowed_code_is_admitted(tmp_path: Path) -> None:
    """What the operator allowed passes, and is not imported here."""
    settings = Settings(entrypoint_prefixes=("lab",), code_root=tmp_path)
    body = {**GOOD, "model": {"kind": "entrypoint", "target": "lab.absent:make"}}
    assert admit(body, settings=settings, accelerators=CPU).model.kind == "entrypoint"


@pytest.mark.parametrize(
    ("dataset", "cap"),
    [
        ({"kind": "sklearn", "name": "digits"}, 143),
        ({"kind": "sklearn", "name": "digits", "validation_fraction": 0.5}, 89),
        ({"kind": "synthetic", "inputs": {"shape": [4]}, "num_samples": 1000}, 80),
        ({"kind": "files", "format": "npz", "path": "good.npz"}, 16),
        ({"kind": "files", "format": "npz", "path": "split.npz"}, 20),
    ],
)
def test_the_smallest_batch_must_not_be_above_the_data_cap(
    root: Path, dataset: dict[str, Any], cap: int
) -> None:
    """`low` may be a tenth of the training samples, and not one more."""
    settings = Settings(file_roots=(root,))
    space = {"global_batch_size": {"low": cap + 1, "high": 512}}
    error = refusal({"dataset": dataset, "search_space": space}, settings)
    assert error.problem_code == "batch_above_data_cap"
    assert error.pointer == "/search_space/global_batch_size/low"
    space = {"global_batch_size": {"low": cap, "high": 512}}
    body = {**GOOD, "dataset": dataset, "search_space": space}
    assert admit(body, settings=settings, accelerators=CPU)


def test_an_accelerator_must_be_there() -> None:
    """A job for a card is refused where the executor has none."""
    error = refusal({"hardware": {"accelerator": "cuda"}}, Settings())
    assert (error.problem_code, error.pointer) == (
        "accelerator_unavailable",
        "/hardware/accelerator",
    )


@pytest.mark.parametrize("known", [frozenset(), frozenset({"cpu", "cuda"})])
def test_an_accelerator_that_may_be_there_is_admitted(known: frozenset[str]) -> None:
    """As long as nobody knows the devices, the controller decides."""
    body = {**GOOD, "hardware": {"accelerator": "cuda"}}
    assert admit(body, settings=Settings(), accelerators=known)


@pytest.mark.parametrize("name", sorted(SKLEARN_SIZES))
def test_the_sizes_are_those_of_scikit_learn(name: str) -> None:
    """The table says how many samples each data set has."""
    data, _ = getattr(datasets, f"load_{name}")(return_X_y=True)
    assert len(data) == SKLEARN_SIZES[name]


def test_every_data_set_has_a_size() -> None:
    """The table covers every name that a request can use."""
    assert SKLEARN_SIZES.keys() == SKLEARN_TASK.keys()
