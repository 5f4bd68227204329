"""The file that a study's run keeps while it goes on, so that a second attempt finds it."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from tuner.measuring.random_state import random_state, restore_random_state
from tuner.measuring.step import TrainingStep
from tuner.measuring.study.travel import Travel
from tuner.records import EpochPoint, StudyRun

FORMAT: Final = 1
"""Raised whenever a file could no longer be read by the code before it."""

LIMITS: Final = frozenset({"deadline_seconds", "device_kind", "keep_minimiser"})
"""What a run may be asked for differently and still be the same run."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a run has come.

    Args:
        step: Optimizer steps taken.
        points: One an epoch.
        minimum: Index of the lowest validation loss among them; None before a finite one.
        weights: Weights and buffers there, on the host.
    """

    step: int = 0
    points: list[EpochPoint] = field(default_factory=list)
    minimum: int | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)


def attempt_name(request: StudyRun) -> str:
    """Name the file of a run: SHA-256 of all that says where it goes."""
    parts = {f.name: getattr(request, f.name) for f in fields(request) if f.name not in LIMITS}
    plain = {**parts, "workload": asdict(request.workload)}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(text.encode()).hexdigest() + ".attempt"


def save(
    folder: Path, request: StudyRun, step: TrainingStep, travel: Travel, progress: Progress
) -> None:
    """Write all of a run's state, or nothing.

    Args:
        folder: Where to; made on demand.
        request: The run.
        step: Model and optimizer.
        travel: What the epoch has done so far.
        progress: How far the run has come.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = attempt_name(request)
    content = {
        "format": FORMAT,
        "name": name,
        "model": step.model.state_dict(),
        "optimizer": step.optimizer.state_dict(),
        "random": random_state(step.bench.device),
        "travel": travel.state(),
        "step": progress.step,
        "points": [asdict(point) for point in progress.points],
        "minimum": progress.minimum,
        "weights": progress.weights,
    }
    handle, written = tempfile.mkstemp(dir=folder, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(content, file)
        Path(written).replace(folder / name)
    except BaseException:
        Path(written).unlink(missing_ok=True)
        raise


def load(folder: Path, request: StudyRun, step: TrainingStep, travel: Travel) -> Progress | None:
    """Put a run back where an earlier attempt left it.

    Args:
        folder: Where its file may lie.
        request: The run that wants to go on.
        step: Model and optimizer, fresh; written to only if the file is whole and of this run.
        travel: Fresh, with the initial weights; written to as `step`.

    Returns:
        How far it had come, or None if there is nothing to go on from.
    """
    found = _read(folder / attempt_name(request))
    if found is None:
        return None
    content, progress = found
    step.model.load_state_dict(content["model"])
    step.optimizer.load_state_dict(content["optimizer"])
    travel.load_state(content["travel"])
    restore_random_state(content["random"], step.bench.device)
    return progress


def _read(path: Path) -> tuple[Mapping[str, Any], Progress] | None:
    try:
        with zipfile.ZipFile(path) as archive:
            # The file carries its own sums, but torch itself reads past a flipped bit.
            if archive.testzip() is not None:
                return None
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        if content["format"] != FORMAT or content["name"] != path.name:
            return None
        progress = Progress(
            step=content["step"],
            points=[EpochPoint(**point) for point in content["points"]],
            minimum=content["minimum"],
            weights=content["weights"],
        )
    except Exception:  # noqa: BLE001 - whatever a missing or damaged file raises: start anew
        return None
    else:
        return content, progress
