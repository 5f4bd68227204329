"""The verdicts: one file for each question, each pure."""

from __future__ import annotations

from batchscout.check.configuration import Configuration
from batchscout.check.judging.arithmetic import Batches, judge_arithmetic
from batchscout.check.judging.learning_rate import judge_learning_rate
from batchscout.check.judging.memory import judge_memory
from batchscout.check.judging.obstacles import judge_obstacles
from batchscout.check.judging.slow_down import judge_slow_down
from batchscout.check.judging.tolerances import Tolerances
from batchscout.check.measured import Measured
from batchscout.check.verdict import Verdict

__all__ = ["Batches", "Tolerances", "judge"]


def judge(
    configuration: Configuration,
    measured: Measured,
    tolerances: Tolerances,
    *,
    data_parallel_size: int | None = None,
) -> tuple[Verdict, ...]:
    """Hold a configuration against what was measured.

    Args:
        configuration: What the file says.
        measured: What the answer says.
        tolerances: How far it may be from the answer.
        data_parallel_size: The number of devices, if it was told on the command line; it wins
            over the file.

    Returns:
        One verdict for each question, and one for each value that stands in the way.
    """
    batches, arithmetic = judge_arithmetic(configuration, data_parallel_size)
    slow_down = judge_slow_down(configuration, batches, measured, tolerances)
    return (
        *judge_obstacles(configuration, batches, measured),
        judge_memory(configuration, batches, measured),
        arithmetic,
        judge_learning_rate(configuration, batches, measured, tolerances, slow_down),
        slow_down,
    )
