"""The three workloads of the bench on a card, and a tiny stand-in of each.

A residual network with SGD and a vision transformer with AdamW learn generated images, a GPT
with AdamW learns the bytes of Python's standard library. They have 5 to 15 million parameters
and train in bfloat16. A stand-in is of the same family and trains on a processor in seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.search.on_card.images import write_images
from benchmarks.search.on_card.text import write_text

RESNET: Final = "benchmarks.search.on_card.resnet:resnet"
IMAGES_SEED: Final = 0
FINEST: Final = 2.0
"""Periods of the finest wave of an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One training, and where its best batch and rate are looked for.

    Args:
        name: `resnet`, `vit` or `gpt`; the name of its data file too.
        model: The `model` of a spec.
        training: The `training` of a spec.
        data: What the data are, for a report.
        write: Makes the data file.
        batches: Lowest and highest global batch of every search.
        rates: Lowest and highest learning rate of every search.
        reference_batch: Batch that people start from.
        reference_rate: Rate that people start from, at that batch.
        grid_batches: Batches of the coarse grid.
        grid_rates: Rates of the coarse grid.
    """

    name: str
    model: Mapping[str, Any]
    training: Mapping[str, Any]
    data: str
    write: Callable[[Path], None]
    batches: tuple[int, int]
    rates: tuple[float, float]
    reference_batch: int
    reference_rate: float
    grid_batches: tuple[int, ...]
    grid_rates: tuple[float, ...]

    @property
    def dataset(self) -> Mapping[str, Any]:
        """The `dataset` of a spec."""
        return {"kind": "files", "format": "npz", "path": f"{self.name}.npz"}


def _resnet(**options: Any) -> Mapping[str, Any]:
    return {"kind": "entrypoint", "target": RESNET, "kwargs": options}


def _vit(*, width: int, depth: int, heads: int, patch: int) -> Mapping[str, Any]:
    config = {
        "hidden_size": width,
        "num_hidden_layers": depth,
        "num_attention_heads": heads,
        "intermediate_size": 4 * width,
        "patch_size": patch,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    return {"kind": "hf_config", "model_type": "vit", "config": config}


def _gpt(*, width: int, depth: int, heads: int, length: int) -> Mapping[str, Any]:
    config = {
        "vocab_size": 256,
        "n_positions": length,
        "n_embd": width,
        "n_layer": depth,
        "n_head": heads,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    }
    return {"kind": "hf_config", "model_type": "gpt2", "config": config}


def _training(
    task: str, optimizer: Mapping[str, Any], precision: str, clip: float | None = None
) -> Mapping[str, Any]:
    return {
        "task": task,
        "optimizer": optimizer,
        "precision": precision,
        "gradient_clip_norm": clip,
    }


SGD: Final = {"kind": "sgd", "momentum": 0.9, "weight_decay": 0.0005}
ADAMW: Final = {"kind": "adamw", "beta2": 0.98, "weight_decay": 0.05}

SUBJECTS: Final = {
    subject.name: subject
    for subject in (
        Subject(
            name="resnet",
            model=_resnet(),
            training=_training("classification", SGD, "bf16"),
            data="generated: 40,000 images of 32 x 32 pixels in 20 classes, 5 % of labels wrong",
            write=partial(
                write_images,
                train=40_000,
                validation=1536,
                side=32,
                classes=20,
                finest=FINEST,
                seed=IMAGES_SEED,
            ),
            batches=(16, 2048),
            rates=(0.003, 3.0),
            reference_batch=128,
            reference_rate=0.1,
            grid_batches=(64, 256, 1024),
            grid_rates=(0.0125, 0.05, 0.2, 0.8),
        ),
        Subject(
            name="vit",
            model=_vit(width=256, depth=10, heads=4, patch=4),
            training=_training("classification", ADAMW, "bf16", 1.0),
            data="generated: 40,000 images of 32 x 32 pixels in 20 classes, 5 % of labels wrong",
            write=partial(
                write_images,
                train=40_000,
                validation=1536,
                side=32,
                classes=20,
                finest=FINEST,
                seed=IMAGES_SEED,
            ),
            batches=(16, 2048),
            rates=(0.00003, 0.03),
            reference_batch=128,
            reference_rate=0.001,
            grid_batches=(64, 256, 1024),
            grid_rates=(0.00025, 0.0007, 0.002, 0.006),
        ),
        Subject(
            name="gpt",
            model=_gpt(width=384, depth=8, heads=6, length=256),
            training=_training("causal_lm", ADAMW, "bf16", 1.0),
            data="real: bytes of Python's standard library, 12 MB in samples of 256",
            write=partial(write_text, total_bytes=12_000_000, length=256, validation=384),
            batches=(8, 512),
            rates=(0.00003, 0.03),
            reference_batch=32,
            reference_rate=0.001,
            grid_batches=(16, 64, 256),
            grid_rates=(0.00025, 0.0007, 0.002, 0.006),
        ),
    )
}
"""The workloads, by name."""

_TINY_IMAGES: Final = partial(
    write_images, train=2000, validation=128, side=12, classes=3, finest=1.5, seed=IMAGES_SEED
)

TINY: Final = {
    subject.name: subject
    for subject in (
        Subject(
            name="resnet",
            model=_resnet(widths=[8, 16], depths=[1, 1], groups=4),
            training=_training("classification", SGD, "fp32"),
            data="generated: 2,000 images of 12 x 12 pixels in 3 classes",
            write=_TINY_IMAGES,
            batches=(8, 32),
            rates=(0.003, 1.0),
            reference_batch=16,
            reference_rate=0.05,
            grid_batches=(8, 32),
            grid_rates=(0.02, 0.1),
        ),
        Subject(
            name="vit",
            model=_vit(width=16, depth=1, heads=2, patch=4),
            training=_training("classification", ADAMW, "fp32", 1.0),
            data="generated: 2,000 images of 12 x 12 pixels in 3 classes",
            write=_TINY_IMAGES,
            batches=(8, 32),
            rates=(0.0003, 0.1),
            reference_batch=16,
            reference_rate=0.003,
            grid_batches=(8, 32),
            grid_rates=(0.002, 0.01),
        ),
        Subject(
            name="gpt",
            model=_gpt(width=16, depth=1, heads=2, length=16),
            training=_training("causal_lm", ADAMW, "fp32", 1.0),
            data="real: bytes of Python's standard library, 30 kB in samples of 16",
            write=partial(write_text, total_bytes=30_000, length=16, validation=64),
            batches=(8, 32),
            rates=(0.0003, 0.1),
            reference_batch=16,
            reference_rate=0.003,
            grid_batches=(8, 32),
            grid_rates=(0.002, 0.01),
        ),
    )
}
"""A stand-in for each, for a processor."""
