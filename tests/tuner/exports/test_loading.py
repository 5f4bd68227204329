"""Each export, loaded by the library that it is for: batch and rate are the answer's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.tuner.exports.answers import ADAM, ADAMW, OPTIMIZERS, RMSPROP, SGD, answer
from tests.tuner.exports.loaders import DEVICES, LOADERS
from tuner.exports.registry import FORMATS, export
from tuner.workloads.schedules import learning_rate_at

pytestmark = pytest.mark.full

REPOSITORY = Path(__file__).resolve().parents[3]
KEPT = REPOSITORY / ".exports"
PROGRAM = Path(__file__).with_name("loaders.py")
LOADED_ELSEWHERE = {"json", "dotenv", "github", "python", "torchtitan"}
"""By readers that the quick tests have; torchtitan's source is named beside its own test."""


@pytest.fixture(scope="session")
def python() -> Path:
    """A Python that has the frameworks. Where a registry cannot be reached, the test fails."""
    install = [REPOSITORY / "scripts" / "install-exports", sys.executable, KEPT]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.fail(f"they cannot be installed:\n{(done.stdout + done.stderr)[-3000:]}")
    return KEPT / "bin" / "python"


def load(python: Path, folder: Path, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """Write an export, load it, and say what its library made of it."""
    file = folder / f"export{FORMATS[name].suffix}"
    file.write_text(export(given, name).text, encoding="utf-8")
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    done = subprocess.run(
        [str(python), str(PROGRAM), name, str(file), str(scratch)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def devices_of(name: str) -> int:
    """As many as the library can be told to have here; a `Trainer` and Hydra know of none."""
    return DEVICES if name in {"lightning", "deepspeed", "yaml"} else 1


def test_every_format_is_loaded_somewhere() -> None:
    """A new format comes with the library that reads it."""
    assert LOADERS.keys() | LOADED_ELSEWHERE == FORMATS.keys()


@pytest.mark.parametrize("rate", [0.0314, 1e-05, 2.5e-07])
@pytest.mark.parametrize("name", LOADERS)
def test_a_library_gets_the_batch_and_the_rate(
    python: Path, tmp_path: Path, name: str, rate: float
) -> None:
    """The global batch that it would train with, and the rate as the same float."""
    devices = devices_of(name)
    sizes = {"data_parallel_size": devices, "global_batch_size": 144 * devices}
    given = answer(ADAMW, learning_rate=rate, **sizes)
    found = load(python, tmp_path, name, given)
    assert found["global_batch_size"] == given["global_batch_size"]
    assert (found["learning_rate"], type(found["learning_rate"])) == (rate, float)


@pytest.mark.parametrize("name", ["lightning", "deepspeed", "hf"])
@pytest.mark.parametrize("norm", [None, 0.75])
def test_gradients_are_clipped_as_they_were(
    python: Path, tmp_path: Path, name: str, norm: float | None
) -> None:
    """A library that clips by default is told not to where the measurement did not."""
    devices = devices_of(name)
    sizes = {"data_parallel_size": devices, "global_batch_size": 144 * devices}
    found = load(python, tmp_path, name, answer(gradient_clip_norm=norm, **sizes))
    assert (found["max_grad_norm"] or None) == norm


@pytest.mark.parametrize("optimizer", [SGD, ADAM, ADAMW, RMSPROP])
def test_a_trainer_makes_the_optimizer_that_was_measured(
    python: Path, tmp_path: Path, optimizer: dict[str, Any]
) -> None:
    """Class and options, those that stand in `optim_args` too; it looks for no batch itself."""
    found = load(python, tmp_path, "hf", answer(optimizer))
    expected = {"sgd": "SGD", "adam": "AdamW", "adamw": "AdamW", "rmsprop": "RMSprop"}
    assert found["optimizer"] == expected[optimizer["kind"]]
    assert found["auto_find_batch_size"] is False
    names = {"epsilon": "eps"}
    for option, value in optimizer.items():
        if option in {"beta1", "beta2"}:
            assert found["options"]["betas"][option == "beta2"] == value
        elif option != "kind":
            assert found["options"][names.get(option, option)] == value
    assert found["rates"] == [0.0314] * 5


def test_a_trainer_follows_the_cosine_that_was_measured(python: Path, tmp_path: Path) -> None:
    """Up to half a step, since the rate of a step was taken in its middle."""
    found = load(python, tmp_path, "hf", answer(ADAMW, "cosine"))
    batch, held = 144, answer(ADAMW, "cosine")["held_fixed"]
    schedule = {"kind": "cosine", **held}
    ours = [learning_rate_at(schedule, step * batch, 0.0314) for step in (0, 5, 10, 500, 999)]
    assert found["rates"] == pytest.approx(ours, rel=1e-9)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_deepspeed_knows_the_optimizer(
    python: Path, tmp_path: Path, optimizer: dict[str, Any]
) -> None:
    """By a name that it resolves: its own in lower case, or torch's."""
    sizes = {"data_parallel_size": DEVICES, "global_batch_size": 144 * DEVICES}
    found = load(python, tmp_path, "deepspeed", answer(optimizer, **sizes))
    names = {"sgd": "SGD", "adam": "adam", "adamw": "adamw", "rmsprop": "RMSprop"}
    assert found["optimizer"] == names[optimizer["kind"]]
