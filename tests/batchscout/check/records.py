"""Answers, locks and configurations, made by hand for the tests of the check."""

import json
from pathlib import Path
from typing import Any

from batchscout.check.configuration import (
    Configuration,
    Obstacle,
    Place,
    Role,
    Setting,
    Untellable,
)
from batchscout.check.digest import digest
from batchscout.check.lock import Lock, make_lock
from batchscout.check.measured import Measured
from tests.batchscout.documents import RECOMMENDATION

SPEC: dict[str, Any] = {"model": {"kind": "builtin"}, "seed": 1}

MEMORY_LIMIT_BYTES = 10_000


def point(size: int, measured: int | None, *, predicted: int | None = None) -> dict[str, Any]:
    """A size that was run and fitted, or was predicted alone."""
    return {
        "micro_batch_size": size,
        "predicted_bytes": predicted,
        "measured_bytes": measured,
        "out_of_memory": None if measured is None else False,
    }


def refused(size: int) -> dict[str, Any]:
    """A size that ran out of memory."""
    return point(size, None) | {"out_of_memory": True}


ANSWER: dict[str, Any] = RECOMMENDATION | {
    "micro_batch_size": 8,
    "gradient_accumulation_steps": 3,
    "data_parallel_size": 1,
    "global_batch_size": 24,
    "learning_rate": 0.03,
    "learning_rate_range": {"low": 0.02, "high": 0.05},
    "max_micro_batch_size": 16,
    "memory_limit_bytes": MEMORY_LIMIT_BYTES,
    "memory_curve": [point(8, 5_000), point(16, 8_000)],
    "time_model": {
        "steps_minimum": 100.0,
        "critical_batch_size": 24.0,
        "step_seconds": {"fixed": 0.24, "per_sample": 0.01},
    },
    "spec_digest": digest(SPEC),
}
"""8 x 3 = 24 at 0.03; 16 fits, beyond it 375 bytes per sample; T(24) = 96 s."""


def answer(**changes: Any) -> dict[str, Any]:
    """The answer, with other fields."""
    return ANSWER | changes


def measured(**changes: Any) -> Measured:
    """What the answer says, with other fields."""
    return Measured.read(answer(**changes))


def lock(**changes: Any) -> Lock:
    """The lock of the answer, with other fields of the answer."""
    return make_lock(
        SPEC,
        answer(**changes),
        spec_path="spec.json",
        job_id="tj_1",
        locked_at="2026-01-02T03:04:05Z",
        batchscout_version="0.1.0",
    )


def write_lock(folder: Path, *, spec: Any = SPEC, **changes: Any) -> Path:
    """Write the lock and its spec into a folder."""
    (folder / "spec.json").write_text(json.dumps(spec))
    file = folder / "batchscout.lock.json"
    file.write_text(lock(**changes).text())
    return file


def configuration(
    *,
    framework: str = "generic",
    fixed: tuple[Role, ...] = (),
    obstacles: dict[Role, Obstacle] | None = None,
    **values: float,
) -> Configuration:
    """A config that tells these values; those of `fixed` are defaults without a place."""
    settings = {}
    for line, (name, value) in enumerate(values.items(), start=1):
        role = Role(name)
        place = Place(key=f"train.{name}", line=line, column=3, start=10 * line, end=10 * line + 1)
        settings[role] = Setting(
            role=role,
            value=value,
            place=None if role in fixed else place,
            origin="a default" if role in fixed else "the file",
        )
    return Configuration(
        file="train.yaml",
        framework=framework,
        text="",
        settings=settings,
        untellable={
            role: Untellable(role=role, obstacle=one, detail=f"{role} is {one}.", place=None)
            for role, one in (obstacles or {}).items()
        },
    )
