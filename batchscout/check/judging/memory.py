"""Whether a micro-batch fits: what was run is known, beyond it memory is bounded.

Memory depends on the micro-batch, not on accumulation. Above the largest size that was run,
a line through the two largest known points estimates the need. Growth in proportion bounds it
from above: it counts the parts that do not grow (weights, optimizer state) as if they did.
"""

from __future__ import annotations

from typing import Final

from batchscout.check.amounts import size
from batchscout.check.configuration import Configuration, Role
from batchscout.check.judging.arithmetic import Batches
from batchscout.check.judging.settled import place_of, silence
from batchscout.check.measured import Measured, MemoryPoint
from batchscout.check.verdict import Level, Verdict

CODE: Final = "out_of_memory"


def judge_memory(configuration: Configuration, batches: Batches, measured: Measured) -> Verdict:
    """Judge whether a micro-batch fits into the memory of the card.

    Args:
        configuration: What the file says.
        batches: Its batch sizes.
        measured: What was measured.

    Returns:
        OK where it fits, ERROR where it does not, UNTOLD where neither is certain.
    """
    micro = batches.micro_batch_size
    need: _Need = (None, None)
    if micro is None:
        level, detail = Level.UNTOLD, silence(configuration, Role.MICRO_BATCH_SIZE)
    elif micro <= measured.max_micro_batch_size:
        level, need, detail = _within(micro, measured)
    else:
        level, need, detail = _beyond(micro, measured)
    return Verdict(
        code=CODE,
        level=level,
        detail=detail,
        numbers={
            "micro_batch_size": micro,
            "max_micro_batch_size": measured.max_micro_batch_size,
            "needed_bytes": need[0],
            "needed_at_most_bytes": need[1],
            "available_bytes": measured.memory_limit_bytes,
        },
        role=Role.MICRO_BATCH_SIZE,
        place=place_of(configuration, Role.MICRO_BATCH_SIZE),
    )


_Need = tuple[int | None, int | None]
"""Bytes that are needed, and at most needed; None where that is not known."""


def _within(micro: int, measured: Measured) -> tuple[Level, _Need, str]:
    """The size, or a larger one, was run and fitted."""
    known = [point for point in _fitted(measured) if point.micro_batch_size >= micro]
    limit = size(measured.memory_limit_bytes)
    if not known:
        largest = measured.max_micro_batch_size
        return Level.OK, (None, None), f"micro_batch_size {largest} was run and fits {limit}."
    point = known[0]
    needed = point.measured_bytes
    assert needed is not None  # noqa: S101 - points that fitted have it
    if point.micro_batch_size == micro:
        detail = f"micro_batch_size {micro} was run: it needs {size(needed)} of {limit}."
        return Level.OK, (needed, needed), detail
    detail = (
        f"micro_batch_size {micro} needs at most {size(needed)} of {limit}: "
        f"{point.micro_batch_size} was run with that."
    )
    return Level.OK, (None, needed), detail


def _beyond(micro: int, measured: Measured) -> tuple[Level, _Need, str]:
    """The size is larger than any that was run and fitted."""
    estimated, at_most = _need(micro, measured)
    limit, largest = measured.memory_limit_bytes, measured.max_micro_batch_size
    way_out = f"Use at most {largest}, the largest that was run and fitted, or --fix."
    refused = _refused(micro, measured)
    if refused is not None:
        how = "ran out of memory" if refused.out_of_memory else "did not fit freely"
        about = f"about {size(estimated)}" if estimated is not None else "more"
        detail = (
            f"micro_batch_size {micro} does not fit: {refused.micro_batch_size} was run and {how}. "
            f"It needs {about}, {size(limit)} are available. {way_out}"
        )
        return Level.ERROR, (estimated, None), detail
    if estimated is None or at_most is None:
        detail = f"Nothing tells how much micro_batch_size {micro} needs. {way_out}"
        return Level.UNTOLD, (None, None), detail
    if at_most <= limit:
        detail = (
            f"micro_batch_size {micro} needs at most {size(at_most)} of {size(limit)}; it was not "
            f"run, {largest} was."
        )
        return Level.OK, (estimated, at_most), detail
    if estimated > limit:
        detail = (
            f"micro_batch_size {micro} needs about {size(estimated)}, {size(limit)} are "
            f"available. {way_out}"
        )
        return Level.ERROR, (estimated, at_most), detail
    detail = (
        f"micro_batch_size {micro} was not run: it needs about {size(estimated)}, at most "
        f"{size(at_most)}, and {size(limit)} are available. {way_out}"
    )
    return Level.UNTOLD, (estimated, at_most), detail


def _fitted(measured: Measured) -> list[MemoryPoint]:
    return [
        point
        for point in measured.memory_curve
        if point.measured_bytes is not None
        and not point.out_of_memory
        and point.micro_batch_size <= measured.max_micro_batch_size
    ]


def _refused(micro: int, measured: Measured) -> MemoryPoint | None:
    """The smallest size above the maximum that was run, if this one is not below it.

    The maximum is the largest that fitted, so whatever was run above it did not: it ran out
    of memory, left no margin, or made the allocator try again.
    """
    for point in measured.memory_curve:
        is_above = point.micro_batch_size > measured.max_micro_batch_size
        if is_above and point.was_run and point.micro_batch_size <= micro:
            return point
    return None


def _need(micro: int, measured: Measured) -> _Need:
    """Estimate what a size above the largest known one needs, and bound it from above."""
    known = _fitted(measured)
    if not known or known[-1].measured_bytes is None:
        return None, None
    top, held = known[-1], known[-1].measured_bytes
    more = micro - top.micro_batch_size
    at_most = -(-held * micro // top.micro_batch_size)
    grown = held + round(_bytes_per_sample(known, measured) * more)
    return min(at_most, max(held, grown)), at_most


def _bytes_per_sample(known: list[MemoryPoint], measured: Measured) -> float:
    """The slope of the two largest measured points; of the prediction where one was measured."""
    line = [(point.micro_batch_size, point.measured_bytes or 0) for point in known[-2:]]
    if len(line) == 1:
        predicted = [p for p in measured.memory_curve if p.predicted_bytes is not None]
        line = [(point.micro_batch_size, point.predicted_bytes or 0) for point in predicted[-2:]]
    if len(line) <= 1:
        return 0.0
    (small, less), (large, more) = line
    return (more - less) / (large - small)
