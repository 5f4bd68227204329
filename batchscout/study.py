"""What a batch-size study found, in short, as frozen records.

Curves, lines and landscapes are not here: `Client.findings` fetches them as plain JSON. A
quantity that was not measured is None, never invented.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from batchscout.answer import Caution, Device, read_record


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Mean over the seeds with its interval; without one below two seeds."""

    mean: float
    low: float | None
    high: float | None
    confidence: float
    seeds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """Quantities of one arm over its seeds."""

    minimum_validation_loss: Spread | None
    epochs_to_minimum: Spread | None
    seconds_to_minimum: Spread | None
    generalisation_gap: Spread | None
    distance: Spread | None
    distance_per_epoch: Spread | None
    update_norm: Spread | None
    gradient_norm: Spread | None
    keskar: Spread | None
    keskar_manifold: Spread | None
    asam: Spread | None
    hessian_top_eigenvalue: Spread | None
    hessian_trace: Spread | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyArm:
    """One batch size at one learning rate."""

    batch_size: int
    micro_batch_size: int
    learning_rate: float
    rule: str
    step_seconds: float
    seconds_per_epoch: float
    runs: int
    runs_converged: int
    summary: ArmSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim of the literature, held against this workload.

    Args:
        verdict: `holds`, `does_not_hold` or `cannot_be_told`.
        effect: In the unit that `measure` names, with its interval `low` to `high`.
        smallest_effect: What an effect has to exceed to matter.
        figure: Name of the chart that shows it.
        why: How the verdict came about.
    """

    code: str
    statement: str
    verdict: str
    measure: str
    effect: float | None
    low: float | None
    high: float | None
    confidence: float
    smallest_effect: float
    seeds: int
    figure: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySummary:
    """What a study found, without its curves."""

    arms: tuple[StudyArm, ...]
    claims: tuple[Claim, ...]
    num_train: int
    num_validation: int
    parameter_count: int
    device: Device
    device_seconds: float
    device_seconds_by_stage: Mapping[str, float]
    warnings: tuple[Caution, ...]
    spec_digest: str
    fingerprint: str

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """Read a summary from JSON.

        Args:
            document: As the service gives it.

        Returns:
            The summary, without fields that this version does not know.

        Raises:
            UnexpectedAnswer: A field that cannot be absent is missing or has another shape.
        """
        summary: Self = read_record(cls, document)
        return summary
