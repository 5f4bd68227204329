"""What is studied: digits and Python's own source as text on a processor, images on a card.

All grids hold a fixed rate for every batch and, eight times as large, the one that the linear
rule gives to eight times the smallest batch: the published step from 32 to 256. The largest batch
is 32 times the smallest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.search.on_card.images import write_images
from benchmarks.search.prepare_data import ALPHABET, sources, split, token_ids
from tuner.spec import StudySpec

CONTEXT: Final = 8
"""Characters that the next one is foretold from."""

SAMPLES: Final = 3_000
HELD_OUT: Final = 1_000
TEXT_FILE: Final = "characters.npz"
IMAGE_FILE: Final = "images.npz"
VGG: Final = "benchmarks.study.vgg:vgg"

FIGURES: Final = {"line_points": 25, "landscape_points": 15}
SEEDS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One study.

    Args:
        name: Of its files.
        title: For people.
        command: What repeats it.
        spec: What is asked.
        write: Writes the data into a folder, unless they are there.
    """

    name: str
    title: str
    command: str
    spec: StudySpec
    write: Callable[[Path], None]


def digits() -> Subject:
    """A small convolutional network on scikit-learn's digits, by plain SGD as published."""
    return _subject(
        "digits",
        "CNN on digits, SGD",
        model={"kind": "builtin", "name": "cnn", "options": {"channels": [8, 16]}},
        dataset={"kind": "sklearn", "name": "digits", "validation_fraction": 0.2},
        optimizer={"kind": "sgd"},
        batch_sizes=[8, 64, 256],
        learning_rates=[0.05, 0.4],
        patience_epochs=20,
        max_epochs=1_500,
        write=_needs_no_file,
    )


def text() -> Subject:
    """A perceptron that foretells the next character of source code, by AdamW."""
    return _subject(
        "text",
        "MLP on the next character of Python's source, AdamW",
        model={"kind": "builtin", "name": "mlp", "options": {"hidden": [32]}},
        dataset={"kind": "files", "format": "npz", "path": TEXT_FILE},
        optimizer={"kind": "adamw"},
        batch_sizes=[8, 64, 256],
        learning_rates=[0.001, 0.008],
        patience_epochs=20,
        max_epochs=1_500,
        write=_write_characters,
    )


def images(*, is_tiny: bool = False) -> Subject:
    """A VGG-like network on generated images of 32 x 32 pixels, by plain SGD, on a card.

    Args:
        is_tiny: A stand-in that a processor trains in seconds; it shows that the bench works.
    """
    options = {"widths": [4, 8], "dense": 8} if is_tiny else {}
    return _subject(
        "images-tiny" if is_tiny else "images",
        "VGG-like network on generated images, SGD",
        command=f"python benchmarks/study/gpu.py{' --tiny --accelerator cpu' if is_tiny else ''}",
        model={"kind": "entrypoint", "target": VGG, "kwargs": options},
        dataset={"kind": "files", "format": "npz", "path": IMAGE_FILE},
        optimizer={"kind": "sgd"},
        batch_sizes=[8, 32] if is_tiny else [32, 64, 256, 1024],
        learning_rates=[0.05, 0.2] if is_tiny else [0.01, 0.02, 0.08],
        patience_epochs=1 if is_tiny else 30,
        max_epochs=2 if is_tiny else 1_500,
        seeds=2 if is_tiny else SEEDS,
        figures={"line_points": 7, "landscape_points": 3} if is_tiny else FIGURES,
        accelerator="auto",
        write=_write_tiny_images if is_tiny else _write_images,
    )


SUBJECTS: Final = {"digits": digits, "text": text}
"""From a name to what makes a study on a processor."""


def characters() -> dict[str, np.ndarray]:
    """Cut the standard library's source into contexts and the characters that follow them.

    Returns:
        float32 (N, CONTEXT * characters told apart) of ones and zeros, and int64 (N,). Samples
        lie evenly over the text and do not overlap.
    """
    ids = token_ids("\n".join(sources()), CONTEXT + 1)
    chosen = ids[np.linspace(0, len(ids) - 1, SAMPLES + HELD_OUT).astype(int)]
    known = len(ALPHABET) + 1
    inputs = np.eye(known, dtype=np.float32)[chosen[:, :CONTEXT]].reshape(len(chosen), -1)
    return split(inputs, chosen[:, CONTEXT].astype(np.int64), HELD_OUT)


def _write_characters(folder: Path) -> None:
    target = folder / TEXT_FILE
    if not target.exists():
        np.savez(target, **characters())  # type: ignore[arg-type]  # names of arrays, not of options


def _write_images(folder: Path) -> None:
    target = folder / IMAGE_FILE
    if not target.exists():
        write_images(target, train=8_000, validation=2_000, side=32, classes=2, finest=2.0, seed=0)


def _write_tiny_images(folder: Path) -> None:
    target = folder / IMAGE_FILE
    if not target.exists():
        write_images(target, train=128, validation=64, side=8, classes=2, finest=1.5, seed=0)


def _needs_no_file(_folder: Path) -> None:
    """Digits ship with scikit-learn."""


def _subject(
    name: str,
    title: str,
    *,
    optimizer: dict[str, Any],
    learning_rates: list[float],
    write: Callable[[Path], None],
    command: str | None = None,
    accelerator: str = "cpu",
    **parts: Any,
) -> Subject:
    spec = {
        "training": {"task": "classification", "optimizer": optimizer},
        "learning_rate": {"kind": "grid", "learning_rates": learning_rates},
        "full_batch": {"kind": "rprop"},
        "seeds": SEEDS,
        "figures": FIGURES,
        "budget": {"timeout_seconds": 86_400.0},
        "hardware": {"accelerator": accelerator},
    }
    return Subject(
        name=name,
        title=title,
        command=command or f"python benchmarks/study/bench.py --subject {name}",
        spec=StudySpec.model_validate({**spec, **parts}),
        write=write,
    )
