"""Answers to export: one for each optimizer and schedule, and hostile ones."""

from __future__ import annotations

import copy
from typing import Any

from tests.batchscout.documents import RECOMMENDATION

HOSTILE = [
    "A card\nMICRO_BATCH_SIZE = 1",
    "A card\r\nmicro_batch_size: 1",
    "card\rMICRO_BATCH_SIZE=1",
    "\u2028import os\u2029\u0085\x0b\x0c\x1c",
    '"; touch /tmp/x; echo "',
    "$(touch x) `touch x` ${HOME} ${{ secrets.KEY }} ${oc.env:HOME} {{ x }}",
    "''' \"\"\" */ --> ]]> #",
    "-*- coding: utf-7 -*-",
    "\x00\x1b[31m\u202e\ud800\ufeff\ufffe",
    "EOF\nlearning-rate<<EOF\n1\nEOF",
    "&a *a !!python/object/apply:os.system [x]",
]
"""Texts that try to end the comment or the value that they stand in."""


def answer(
    optimizer: dict[str, Any] | None = None, schedule: str = "constant", **changes: Any
) -> dict[str, Any]:
    """An answer of the service with another optimizer, another schedule or other fields."""
    found = copy.deepcopy(RECOMMENDATION)
    held = found["held_fixed"]
    if schedule == "constant":
        held |= {"warmup_samples": None, "warmup_steps": None}
    else:
        held |= {"schedule": schedule, "horizon_samples": 144_000, "horizon_steps": 1000}
    held |= {"optimizer": optimizer} if optimizer else {}
    held |= {"gradient_clip_norm": changes.pop("gradient_clip_norm", 1.5)}
    return found | changes


def hostile(text: str) -> dict[str, Any]:
    """An answer of which every text of others is this one."""
    found = answer()
    return found | {
        "device": found["device"] | {"name": text, "kind": text},
        "warnings": [{"code": text, "detail": text}],
        "evidence": text,
        "limited_by": text,
        "fingerprint": text,
        "spec_digest": text,
        "held_fixed": found["held_fixed"]
        | {"schedule": text, "optimizer": {"kind": text, text: 1.0, "momentum": text}},
    }


SGD = {"kind": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 1e-5}
ADAM = {"kind": "adam", "beta1": 0.85, "beta2": 0.99, "epsilon": 1e-7, "weight_decay": 0.0}
ADAM_DECAYED = ADAM | {"weight_decay": 0.02}
ADAMW = {"kind": "adamw", "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8, "weight_decay": 0.1}
RMSPROP = {"kind": "rmsprop", "alpha": 0.97, "epsilon": 1e-6, "momentum": 0.5, "weight_decay": 0.0}
OPTIMIZERS = [SGD, ADAM, ADAM_DECAYED, ADAMW, RMSPROP]

SAMPLE_COUNTS = {
    "micro_batch_size": 48,
    "gradient_accumulation_steps": 3,
    "data_parallel_size": 2,
    "global_batch_size": 288,
}
"""Two devices: the global batch is not what one of them sees."""
