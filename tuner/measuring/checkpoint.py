"""Checkpoints of training runs: files named by what they are a checkpoint of."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import torch

from tuner.measuring.random_state import random_state, restore_random_state
from tuner.measuring.step import TrainingStep
from tuner.records import CurvePoint, NoiseWindow, TrainingRun

FORMAT: Final = 1
"""Raised whenever a file could no longer be read by the code before it."""

NAME: Final = re.compile(r"[0-9a-f]{64}\.pt")
"""What a checkpoint may be called: never a path."""


@dataclass(slots=True, kw_only=True)
class Progress:
    """How far a run has come.

    Args:
        step: Optimizer steps taken.
        initial_loss: Validation loss before the first one; None until it is measured.
        curve: Evaluations at the run's cadence.
        noise: Split steps.
    """

    step: int = 0
    initial_loss: float | None = None
    curve: list[CurvePoint] = field(default_factory=list)
    noise: list[NoiseWindow] = field(default_factory=list)


def checkpoint_name(request: TrainingRun, step: int) -> str:
    """Name the state of a run after some steps.

    Args:
        request: The run; its limits and its target do not enter the name.
        step: Optimizer steps taken.

    Returns:
        SHA-256 of workload, plan, rate, seed and step, with the ending `.pt`.
    """
    return _digest({**_identity(request), "step": step})


def rescue_name(request: TrainingRun) -> str:
    """Name the file that a run keeps while it goes on, so that a second attempt finds it."""
    limits = {"max_steps": request.max_steps, "every": request.evaluate_every_steps}
    windows = [request.measure.noise_windows, request.measure.noise_splits]
    return _digest({**_identity(request), "id": request.id, **limits, "noise": windows})


def save(path: Path, request: TrainingRun, step: TrainingStep, progress: Progress) -> None:
    """Write a checkpoint: all of it or nothing.

    Args:
        path: Where to; its folder is made.
        request: The run.
        step: Model and optimizer.
        progress: How far it has come.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "format": FORMAT,
        "identity": _digest(_identity(request)),
        "model": step.model.state_dict(),
        "optimizer": step.optimizer.state_dict(),
        "random": random_state(step.bench.device),
        "step": progress.step,
        "initial_loss": progress.initial_loss,
        "curve": [(point.step, point.value) for point in progress.curve],
        "noise": [_values(window) for window in progress.noise],
    }
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(content, file)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load(path: Path, request: TrainingRun, step: TrainingStep) -> Progress | None:
    """Put a run back where a checkpoint left it.

    Args:
        path: Where the checkpoint may lie.
        request: The run that wants to go on.
        step: Model and optimizer, fresh; written to only if the checkpoint is whole, of this
            very run, and not beyond its last step.

    Returns:
        How far it had come, or None if there is nothing to go on from.
    """
    try:
        if not _is_whole(path):
            return None
        content = torch.load(path, map_location="cpu", weights_only=True)
        usable = content["format"] == FORMAT and content["identity"] == _digest(_identity(request))
        if not usable or content["step"] > request.max_steps:
            return None
        progress = Progress(
            step=content["step"],
            initial_loss=content["initial_loss"],
            curve=[CurvePoint(step=at, value=value) for at, value in content["curve"]],
            noise=[NoiseWindow(**window) for window in content["noise"]],
        )
        weights, optimizer, random = content["model"], content["optimizer"], content["random"]
    except Exception:  # noqa: BLE001 - whatever a missing or damaged file raises: start anew
        return None
    step.model.load_state_dict(weights)
    step.optimizer.load_state_dict(optimizer)
    restore_random_state(random, step.bench.device)
    return progress


def _is_whole(path: Path) -> bool:
    """Check the sums that the file carries: torch itself reads past a flipped bit."""
    with zipfile.ZipFile(path) as archive:
        return archive.testzip() is None


def _identity(request: TrainingRun) -> dict[str, Any]:
    return {
        "workload": _values(request.workload),
        "plan": _values(request.plan),
        "learning_rate": request.learning_rate,
        "seed": request.seed,
    }


def _values(record: Any) -> dict[str, Any]:
    return {part.name: getattr(record, part.name) for part in fields(record)}


def _digest(identity: Mapping[str, Any]) -> str:
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(text.encode()).hexdigest() + ".pt"
