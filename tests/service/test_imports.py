"""What the API process must not load."""

import subprocess
import sys

HEAVY = {
    "torch",
    "transformers",
    "optuna",
    "scipy",
    "sklearn",
    "numpy",
    "safetensors",
    "alembic",
    "tuner.tuning",
}


def loaded(module: str) -> set[str]:
    """Which of the heavy modules a fresh process has after an import."""
    code = f"import sys, {module}; print(*({HEAVY!r} & sys.modules.keys()))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_the_api_is_light() -> None:
    """Neither torch nor Optuna nor SciPy, and Alembic only while it migrates."""
    assert loaded("service.app") == set()


def test_the_supervisor_is_light() -> None:
    """It holds two processes, and does none of their work."""
    assert loaded("service.supervise") == set()


def test_the_controller_decides_without_torch() -> None:
    """It loads what decides, never what measures."""
    code = "service.controller, tuner.tuning, workers.executors.local"
    assert not loaded(code) & {"torch", "transformers", "safetensors"}
