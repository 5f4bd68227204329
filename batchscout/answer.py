"""The answer to a tuning job as frozen records, read from JSON with the standard library.

The service may grow: fields that this version does not know are left out, so an old client
keeps reading a new service's answers. A field that was not measured is None, never invented.
The meaning of each field is documented where it is produced, in `docs/`.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Self, Union

from batchscout.errors import UnexpectedAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate with its confidence interval, where one can be given."""

    estimate: float
    low: float | None
    high: float | None
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeInterval:
    """Calibrated seconds to the target, over so many runs."""

    estimate: float
    low: float | None
    high: float | None
    confidence: float
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RateInterval:
    """Learning rates within 10 % of the best expected time, at the answer's own batch."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSeconds:
    """Seconds of one optimizer step: `fixed + per_sample * global_batch_size`."""

    fixed: float
    per_sample: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeModel:
    """T(B) = steps_minimum * (1 + critical_batch_size / B) * step_seconds(B)."""

    steps_minimum: float
    critical_batch_size: float
    step_seconds: StepSeconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharpness:
    """Three measures of the minimum, mean over the confirming runs."""

    asam: float | None
    keskar: float | None
    hessian_top_eigenvalue: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What was measured on."""

    kind: str
    name: str
    memory_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A confirmed configuration, its time and its sharpness."""

    global_batch_size: int
    micro_batch_size: int
    gradient_accumulation_steps: int
    learning_rate: float
    runs: int
    runs_reached: int
    time_to_target_seconds: TimeInterval | None
    final_metric: float | None
    sharpness: Sharpness | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """Something the user should know about this answer."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldFixed:
    """What was not searched, also in steps at the recommended batch."""

    optimizer: Mapping[str, Any]
    schedule: str
    gradient_clip_norm: float | None
    warmup_samples: int | None
    warmup_steps: int | None
    horizon_samples: int | None
    horizon_steps: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacking:
    """Runs of the race that trained side by side, and what they would have taken alone."""

    runs: int
    device_seconds: float
    separate_seconds: float
    expected_gain: float | None
    refused: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What the answer cost; `stacking` is None where no race asked for it."""

    device_seconds: float
    device_seconds_by_stage: Mapping[str, float]
    search_trials: int
    training_runs: int
    stacking: Stacking | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPoint:
    """Highest live bytes of one micro-batch size, as predicted and as run; None if not."""

    micro_batch_size: int
    predicted_bytes: int | None
    measured_bytes: int | None
    out_of_memory: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reused:
    """What was taken over from a past job instead of being searched, and how it held here."""

    job_id: str
    answered_at: str
    device_kind: str
    device_name: str
    global_batch_size: int
    learning_rate: float
    steps: float
    target: float | None
    critical_batch_size: Interval | None
    trials: int
    expected_seconds: float | None
    expected_metric: float | None
    measured_to_expected: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredFrom:
    """The job that measured an answer which is given again, and when it had ended."""

    job_id: str
    measured_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer to one tuning job; `answered_from` is None where it measured by itself."""

    micro_batch_size: int
    gradient_accumulation_steps: int
    data_parallel_size: int
    global_batch_size: int
    learning_rate: float | None
    objective: str
    metric: str
    target: float | None
    target_origin: str
    target_reached: bool | None
    runs: int
    runs_reached: int
    closest_metric: float | None
    evidence: str
    limited_by: str
    time_to_target_seconds: TimeInterval | None
    metric_at_budget: Interval | None
    steps_to_target: float | None
    step_time_seconds: float
    wall_to_calibrated: float | None
    evaluation_seconds: float
    samples_per_second: float
    max_micro_batch_size: int
    peak_memory_bytes: int
    memory_limit_bytes: int
    memory_curve: tuple[MemoryPoint, ...]
    learning_rate_range: RateInterval | None
    critical_batch_size: Interval | None
    time_model: TimeModel | None
    sharpness: Sharpness | None
    device: Device
    pareto: tuple[Candidate, ...]
    rivals: tuple[Candidate, ...]
    held_fixed: HeldFixed
    reused: Reused | None
    spending: Spending
    warnings: tuple[Caution, ...]
    spec_digest: str
    fingerprint: str
    answered_from: AnsweredFrom | None

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Read an answer from JSON.

        Args:
            document: The recommendation as the service gives it.

        Returns:
            The answer, without fields that this version does not know.

        Raises:
            UnexpectedAnswer: A field that cannot be absent is missing or has another shape.
        """
        answer: Self = read_record(cls, document)
        return answer


def read_record(record_type: type[Any], document: Any) -> Any:
    """Read a frozen record of this package from JSON.

    Args:
        record_type: A dataclass whose fields are records, tuples of them, or plain values.
        document: The JSON value.

    Returns:
        The record, without fields that it does not know.

    Raises:
        UnexpectedAnswer: A field that cannot be absent is missing or has another shape.
    """
    return _record(record_type, document, at="")


@cache
def _hints(record_type: type) -> dict[str, Any]:
    return typing.get_type_hints(record_type)


def _record(record_type: Any, document: Any, *, at: str) -> Any:
    if not isinstance(document, Mapping):
        raise UnexpectedAnswer(f"the answer has no object at {at or '/'}: {document!r}")
    values = {
        name: _value(hint, document.get(name), at=f"{at}/{name}")
        for name, hint in _hints(record_type).items()
    }
    return record_type(**values)


def _value(hint: Any, value: Any, *, at: str) -> Any:
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) in {Union, types.UnionType}:
        return None if value is None else _value(arguments[0], value, at=at)
    if value is None:
        raise UnexpectedAnswer(
            f"the answer has nothing at {at}: the service speaks another version; "
            f"install the batchscout that it runs"
        )
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _record(hint, value, at=at)
    if typing.get_origin(hint) is tuple:
        return tuple(_value(arguments[0], item, at=f"{at}/{i}") for i, item in enumerate(value))
    return value
