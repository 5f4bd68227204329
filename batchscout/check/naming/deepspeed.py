"""DeepSpeed: its JSON, in which two of the three batch numbers give the third."""

from __future__ import annotations

from collections.abc import Sequence

from batchscout.check.configuration import Role
from batchscout.check.naming.meaning import Default, Meaning
from batchscout.check.reading.entries import Entry

KEYS = {
    Role.MICRO_BATCH_SIZE: "train_micro_batch_size_per_gpu",
    Role.GRADIENT_ACCUMULATION_STEPS: "gradient_accumulation_steps",
    Role.GLOBAL_BATCH_SIZE: "train_batch_size",
    Role.LEARNING_RATE: "optimizer.params.lr",
}
_PEAKS = ("scheduler.params.warmup_max_lr", "scheduler.params.cycle_max_lr")
"""Schedules of DeepSpeed set the rate themselves, whatever the optimizer says."""
_MARKS = frozenset(
    [
        "train_micro_batch_size_per_gpu",
        "zero_optimization",
        "zero_allow_untested_optimizer",
        "steps_per_print",
        "wall_clock_breakdown",
        "activation_checkpointing",
    ]
)
_SECTIONS = frozenset({"optimizer.params", "fp16.enabled", "bf16.enabled", "gradient_clipping"})
"""With one of them, `train_batch_size` is DeepSpeed's: the batch over all devices."""


def in_file(entries: Sequence[Entry]) -> Meaning | None:
    """Read a file whose root holds words of DeepSpeed."""
    by_key = {".".join(entry.path): entry for entry in entries}
    with_section = KEYS[Role.GLOBAL_BATCH_SIZE] in by_key and _SECTIONS & set(by_key)
    if not (with_section or _MARKS & set(by_key)):
        return None
    candidates = {role: [by_key[key]] for role, key in KEYS.items() if key in by_key}
    rates = candidates.setdefault(Role.LEARNING_RATE, [])
    rates.extend(by_key[key] for key in _PEAKS if key in by_key)
    stated = {Role.MICRO_BATCH_SIZE, Role.GLOBAL_BATCH_SIZE} & set(candidates)
    # With both of them the third follows; with one, DeepSpeed takes 1.
    accumulation = Default(value=1, origin="the default of DeepSpeed")
    defaults = {Role.GRADIENT_ACCUMULATION_STEPS: accumulation} if len(stated) == 1 else {}
    return Meaning(framework="deepspeed", candidates=candidates, defaults=defaults)
