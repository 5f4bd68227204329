"""What an answer says that a configuration can be held against."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


class UnreadableAnswer(Exception):
    """An answer lacks what is needed, or has another shape; the message names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPoint:
    """One size of the memory curve; None where it was not predicted or not run."""

    micro_batch_size: int
    predicted_bytes: int | None
    measured_bytes: int | None
    out_of_memory: bool | None

    @property
    def was_run(self) -> bool:
        """Whether this size was run at all."""
        return self.measured_bytes is not None or self.out_of_memory is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeModel:
    """T(B) = steps_minimum * (1 + critical_batch_size / B) * (fixed + per_sample * B)."""

    steps_minimum: float
    critical_batch_size: float
    fixed_seconds: float
    per_sample_seconds: float

    def seconds(self, global_batch_size: int, *, more_passes: int = 0) -> float:
        """Predict the training time at a global batch size.

        Args:
            global_batch_size: Samples per optimizer step.
            more_passes: Passes of a step beyond those that the model was fitted on, each
                counted as one more fixed part.
        """
        steps = self.steps_minimum * (1.0 + self.critical_batch_size / global_batch_size)
        fixed = self.fixed_seconds * (1 + more_passes)
        return steps * (fixed + self.per_sample_seconds * global_batch_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The part of an answer that verdicts rest on; names as in the answer.

    Args:
        micro_batch_size: Samples per device and pass.
        gradient_accumulation_steps: Passes per optimizer step.
        data_parallel_size: Devices.
        global_batch_size: Their product.
        learning_rate: None where it was not tuned.
        learning_rate_low: Lower edge of the rates that were measured to be good, or None.
        learning_rate_high: Upper edge, or None.
        max_micro_batch_size: Largest size that was run and fitted.
        memory_limit_bytes: What a run may use, the margin taken off.
        memory_curve: What was predicted and run, by size.
        time_model: None where the answer has none.
        device_name: What was measured on.
        evidence: `full`, `proxy` or `throughput_only`.
        target_reached: None where there was no target.
        spec_digest: Digest of the request.
        fingerprint: Digest of all that the answer depends on.
    """

    micro_batch_size: int
    gradient_accumulation_steps: int
    data_parallel_size: int
    global_batch_size: int
    learning_rate: float | None
    learning_rate_low: float | None
    learning_rate_high: float | None
    max_micro_batch_size: int
    memory_limit_bytes: int
    memory_curve: tuple[MemoryPoint, ...]
    time_model: TimeModel | None
    device_name: str
    evidence: str
    target_reached: bool | None
    spec_digest: str
    fingerprint: str

    @classmethod
    def read(cls, answer: Any) -> Self:
        """Read what is needed of an answer; fields beyond that are left alone.

        Args:
            answer: The recommendation as the service gives it.

        Returns:
            What is needed.

        Raises:
            UnreadableAnswer: A field is missing or has another shape.
        """
        of = _Fields(answer, "answer")
        rates = of.part("learning_rate_range")
        return cls(
            micro_batch_size=of.count("micro_batch_size"),
            gradient_accumulation_steps=of.count("gradient_accumulation_steps"),
            data_parallel_size=of.count("data_parallel_size"),
            global_batch_size=of.count("global_batch_size"),
            learning_rate=of.amount_or_none("learning_rate"),
            learning_rate_low=rates.amount("low") if rates else None,
            learning_rate_high=rates.amount("high") if rates else None,
            max_micro_batch_size=of.count("max_micro_batch_size"),
            memory_limit_bytes=of.count("memory_limit_bytes"),
            memory_curve=_curve(of.parts("memory_curve")),
            time_model=_time_model(of.part("time_model")),
            device_name=of.needed_part("device").text("name"),
            evidence=of.text("evidence"),
            target_reached=of.truth_or_none("target_reached"),
            spec_digest=of.text("spec_digest"),
            fingerprint=of.text("fingerprint"),
        )


def _curve(parts: list[_Fields]) -> tuple[MemoryPoint, ...]:
    points = {point.micro_batch_size: point for point in map(_point, parts)}
    if len(points) < len(parts):
        raise UnreadableAnswer("memory_curve of the answer has a size twice")
    return tuple(points[size] for size in sorted(points))


def _point(of: _Fields) -> MemoryPoint:
    return MemoryPoint(
        micro_batch_size=of.count("micro_batch_size"),
        predicted_bytes=of.count_or_none("predicted_bytes"),
        measured_bytes=of.count_or_none("measured_bytes"),
        out_of_memory=of.truth_or_none("out_of_memory"),
    )


def _time_model(of: _Fields | None) -> TimeModel | None:
    if of is None:
        return None
    step = of.needed_part("step_seconds")
    model = TimeModel(
        steps_minimum=of.amount("steps_minimum"),
        critical_batch_size=of.amount("critical_batch_size", least=0.0),
        fixed_seconds=step.amount("fixed", least=0.0),
        per_sample_seconds=step.amount("per_sample", least=0.0),
    )
    if model.fixed_seconds + model.per_sample_seconds == 0.0:
        raise UnreadableAnswer("step_seconds of the answer are nothing at all")
    return model


class _Fields:
    """Reads the fields of one object, each with the type that it must have.

    Args:
        document: The object; anything else is refused.
        name: Of the object, for people.
    """

    def __init__(self, document: Any, name: str) -> None:
        if not isinstance(document, Mapping):
            raise UnreadableAnswer(f"{name} is no object")
        self._document = document
        self._name = name

    def _get(self, field: str) -> Any:
        try:
            return self._document[field]
        except KeyError:
            raise UnreadableAnswer(f"{self._name} has no field {field!r}") from None

    def _wrong(self, field: str) -> UnreadableAnswer:
        return UnreadableAnswer(f"{field!r} of {self._name} has another shape than we know")

    def count(self, field: str) -> int:
        """A whole number of at least 1."""
        value = self._get(field)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self._wrong(field)
        return value

    def count_or_none(self, field: str) -> int | None:
        return None if self._get(field) is None else self.count(field)

    def amount(self, field: str, *, least: float | None = None) -> float:
        """A finite number: above 0, or at least `least`."""
        value = self._get(field)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(field)
        if not math.isfinite(value) or (value <= 0 if least is None else value < least):
            raise self._wrong(field)
        return float(value)

    def amount_or_none(self, field: str) -> float | None:
        return None if self._get(field) is None else self.amount(field)

    def truth_or_none(self, field: str) -> bool | None:
        value = self._get(field)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(field)
        return value

    def text(self, field: str) -> str:
        value = self._get(field)
        if not isinstance(value, str):
            raise self._wrong(field)
        return value

    def part(self, field: str) -> _Fields | None:
        value = self._get(field)
        return None if value is None else _Fields(value, field)

    def needed_part(self, field: str) -> _Fields:
        return _Fields(self._get(field), field)

    def parts(self, field: str) -> list[_Fields]:
        value = self._get(field)
        if not isinstance(value, list):
            raise self._wrong(field)
        return [_Fields(item, field) for item in value]
