"""Minimisers: the weights where a run's validation loss was lowest, kept in a file."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from tuner.errors import NotAnswerable
from tuner.measuring.workbench import Workbench

NAME: Final = re.compile(r"[0-9a-f]{64}\.minimiser")
"""What a minimiser may be called: never a path."""

State = Mapping[str, Tensor]
"""All weights and buffers by name, as `state_dict` has them, on the host."""


def held(model: nn.Module) -> dict[str, Tensor]:
    """Copy a model's weights and buffers to the host."""
    return {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}


def save(folder: Path, state: State) -> str:
    """Write weights and buffers: all of them or nothing.

    Args:
        folder: Where to; made on demand.
        state: As `held` gives it.

    Returns:
        The file's name, made of the digest of its content.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle, written = tempfile.mkstemp(dir=folder, prefix=".writing-")
    path = Path(written)
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(dict(state), file)
        name = _digest(path) + ".minimiser"
        path.replace(folder / name)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return name


def load(folder: Path, name: str) -> dict[str, Tensor] | None:
    """Read weights and buffers back.

    Args:
        folder: Where they may lie.
        name: As `save` gave it.

    Returns:
        What was saved; None if there is no such file, or it is damaged.
    """
    if not NAME.fullmatch(name):
        return None
    path = folder / name
    try:
        if _digest(path) != name.partition(".")[0]:
            return None
    except OSError:
        return None
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def fetch(bench: Workbench, name: str) -> dict[str, Tensor]:
    """Read a minimiser of this job.

    Raises:
        NotAnswerable: It is not there any more.
    """
    state = load(bench.places.artifacts, name)
    if state is None:
        raise NotAnswerable(
            f"The weights {name!r} at a run's minimum are gone or damaged. Run the study again."
        )
    return state


def model_at(bench: Workbench, name: str) -> nn.Module:
    """Build the workload's model with the weights and buffers of a minimiser, on the device.

    Raises:
        NotAnswerable: The minimiser is not there any more.
        RuntimeError: It belongs to a model of another shape.
    """
    model = bench.model(0)
    model.load_state_dict(fetch(bench, name))
    return model


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
