"""Knowledge: what a past job leaves to later ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTrial:
    """One configuration that a past job trained, without anything of its device's speed.

    Args:
        global_batch_size: Samples per optimizer step.
        micro_batch_size: Samples per pass; matters where layers depend on the batch.
        learning_rate: Peak rate.
        evaluate_every_steps: Steps between its evaluations; smoothing delays a crossing by it.
        unseen: Whether it trained on a seed by which nothing had been chosen.
        kind: `complete`, `censored` or `diverged`, as the search saw it.
        score: For a target, ln of the optimizer steps to it (of those taken, where censored);
            for a training budget, ln of the loss or the error rate at its end. None of a
            diverged trial.
    """

    global_batch_size: int
    micro_batch_size: int
    learning_rate: float
    evaluate_every_steps: int
    unseen: bool
    kind: str
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCaution:
    """A warning of a past job's race that holds as long as its knowledge is used."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What a past job found out about learning, on whatever device.

    Args:
        key: Digest of what it was found for: model, data, code, training and objective.
        job_id: Of the past job.
        answered_at: When it was answered, ISO 8601.
        device_kind: Kind of device it ran on.
        device_name: What people call that device.
        global_batch_size: B0, the batch of its race.
        learning_rate: The winner's rate at B0.
        steps: The winner's optimizer steps to the target, or of its budget, at B0.
        target: Value to reach; None where the objective has none.
        target_origin: `user`, `automatic` or `none`.
        critical_batch_size: By the gradient noise scale; None where unresolved.
        critical_batch_size_low: Lower end of its 95 % interval.
        critical_batch_size_high: Upper end, None if unbounded.
        noise_windows: Number of windows behind it.
        trials: Every configuration it trained, the confirming runs among them.
        cautions: What its race had to warn of.
    """

    key: str
    job_id: str
    answered_at: str
    device_kind: str
    device_name: str
    global_batch_size: int
    learning_rate: float
    steps: float
    target: float | None
    target_origin: str
    critical_batch_size: float | None
    critical_batch_size_low: float | None
    critical_batch_size_high: float | None
    noise_windows: int
    trials: tuple[KnownTrial, ...]
    cautions: tuple[KnownCaution, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAnswer:
    """What a past job answered to the very same request, on the same data and device.

    Args:
        fingerprint: Of both jobs.
        job_id: Of the job that measured it.
        measured_at: When that job had ended, ISO 8601.
        answer: The recommendation as it was stored.
    """

    fingerprint: str
    job_id: str
    measured_at: str
    answer: Mapping[str, Any]
