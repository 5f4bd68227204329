"""Whether a learning rate lies where it was measured to be good, at the answer's own batch.

The range holds at one global batch size. At another one the best rate is another, and nobody
measured it, so nothing is told there.
"""

from __future__ import annotations

from typing import Final

from batchscout.check.amounts import factor, rate
from batchscout.check.configuration import Configuration, Role
from batchscout.check.judging.arithmetic import Batches
from batchscout.check.judging.settled import place_of, silence
from batchscout.check.judging.tolerances import Tolerances
from batchscout.check.measured import Measured
from batchscout.check.verdict import Level, Verdict

CODE: Final = "learning_rate"


def judge_learning_rate(
    configuration: Configuration,
    batches: Batches,
    measured: Measured,
    tolerances: Tolerances,
    slow_down: Verdict,
) -> Verdict:
    """Judge a learning rate.

    Args:
        configuration: What the file says.
        batches: Its batch sizes.
        measured: What was measured.
        tolerances: By which factor it may be outside.
        slow_down: The verdict on the batch size, which comes first.

    Returns:
        OK inside the range, WARNING within the tolerance, ERROR beyond it, UNTOLD where it was
        not measured.
    """
    setting = configuration.settings.get(Role.LEARNING_RATE)
    value = None if setting is None else setting.value
    level, detail = Level.UNTOLD, silence(configuration, Role.LEARNING_RATE)
    outside: float | None = None
    if value is not None or measured.learning_rate is None:
        level, detail, outside = _judged(value, batches, measured, tolerances, slow_down)
    return Verdict(
        code=CODE,
        level=level,
        detail=detail,
        numbers={
            "learning_rate": value,
            "measured_learning_rate": measured.learning_rate,
            "low": measured.learning_rate_low,
            "high": measured.learning_rate_high,
            "outside_by_factor": outside,
            "tolerance_factor": tolerances.learning_rate,
            "at_global_batch_size": measured.global_batch_size,
        },
        role=Role.LEARNING_RATE,
        place=place_of(configuration, Role.LEARNING_RATE),
    )


_Judgement = tuple[Level, str, float | None]


def _judged(
    value: float | None,
    batches: Batches,
    measured: Measured,
    tolerances: Tolerances,
    slow_down: Verdict,
) -> _Judgement:
    best = measured.learning_rate
    if best is None or value is None:
        return Level.OK, "The learning rate was not tuned, so it is not judged.", None
    if batches.global_batch_size is None:
        detail = "Without a global batch size nothing can be told about the learning rate."
        return Level.UNTOLD, detail, None
    if batches.global_batch_size != measured.global_batch_size:
        return _elsewhere(value, batches, measured, slow_down)
    return _at_the_answer(value, best, measured, tolerances)


def _elsewhere(
    value: float, batches: Batches, measured: Measured, slow_down: Verdict
) -> _Judgement:
    detail = (
        f"{rate(value)} cannot be judged at global_batch_size {batches.global_batch_size}: the "
        f"rate was measured at {measured.global_batch_size}. Train with that, or --fix."
    )
    if slow_down.level is Level.ERROR:  # the batch has to change first
        return Level.WARNING, detail, None
    return Level.UNTOLD, detail, None


def _at_the_answer(
    value: float, best: float, measured: Measured, tolerances: Tolerances
) -> _Judgement:
    low = best if measured.learning_rate_low is None else measured.learning_rate_low
    high = best if measured.learning_rate_high is None else measured.learning_rate_high
    ranged = measured.learning_rate_low is not None
    span = f"{rate(low)} to {rate(high)}" if ranged else f"{rate(best)}, the only rate that was run"
    if low <= value <= high:
        return Level.OK, f"{rate(value)} is within what was measured: {span}.", 1.0
    outside = low / value if value < low else value / high
    side = "below" if value < low else "above"
    detail = (
        f"{rate(value)} is {factor(outside)} times {side} what was measured at this batch: "
        f"{span}. The answer is {best!r}"
    )
    if outside <= tolerances.learning_rate:
        within = f"; up to {factor(tolerances.learning_rate)} times is tolerated."
        return Level.WARNING, detail + within, outside
    if not ranged:
        return Level.UNTOLD, detail + "; no range was measured, so more cannot be told.", outside
    return Level.ERROR, detail + "; use it, or --fix.", outside
