"""Own code runs only where it is allowed, and what it raises is its own problem."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tuner.workloads.samples import DIGITS, data_of, workload
from tuner.entrypoints import check_code_root, check_entrypoint, load_function
from tuner.errors import InvalidWorkload
from tuner.places import Places
from tuner.workloads.build import build_model
from tuner.workloads.data import load_data
from tuner.workloads.digests import code_digest

SOURCE = """
import numpy as np
import torch

def build(width=4, output_size=None, input_shape=None):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(input_shape[0], output_size))

def plain(**kwargs):
    return torch.nn.Linear(kwargs["inputs"], 3)

def broken():
    raise RuntimeError("no such luck")

def nothing():
    return None

def frozen():
    return torch.nn.Flatten()

def data(samples=12):
    return {"x_train": np.random.rand(samples, 4), "y_train": np.arange(samples) % 3}

def lists():
    return {"x_train": [[1.0]], "y_train": [0]}

def incomplete():
    return {"x_val": np.zeros((2, 2))}
"""


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    """A code root with a package `lab_code`, forgotten again afterwards."""
    package = tmp_path / "code" / "lab_code"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "parts.py").write_text(SOURCE)
    (package / "typo.py").write_text("import module_that_is_not_there")
    (package / "fails.py").write_text("1 / 0")
    path = list(sys.path)
    yield Places(artifacts=tmp_path, code_root=tmp_path / "code", entrypoint_prefixes=("lab_code",))
    sys.path[:] = path
    for name in [name for name in sys.modules if name.partition(".")[0] == "lab_code"]:
        del sys.modules[name]


def _model(function: str, **kwargs: Any) -> dict[str, Any]:
    return {"kind": "entrypoint", "target": f"lab_code.parts:{function}", "kwargs": kwargs}


DATA = data_of(torch.rand(6, 4), torch.arange(6) % 3, 3)


def test_a_model_gets_the_sizes_that_it_declares(places: Places) -> None:
    """`input_shape` and `output_size` are filled in; the code root is last on the path."""
    model = build_model(workload(_model("build")), DATA, seed=0, places=places)
    assert model(DATA.train.inputs).shape == (6, 3)
    assert places.code_root is not None
    assert sys.path[-1] == str(places.code_root.resolve())
    plain = build_model(workload(_model("plain", inputs=4)), DATA, seed=0, places=places)
    assert plain(DATA.train.inputs).shape == (6, 3)


def test_data_of_own_code_follow_from_the_data_seed(places: Places) -> None:
    """Global random numbers inside of the function repeat with the seed."""
    digests = [
        load_data(workload(dataset=_model("data", samples=9), data_seed=seed), places).digest
        for seed in (1, 1, 2)
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("lab_code.parts:missing", "entrypoint_not_found"),
        ("lab_code.absent:build", "entrypoint_not_found"),
        ("lab_code.typo:build", "model_failed"),
        ("lab_code.fails:build", "model_failed"),
        ("lab_codes.parts:build", "entrypoint_not_allowed"),
        ("os:system", "entrypoint_not_allowed"),
        ("tuner.parts:build", "entrypoint_not_allowed"),
        ("lab_code.parts:broken", "model_failed"),
        ("lab_code.parts:nothing", "model_failed"),
    ],
)
def test_models_that_cannot_be_built(places: Places, target: str, code: str) -> None:
    """Not allowed, not found and failed are three different problems at one pointer."""
    model = {"kind": "entrypoint", "target": target, "kwargs": {}}
    with pytest.raises(InvalidWorkload) as caught:
        build_model(workload(model), DATA, seed=0, places=places)
    assert caught.value.problem_code == code
    assert caught.value.pointer == "/model/target"


def test_the_traceback_of_own_code_is_kept(places: Places) -> None:
    """The problem shows the line of the user's file that raised."""
    with pytest.raises(InvalidWorkload) as caught:
        build_model(workload(_model("broken")), DATA, seed=0, places=places)
    traceback = str(caught.value.problem.traceback)
    assert "parts.py" in traceback
    assert "no such luck" in traceback


def test_a_model_without_weights_is_refused(places: Places) -> None:
    """There is nothing to train."""
    with pytest.raises(InvalidWorkload, match="no parameter"):
        build_model(workload(_model("frozen")), DATA, seed=0, places=places)


@pytest.mark.parametrize(
    ("function", "code"),
    [
        ("broken", "data_failed"),
        ("nothing", "missing_array"),
        ("incomplete", "missing_array"),
        ("lists", "shape_mismatch"),
    ],
)
def test_data_that_cannot_be_used(places: Places, function: str, code: str) -> None:
    """What a data function may return is checked before it is used."""
    with pytest.raises(InvalidWorkload) as caught:
        load_data(workload(dataset=_model(function)), places)
    assert caught.value.problem_code == code
    assert caught.value.pointer == "/dataset/target"


def test_prefixes_match_whole_components() -> None:
    """`lab.models` allows itself and what is below, and no name that only begins with it."""
    for target in ("lab.models:f", "lab.models.deep:f"):
        check_entrypoint(target, ("other", "lab.models"), pointer="/model/target")
    for target in ("lab:f", "lab.models2:f", "labs.models:f"):
        with pytest.raises(InvalidWorkload):
            check_entrypoint(target, ("lab.models",), pointer="/model/target")
    with pytest.raises(InvalidWorkload):
        check_entrypoint("lab:f", (), pointer="/model/target")


@pytest.mark.parametrize("name", ["service", "workers", "tuner", "batchscout"])
def test_packages_by_our_own_names_are_refused(places: Places, name: str) -> None:
    """A code root that holds one is refused with its name, as a package or as one file."""
    assert places.code_root is not None
    (places.code_root / f"{name}.py").write_text("")
    with pytest.raises(InvalidWorkload, match=f"a package '{name}'"):
        load_function("lab_code.parts:build", places, pointer="/model/target")
    (places.code_root / f"{name}.py").unlink()
    (places.code_root / name).mkdir()
    (places.code_root / name / "__init__.py").write_text("")
    with pytest.raises(InvalidWorkload, match="Rename yours"):
        check_code_root(places.code_root, pointer="/model/target")


def test_own_code_cannot_hide_an_installed_module(places: Places) -> None:
    """The code root comes last: a module there by the name of another is not imported."""
    assert places.code_root is not None
    (places.code_root / "colorsys.py").write_text("def build(): raise SystemExit")
    allowed = Places(
        artifacts=places.artifacts, code_root=places.code_root, entrypoint_prefixes=("colorsys",)
    )
    with pytest.raises(InvalidWorkload) as caught:
        load_function("colorsys:build", allowed, pointer="/model/target")
    assert caught.value.problem_code == "entrypoint_not_found"


def test_the_code_digest_follows_the_sources(places: Places) -> None:
    """A changed line in any file of the package changes the digest; nothing else does."""
    assert places.code_root is not None
    made = workload(_model("build"), DIGITS)
    first = code_digest(made, places)
    assert code_digest(made, places) == first
    (places.code_root / "notes.txt").write_text("beside the package")
    assert code_digest(made, places) == first
    (places.code_root / "lab_code" / "other.py").write_text("x = 1")
    assert code_digest(made, places) != first


def test_own_models_without_checkpoints_refuse_the_option(places: Places) -> None:
    """Nothing is wrapped behind the back of own code: the option needs its method."""
    made = workload(_model("build"), activation_checkpointing=True)
    with pytest.raises(InvalidWorkload) as caught:
        build_model(made, DATA, seed=0, places=places)
    assert caught.value.pointer == "/training/activation_checkpointing"
