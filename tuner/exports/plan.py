"""What an export needs of an answer, held against nonsense.

An answer may come from a lock file that people edit and merge, so that nothing of it is trusted:
what shall stand outside of a comment is a checked number or a word of a known set.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeGuard

Options: TypeAlias = Mapping[str, float | bool]

OPTIMIZERS: Final = frozenset({"sgd", "adam", "adamw", "rmsprop"})
SCHEDULES: Final = frozenset({"constant", "cosine"})
UNKNOWN: Final = "unknown"
LARGEST: Final = sys.float_info.max


class UnusableAnswer(Exception):
    """The answer lacks something or contradicts itself; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The numbers of an answer that a training needs.

    Args:
        micro_batch_size: Samples per device and pass.
        gradient_accumulation_steps: Passes per optimizer step.
        data_parallel_size: Devices.
        global_batch_size: Their product.
        learning_rate: Null where none was measured.
        optimizer: `sgd`, `adam`, `adamw`, `rmsprop`, or `unknown`.
        optimizer_options: Those that were held fixed, in the words of the spec.
        schedule: `constant`, `cosine`, or `unknown`.
        gradient_clip_norm: Null: gradients were not clipped.
        warmup_steps: At this batch; 0 without a warm-up.
        horizon_steps: Where a cosine ends; null for a constant rate.
        answer: The whole answer.
    """

    micro_batch_size: int
    gradient_accumulation_steps: int
    data_parallel_size: int
    global_batch_size: int
    learning_rate: float | None
    optimizer: str
    optimizer_options: Options
    schedule: str
    gradient_clip_norm: float | None
    warmup_steps: int
    horizon_steps: int | None
    answer: Mapping[str, Any]


def read_plan(answer: object) -> Plan:
    """Read an answer.

    Args:
        answer: As JSON gives it.

    Returns:
        Its numbers.

    Raises:
        UnusableAnswer: A number is missing, is none, or the batch sizes do not multiply.
    """
    if not isinstance(answer, Mapping):
        raise UnusableAnswer("the answer is no JSON object")
    held = answer.get("held_fixed")
    if not isinstance(held, Mapping):
        raise UnusableAnswer("held_fixed is missing: what was held fixed belongs to an answer")
    kind, options = _optimizer(held.get("optimizer"))
    plan = Plan(
        micro_batch_size=_count(answer, "micro_batch_size"),
        gradient_accumulation_steps=_count(answer, "gradient_accumulation_steps"),
        data_parallel_size=_count(answer, "data_parallel_size"),
        global_batch_size=_count(answer, "global_batch_size"),
        learning_rate=_rate(answer, "learning_rate"),
        optimizer=kind,
        optimizer_options=options,
        schedule=_word(held.get("schedule"), SCHEDULES),
        gradient_clip_norm=_rate(held, "gradient_clip_norm"),
        warmup_steps=_count(held, "warmup_steps") if held.get("warmup_steps") else 0,
        horizon_steps=None if held.get("horizon_steps") is None else _count(held, "horizon_steps"),
        answer=answer,
    )
    _must_multiply(plan)
    return plan


def _must_multiply(plan: Plan) -> None:
    passes = plan.micro_batch_size * plan.gradient_accumulation_steps
    if passes * plan.data_parallel_size != plan.global_batch_size:
        raise UnusableAnswer(
            f"micro_batch_size {plan.micro_batch_size} x gradient_accumulation_steps "
            f"{plan.gradient_accumulation_steps} x data_parallel_size {plan.data_parallel_size} "
            f"is not global_batch_size {plan.global_batch_size}"
        )


def _optimizer(described: object) -> tuple[str, Options]:
    if not isinstance(described, Mapping):
        raise UnusableAnswer("held_fixed.optimizer is missing")
    options = {
        str(name): value
        for name, value in described.items()
        if isinstance(value, bool) or is_number(value)
    }
    return _word(described.get("kind"), OPTIMIZERS), options


def _word(value: object, known: frozenset[str]) -> str:
    return value if isinstance(value, str) and value in known else UNKNOWN


def _count(answer: Mapping[str, Any], name: str) -> int:
    value = answer.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UnusableAnswer(f"{name} is no whole number of at least 1")
    return value


def _rate(answer: Mapping[str, Any], name: str) -> float | None:
    value = answer.get(name)
    if value is None:
        return None
    if not is_number(value) or not value > 0:
        raise UnusableAnswer(f"{name} is neither null nor a finite number above 0")
    return float(value)


def is_number(value: object) -> TypeGuard[int | float]:
    """Tell a finite number, which a float can hold, from all else; truth values are none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return -LARGEST <= value <= LARGEST
