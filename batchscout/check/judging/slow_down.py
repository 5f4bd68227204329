"""How much longer training takes than with the answer, by the answer's own time model.

T(B) = steps_minimum (1 + critical_batch_size / B) (fixed + per_sample B). The step time was
fitted over the best plan of each batch, so `fixed` holds what one step costs beside its
samples. A pass more than the answer's micro-batch needs costs no less than nothing and, as
one pass was all that most plans had, no more than `fixed` once again: two bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from batchscout.check.amounts import per_cent
from batchscout.check.configuration import Configuration, Place, Role
from batchscout.check.judging.arithmetic import DEVICES_OPTION, Batches
from batchscout.check.judging.settled import place_of
from batchscout.check.judging.tolerances import Tolerances
from batchscout.check.measured import Measured
from batchscout.check.verdict import Level, Verdict

CODE: Final = "slow_down"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slower:
    """Per cent more than the answer takes, and passes beyond those that are needed."""

    at_least: float
    at_most: float
    more_passes: int


def judge_slow_down(
    configuration: Configuration, batches: Batches, measured: Measured, tolerances: Tolerances
) -> Verdict:
    """Judge how much slower a configuration reaches the target.

    Args:
        configuration: What the file says.
        batches: Its batch sizes.
        measured: What was measured.
        tolerances: How many per cent it may be slower.

    Returns:
        OK within the tolerance, ERROR where it is certainly slower, WARNING where it may be,
        UNTOLD where the model says nothing.
    """
    slower, why_not = _slower(batches, measured)
    level, detail = (Level.UNTOLD, why_not)
    role = Role.GLOBAL_BATCH_SIZE
    if slower is not None:
        level, detail = _judged(slower, batches, measured, tolerances)
        only_passes = batches.global_batch_size == measured.global_batch_size
        role = Role.GRADIENT_ACCUMULATION_STEPS if only_passes else Role.GLOBAL_BATCH_SIZE
    return Verdict(
        code=CODE,
        level=level,
        detail=detail,
        numbers={
            "slower_per_cent": slower.at_least if slower else None,
            "slower_at_most_per_cent": slower.at_most if slower else None,
            "tolerance_per_cent": tolerances.slow_down,
            "global_batch_size": batches.global_batch_size,
            "measured_global_batch_size": measured.global_batch_size,
        },
        role=role,
        place=_place(configuration, role),
    )


def _place(configuration: Configuration, role: Role) -> Place | None:
    return place_of(configuration, role) or place_of(configuration, Role.MICRO_BATCH_SIZE)


def _slower(batches: Batches, measured: Measured) -> tuple[_Slower | None, str]:
    batch, passes = batches.global_batch_size, batches.gradient_accumulation_steps
    devices = batches.data_parallel_size
    if batch is None or passes is None or devices is None:
        return None, "Without all batch sizes nothing can be told about the time."
    if devices != measured.data_parallel_size:
        return None, (
            f"The time was measured on {measured.data_parallel_size} and the file is for "
            f"{devices} devices: {DEVICES_OPTION} tells the number, if that is wrong."
        )
    needed = -(-batch // (devices * measured.micro_batch_size))
    more_passes = max(0, passes - needed)
    if batch == measured.global_batch_size and not more_passes:
        return _Slower(at_least=0.0, at_most=0.0, more_passes=0), ""
    model = measured.time_model
    if model is None:
        return None, (
            f"The answer has no time model, so nothing can be told about global_batch_size "
            f"{batch} in {passes} passes; it was measured at {measured.global_batch_size} in "
            f"{measured.gradient_accumulation_steps}."
        )
    best = model.seconds(measured.global_batch_size)
    return _Slower(
        at_least=100.0 * (model.seconds(batch) / best - 1.0),
        at_most=100.0 * (model.seconds(batch, more_passes=more_passes) / best - 1.0),
        more_passes=more_passes,
    ), ""


def _judged(
    slower: _Slower, batches: Batches, measured: Measured, tolerances: Tolerances
) -> tuple[Level, str]:
    batch, best = batches.global_batch_size, measured.global_batch_size
    allowed = f"{per_cent(tolerances.slow_down)} are tolerated"
    if slower.at_least > tolerances.slow_down:
        return Level.ERROR, (
            f"global_batch_size {batch} takes {_span(slower)} longer than {best} by the time "
            f"model; {allowed}. Train with {best}, or --fix."
        )
    if slower.at_most > tolerances.slow_down:
        return Level.WARNING, (
            f"global_batch_size {batch} in {batches.gradient_accumulation_steps} passes, "
            f"{slower.more_passes} more than the answer's micro_batch_size "
            f"{measured.micro_batch_size} needs, may take up to {per_cent(slower.at_most)} "
            f"longer; {allowed}. Use a larger micro_batch_size, or --fix."
        )
    if slower.at_most <= 0.0:
        same = batch == best
        return Level.OK, (
            "As fast as the answer, by its time model."
            if same
            else f"By the time model global_batch_size {batch} is no slower than {best}."
        )
    return Level.OK, f"{_span(slower)} longer than the answer by the time model; {allowed}."


def _span(slower: _Slower) -> str:
    if slower.at_most == slower.at_least:
        return per_cent(slower.at_least)
    return f"{per_cent(slower.at_least)} to {per_cent(slower.at_most)}"
