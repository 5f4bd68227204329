"""The five numbers of an answer, by the names that they have everywhere in batchscout."""

from __future__ import annotations

from typing import Final

from tuner.exports.plan import Plan

ROLES: Final = (
    "micro_batch_size",
    "gradient_accumulation_steps",
    "data_parallel_size",
    "global_batch_size",
    "learning_rate",
)


def roles(plan: Plan) -> dict[str, int | float]:
    """Pick the numbers.

    Args:
        plan: The answer.

    Returns:
        The five, in their order; without the learning rate where none was measured.
    """
    found: dict[str, int | float | None] = {name: getattr(plan, name) for name in ROLES}
    return {name: value for name, value in found.items() if value is not None}
