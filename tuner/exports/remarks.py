"""What an answer rests on, in sentences for comments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tuner.exports.numbers import number
from tuner.exports.plan import Plan, is_number

FIRST: Final = "Measured by batchscout: micro_batch_size holds for one device and one pass."
SECOND: Final = "Change these numbers together, or measure again."
# Two fixed lines come first: Python reads an encoding out of a comment in lines 1 and 2, and
# a device's name must not be able to set it.

NO_RATE: Final = (
    "The learning rate is left out: none was measured, since nothing was learned about learning "
    "(evidence: throughput_only)."
)


def remarks(plan: Plan, *notes: str) -> list[str]:
    """Say what the numbers rest on.

    Args:
        plan: The answer.
        notes: What a format adds.

    Returns:
        One remark for each fact that the answer holds; warnings come last.
    """
    return [FIRST, SECOND, *_evidence(plan), *cautions(plan, *notes)]


def cautions(plan: Plan, *notes: str) -> list[str]:
    """Say what has to be known before the numbers are used.

    Args:
        plan: The answer.
        notes: What a format adds.

    Returns:
        What was left out, the notes, and the warnings of the answer.
    """
    left_out = [NO_RATE] if plan.learning_rate is None else []
    return [*left_out, *notes, *_warnings(plan.answer)]


def _evidence(plan: Plan) -> Iterator[str]:
    answer = plan.answer
    yield (
        f"global batch: {plan.micro_batch_size} per pass x {plan.gradient_accumulation_steps} "
        f"passes x {plan.data_parallel_size} data-parallel = {plan.global_batch_size} samples"
    )
    for name in ("evidence", "limited_by"):
        if isinstance(answer.get(name), str):
            yield f"{name.replace('_', ' ')}: {answer[name]}"
    device = _part(answer, "device")
    if device:
        yield f"device: {device.get('name')} ({device.get('kind')})"
    yield from _memory(answer)
    yield from _speed(answer)
    spending = _part(answer, "spending")
    trials, runs = (_figure(spending, name) for name in ("search_trials", "training_runs"))
    if trials is not None and runs is not None:
        yield f"it took: {trials:.0f} search trials, {runs:.0f} training runs in all"
    for name in ("fingerprint", "spec_digest"):
        if isinstance(answer.get(name), str):
            yield f"{name.replace('_', ' ')}: {answer[name]}"


def _memory(answer: Mapping[str, Any]) -> Iterator[str]:
    peak, limit = (_figure(answer, name) for name in ("peak_memory_bytes", "memory_limit_bytes"))
    if peak is None or not limit:
        return
    yield (
        f"peak memory: {peak:.0f} of {limit:.0f} bytes, headroom {limit - peak:.0f} bytes "
        f"({100 * (1 - peak / limit):.1f} %)"
    )


def _speed(answer: Mapping[str, Any]) -> Iterator[str]:
    speed, step = (_figure(answer, name) for name in ("samples_per_second", "step_time_seconds"))
    if speed is not None and step is not None:
        yield f"throughput: {number(speed)} samples/s, {number(step)} s per optimizer step"


def _warnings(answer: Mapping[str, Any]) -> Iterator[str]:
    found = answer.get("warnings")
    for warning in found if isinstance(found, list) else ():
        if isinstance(warning, Mapping):
            yield f"warning {warning.get('code')}: {warning.get('detail')}"


def _part(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = answer.get(name)
    return part if isinstance(part, Mapping) else {}


def _figure(part: Mapping[str, Any], name: str) -> float | None:
    value = part.get(name)
    return value if is_number(value) else None
