"""The examples are valid requests whose data and models build."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tuner.measuring.inspect import inspect
from tuner.places import Places
from tuner.records import Inspect, Inspection, Workload
from tuner.spec import TuningSpec

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(autouse=True)
def _import_path() -> Iterator[None]:
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name.partition(".")[0] == "own_model"]:
        del sys.modules[name]


def _inspected(name: str, places: Places) -> tuple[TuningSpec, Inspection]:
    spec = TuningSpec.model_validate_json((EXAMPLES / name).read_text(encoding="utf-8"))
    plain = spec.model_dump(mode="json")
    workload = Workload(
        model=plain["model"],
        dataset=plain["dataset"],
        training=plain["training"],
        metric=spec.objective.metric,
        accelerator="cpu",
        data_seed=spec.seed,
    )
    return spec, inspect(Inspect(id="inspect", workload=workload), places)


@pytest.mark.parametrize("name", ["digits-cnn.json", "diabetes-mlp.json"])
def test_bundled_data(name: str, tmp_path: Path) -> None:
    """The target lies below the loss of a fresh model: there is something to learn."""
    spec, seen = _inspected(name, Places(artifacts=tmp_path))
    assert spec.objective.kind == "time_to_target"
    assert spec.objective.target is not None
    assert 0.0 < spec.objective.target < seen.initial_loss


def test_own_model(tmp_path: Path) -> None:
    """The package of the example builds through its entry points."""
    places = Places(
        artifacts=tmp_path,
        code_root=EXAMPLES / "own-model",
        entrypoint_prefixes=("own_model",),
    )
    _, seen = _inspected("own-model/spec.json", places)
    assert (seen.input_shape, seen.output_size, seen.num_train) == ((2,), 4, 3200)


def test_bytes_are_prepared_the_same_every_time(tmp_path: Path) -> None:
    """The script writes about 2 MB twice alike, and the small GPT-2 reads them."""
    files = []
    for folder in ("one", "two"):
        command = [sys.executable, str(EXAMPLES / "prepare_bytes.py"), str(tmp_path / folder)]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        files.append((tmp_path / folder / "bytes.safetensors").read_bytes())
    assert files[0] == files[1]
    assert len(files[0]) == pytest.approx(2_000_000, rel=0.1)
    _, seen = _inspected(
        "bytes-gpt2.json", Places(artifacts=tmp_path, file_roots=(tmp_path / "one",))
    )
    assert 300_000 <= seen.parameter_count <= 500_000
    assert 100 < seen.output_size <= 256
    assert seen.tokens_per_sample == 64
