"""The random numbers of a run: derived seeds, and states that a checkpoint can hold."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
import torch


def derived_seed(seed: int, *purpose: object) -> int:
    """Derive a seed for one purpose, so that no two purposes share a stream.

    Args:
        seed: Seed of the run.
        purpose: Names and numbers that tell the purpose.

    Returns:
        From 0 to 2**31 - 1: a function of the arguments alone, the same on every machine.
    """
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def random_state(device: torch.device) -> dict[str, Any]:
    """Take the states of torch, Python and NumPy as tensors and plain values.

    Args:
        device: Its generator is taken too, if it has one of its own.
    """
    version, words, gauss = random.getstate()
    numpy_state: Any = np.random.get_state(legacy=False)  # noqa: NPY002 - user code may draw from it
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": (version, torch.tensor(words, dtype=torch.int64), gauss),
        "numpy": (
            torch.from_numpy(numpy_state["state"]["key"].astype(np.int64)),
            int(numpy_state["state"]["pos"]),
            int(numpy_state["has_gauss"]),
            float(numpy_state["gauss"]),
        ),
    }
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Put back what `random_state` took."""
    torch.set_rng_state(state["torch"])
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    key, position, has_gauss, numpy_gauss = state["numpy"]
    np.random.set_state(  # noqa: NPY002 - user code may draw from it
        ("MT19937", key.numpy().astype(np.uint32), position, has_gauss, numpy_gauss)
    )
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
