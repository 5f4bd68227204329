"""The walls between the packages hold, statically and in a fresh process."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


def loaded_by(module: str) -> set[str]:
    """Names of the top-level packages that a fresh process has loaded after an import."""
    question = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    child = subprocess.run(
        [sys.executable, "-c", question],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(child.stdout.split())


def test_no_import_goes_back() -> None:
    """Every import contract of pyproject.toml is kept."""
    linter = Path(sys.executable).parent / "lint-imports"
    run = subprocess.run([str(linter)], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


HEAVY = {"torch", "transformers", "optuna", "scipy", "numpy", "sqlalchemy"}
SERVER = {"fastapi", "starlette", "uvicorn", "pydantic", "service", "workers", "tuner"}


@pytest.mark.parametrize(
    "module",
    [
        "batchscout.client",
        "batchscout.answer",
        "batchscout.checkup",
        "batchscout.commands.ask",
        "batchscout.__main__",
        "batchscout.commands.operate",
    ],
)
def test_the_client_half_is_light(module: str) -> None:
    """Whoever only asks loads neither the service nor anything that it needs."""
    assert not loaded_by(module) & (HEAVY | SERVER)


def test_a_check_loads_the_standard_library_alone() -> None:
    """Without a YAML file and without a service nothing is loaded that could be missing."""
    loaded = loaded_by("batchscout.check.command")
    assert not loaded & (HEAVY | SERVER | {"httpx", "rich", "yaml"})


@pytest.mark.parametrize(
    "module",
    ["tuner.records", "tuner.curve", "tuner.errors", "tuner.places", "tuner.exports.registry"],
)
def test_the_records_need_the_standard_library_alone(module: str) -> None:
    """Requests and results can be read and written where neither torch nor pydantic is."""
    foreign = HEAVY | SERVER - {"tuner"} | {"httpx"}
    assert not loaded_by(module) & foreign


@pytest.mark.parametrize("module", ["tuner.spec", "tuner.tuning", "tuner.study", "workers.devices"])
def test_what_decides_never_loads_torch(module: str) -> None:
    """The machines and the discovery of devices work without torch in their process."""
    assert not loaded_by(module) & {"torch", "transformers"}
