"""A memory estimate as the client sees it: what fits cards that are not here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from batchscout.answer import read_record

PARTS: Final = ("model", "dataset", "training")
"""What an estimate takes of a tuning job's spec, besides two fields of its hardware."""

LIMITS: Final = ("memory_limit_bytes", "memory_margin")
"""Those two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySplit:
    """What the memory of a training step is made of, in bytes."""

    parameter_bytes: int
    gradient_bytes: int
    optimizer_state_bytes: int
    buffer_bytes: int
    data_bytes: int
    activation_bytes_per_sample: int
    workspace_and_context_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CardEstimate:
    """What is predicted for one card; the API's document says what each field is."""

    name: str
    memory_bytes: int
    usable_bytes: int
    source: str
    reserve_source: str
    max_micro_batch_size: int
    limited_by: str
    bytes_per_sample: int
    split: MemorySplit
    micro_batch_size: int
    live_bytes: int
    reserved_bytes: int
    total_bytes: int
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictBands:
    """Where the verdicts end, as shares of a card."""

    fits_share: float
    does_not_fit_share: float
    calibrated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Predicted memory on some cards. `verdict` is the worst of all."""

    verdict: str
    micro_batch_size: int | None
    estimates: tuple[CardEstimate, ...]
    bands: VerdictBands
    device_seconds: float
    cached: bool

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Read an estimate from JSON.

        Args:
            document: As the service gives it.

        Returns:
            The estimate, without fields that this version does not know.

        Raises:
            UnexpectedAnswer: A field that cannot be absent is missing or has another shape.
        """
        estimate: Self = read_record(cls, document)
        return estimate


def request_of(
    spec: Mapping[str, Any], gpus: Sequence[str], micro_batch_size: int | None = None
) -> dict[str, Any]:
    """Make the request of an estimate from the spec of a tuning job.

    Args:
        spec: Its model, dataset and training are taken, and the memory limit and margin of
            its hardware; the rest says nothing about memory.
        gpus: Names of cards.
        micro_batch_size: The size that the verdict shall be about; None for one sample.

    Returns:
        The body, as plain JSON.
    """
    body: dict[str, Any] = {name: spec[name] for name in PARTS if name in spec}
    hardware = spec.get("hardware")
    if isinstance(hardware, Mapping):
        body |= {name: hardware[name] for name in LIMITS if hardware.get(name) is not None}
    body["gpus"] = list(gpus)
    if micro_batch_size is not None:
        body["micro_batch_size"] = micro_batch_size
    return body
