"""A small project with a spec, its lock and a config, as the example has them."""

import shutil
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLE = REPOSITORY / "examples" / "ci"

GUESSED = (EXAMPLE / "train.yaml").read_text(encoding="utf-8")
"""A config that the lock refuses."""


def make_project(folder: Path) -> Path:
    """Put spec, lock and the refused config into a folder.

    Args:
        folder: Must exist.

    Returns:
        The config.
    """
    for name in ("spec.json", "batchscout.lock.json", "train.yaml"):
        shutil.copy(EXAMPLE / name, folder / name)
    return folder / "train.yaml"


def copy_distribution(folder: Path) -> Path:
    """Copy what an installation is built from, so that nothing is built in this checkout.

    Args:
        folder: Is made.

    Returns:
        The folder.
    """
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml", "action.yml"):
        shutil.copy(REPOSITORY / name, folder / name)
    for package in ("batchscout", "service", "workers", "tuner"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / package, folder / package, ignore=ignored)
    return folder
