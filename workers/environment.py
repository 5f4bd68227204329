"""The environment of the processes that run other people's code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

SECRET_NAME: Final = re.compile(
    r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|^BATCHSCOUT_", re.IGNORECASE
)
"""Names that are not handed on: what they hold opens doors, or configures the service."""

SECRET_VALUE: Final = re.compile(r"://[^/@\s]+:[^/@\s]+@")
"""A user and a password inside a URL, as in many a database address."""

IMPORT_NAMES: Final = frozenset({"PYTHONPATH", "PYTHONSTARTUP", "PYTHONINSPECT"})
"""Variables that would let the caller's folder decide which packages are imported."""

FIXED: Final[Mapping[str, str]] = {
    "PYTHONSAFEPATH": "1",
    "PYTHONUNBUFFERED": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    # Asking whether there is a card must not touch its driver: the keeper forks afterwards.
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}
"""What holds for every child: nothing is downloaded or reported, and output is not held back."""


DEFAULTS: Final[Mapping[str, str]] = {
    # Threads of a CPU spin while they wait for each other. As soon as another process wants a
    # core, torch's default makes small steps 40 to 100 times slower: docs/decisions/0007.
    "GOMP_SPINCOUNT": "10000",
}
"""What holds for every child whose operator has not set it."""


def scrubbed(environment: Mapping[str, str], visible_devices: str) -> dict[str, str]:
    """Take out of an environment what a measurement must not see.

    Args:
        environment: Of the process that starts the child.
        visible_devices: Value of `CUDA_VISIBLE_DEVICES`; empty hides every card.

    Returns:
        A new environment.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if not SECRET_NAME.search(name)
        and not SECRET_VALUE.search(value)
        and name not in IMPORT_NAMES
    }
    return {**DEFAULTS, **kept, **FIXED, "CUDA_VISIBLE_DEVICES": visible_devices}
