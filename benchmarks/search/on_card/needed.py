"""What has to be installed beside torch and NumPy, and how to get it."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Final

REQUIRED: Final = {
    "pydantic": "pydantic>=2.14",
    "optuna": "optuna>=5.0",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "transformers": "transformers>=5.5",
}
"""From a module to what pip is to be asked for; nothing runs without these."""

OPTIONAL: Final = {"lightning": "lightning>=2.6,<2.7"}
"""A peer that is left out where it is missing."""

SLOW: Final = frozenset({"transformers", "lightning", "sklearn", "scipy"})
"""These are only looked for: loading them takes seconds. The others may lack what they need."""


def missing(modules: Sequence[str]) -> list[str]:
    """Return the modules that are not there, or lack something that they need themselves."""
    return [name for name in modules if not _is_there(name)]


def way_out(names: Sequence[str]) -> str:
    """Say in one line how to get what is missing into a folder that is put on the path."""
    wanted = {**REQUIRED, **OPTIONAL}
    packages = " ".join(f"'{wanted[name]}'" for name in names)
    return f"python -m pip install --target FOLDER {packages} && export PYTHONPATH=FOLDER"


def _is_there(name: str) -> bool:
    if name in SLOW:
        return importlib.util.find_spec(name) is not None
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True
