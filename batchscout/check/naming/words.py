"""The usual names of the five numbers, and the words that keep a value out."""

from __future__ import annotations

from batchscout.check.configuration import Role
from batchscout.check.reading.entries import Entry

MICRO = frozenset(
    [
        "micro_batch_size",
        "per_device_train_batch_size",
        "per_device_batch_size",
        "per_gpu_train_batch_size",
        "per_gpu_batch_size",
        "train_micro_batch_size_per_gpu",
        "micro_train_batch_size",
        "train_micro_batch_size",
        "batch_size_per_gpu",
        "batch_size_per_device",
        "device_batch_size",
        "local_batch_size",
        "samples_per_gpu",
        "device_train_microbatch_size",
        "micro_batch_size_per_gpu",
    ]
)
PLAIN_MICRO = frozenset({"batch_size", "train_batch_size", "training_batch_size"})
"""What one device takes, unless a clearer name stands beside it."""
GLOBAL = frozenset(
    [
        "global_batch_size",
        "effective_batch_size",
        "total_batch_size",
        "global_train_batch_size",
        "train_global_batch_size",
        "total_train_batch_size",
        "ims_per_batch",
    ]
)
ACCUMULATION = frozenset(
    [
        "gradient_accumulation_steps",
        "grad_accumulation_steps",
        "gradient_accumulation",
        "grad_accumulation",
        "gradient_accumulation_iters",
        "grad_accum_steps",
        "grad_accum",
        "accumulate_grad_batches",
        "accumulation_steps",
        "accum_steps",
        "accum_iter",
        "accum_freq",
        "gradient_accumulate_every",
    ]
)
RATE = frozenset(
    [
        "learning_rate",
        "lr",
        "peak_lr",
        "peak_learning_rate",
        "base_lr",
        "base_learning_rate",
        "max_lr",
        "max_learning_rate",
        "warmup_max_lr",
    ]
)
PEAK_RATE = frozenset(
    {"peak_lr", "peak_learning_rate", "max_lr", "max_learning_rate", "warmup_max_lr"}
)
"""Names that mean the training's rate in the section of a schedule too."""
WORDS = {
    Role.MICRO_BATCH_SIZE: MICRO | PLAIN_MICRO,
    Role.GLOBAL_BATCH_SIZE: GLOBAL,
    Role.GRADIENT_ACCUMULATION_STEPS: ACCUMULATION,
    Role.LEARNING_RATE: RATE,
}
"""Role by role; `data_parallel_size` has rules of its own."""
_ELSEWHERE = frozenset(
    [
        "eval",
        "evaluate",
        "evaluation",
        "val",
        "valid",
        "validation",
        "validate",
        "test",
        "testing",
        "dev",
        "predict",
        "prediction",
        "inference",
        "infer",
        "generate",
        "generation",
        "preprocess",
        "preprocessing",
        "tokenize",
        "tokenizer",
        "tokenization",
        "serve",
        "serving",
        "benchmark",
        "sweep",
        "search",
    ]
)
"""Words of a path that say: this is not about the training itself."""
_SCHEDULE = frozenset({"scheduler", "schedulers", "schedule", "sched", "lrscheduler"})


def word(part: str) -> str:
    """Write one part of a path as the tables have it: `learningRate`, `LEARNING-RATE`."""
    spread = "".join(
        f"_{letter}" if letter.isupper() and part[index - 1 : index].islower() else letter
        for index, letter in enumerate(part.strip("()"))
    )
    return spread.lower().replace("-", "_").replace(" ", "_")


def parts(entry: Entry) -> list[str]:
    """The words of an entry's path; a flat key with dots counts as its parts."""
    return [word(part) for step in entry.path for part in step.split(".")]


def about_training(entry: Entry) -> bool:
    """Say whether nothing on the way to a value says evaluation, preparation or the like."""
    return not any(set(part.split("_")) & _ELSEWHERE for part in parts(entry))


def in_schedule(entry: Entry) -> bool:
    """Say whether a value belongs to a schedule of the learning rate."""
    return any(set(part.split("_")) & _SCHEDULE for part in parts(entry)[:-1])
