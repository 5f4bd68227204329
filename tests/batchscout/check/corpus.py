"""The configs that people could have written, and what each of them says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from batchscout.check.configuration import Configuration, Role
from batchscout.check.reading import read_configuration

CONFIGS = Path(__file__).parent / "configs"
EXPECTED: dict[str, dict[str, Any]] = json.loads((CONFIGS / "expected.json").read_text("utf-8"))
READABLE = [name for name, expected in EXPECTED.items() if "framework" in expected]
UNREADABLE = [name for name, expected in EXPECTED.items() if "unreadable" in expected]
WANTED = {
    Role.MICRO_BATCH_SIZE: 7,
    Role.GRADIENT_ACCUMULATION_STEPS: 11,
    Role.DATA_PARALLEL_SIZE: 13,
    Role.GLOBAL_BATCH_SIZE: 1001,
    Role.LEARNING_RATE: 1e-5,
}
"""Values that no file of the corpus has; the rate is one that is easily written wrongly."""


def read(name: str) -> Configuration:
    """Read a file of the corpus by the usual names."""
    return read_configuration(CONFIGS / name, mapping={})


def told(configuration: Configuration) -> dict[str, Any]:
    """What a configuration says, in the form of the table."""
    found: dict[str, Any] = {"framework": configuration.framework}
    for role, setting in configuration.settings.items():
        place = setting.place
        found[role] = {"value": setting.value}
        if place is None:
            found[role]["origin"] = setting.origin
            continue
        written = configuration.text[place.start : place.end]
        found[role] |= {"key": place.key, "line": place.line, "column": place.column}
        found[role]["written"] = written
        if setting.unpatchable:
            found[role]["unpatchable"] = setting.unpatchable
    for role, untold in configuration.untellable.items():
        assert untold.place is not None
        found[role] = {"obstacle": untold.obstacle, "line": untold.place.line}
    return found
