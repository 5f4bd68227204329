"""What stands in the way of telling: values that another place decides."""

from __future__ import annotations

from typing import Final

from batchscout.check.configuration import Configuration, Obstacle, Role, Untellable
from batchscout.check.judging.arithmetic import Batches
from batchscout.check.measured import Measured
from batchscout.check.verdict import Level, Verdict

CODE: Final = "config"

FAULTS: Final = frozenset({Obstacle.AMBIGUOUS, Obstacle.NOT_A_NUMBER})
"""The file has to change, or --map has to choose; the others are sound and decided elsewhere."""


def judge_obstacles(
    configuration: Configuration, batches: Batches, measured: Measured
) -> tuple[Verdict, ...]:
    """Tell each value that the file speaks of without telling it.

    Args:
        configuration: What the file says.
        batches: What follows all the same.
        measured: What the answer says.

    Returns:
        A verdict for each such value that is needed.
    """
    return tuple(
        _verdict(found)
        for role, found in configuration.untellable.items()
        if not _is_needless(role, batches, measured)
    )


def _is_needless(role: Role, batches: Batches, measured: Measured) -> bool:
    if role is Role.LEARNING_RATE:
        return measured.learning_rate is None
    # What follows from the others, or was told on the command line, is known all the same.
    return getattr(batches, role) is not None


def _verdict(found: Untellable) -> Verdict:
    return Verdict(
        code=CODE,
        level=Level.ERROR if found.obstacle in FAULTS else Level.UNTOLD,
        detail=found.detail,
        numbers={"role": found.role.value, "obstacle": found.obstacle.value},
        role=found.role,
        place=found.place,
    )
