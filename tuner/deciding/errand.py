"""What jobs of every kind have in common: a history, a device, a budget, seeds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from tuner.deciding.history import Entry, History
from tuner.errors import Problem, TunerError
from tuner.records import CapacityChanged, Request, Tighten
from tuner.spec import MAX_SEED, StudySpec, TuningSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """What a stage would have measured next, most wanted first, and runs to cut short."""

    requests: tuple[Request, ...] = ()
    tighten: tuple[Tighten, ...] = ()


@dataclass(slots=True, kw_only=True)
class Errand:
    """One job, as its stages see it.

    Args:
        spec: What was asked.
        spec_digest: Digest of the user's own JSON.
        history: What was measured so far.
        findings: What the stages have learned so far; one attribute for each of them.
        capacity: The device of this job and how many measurements it runs at once.
        stopped: Why nothing more may be started, or None.
    """

    spec: TuningSpec | StudySpec
    spec_digest: str
    history: History
    findings: Any = None
    capacity: CapacityChanged | None = None
    stopped: str | None = None

    @property
    def slots(self) -> int:
        """Measurements that may run at once."""
        return min(self.capacity.slots, self.spec.budget.parallel_trials) if self.capacity else 0

    @property
    def device_kind(self) -> str:
        """Kind of device that every measurement of this job runs on."""
        assert self.capacity is not None  # noqa: S101  (no stage is asked without a device)
        return self.capacity.device_kind

    @property
    def budget_seconds(self) -> float:
        """Device seconds that this job may cost: its own limit, or what its timeout holds."""
        budget = self.spec.budget
        by_clock = budget.timeout_seconds * max(1, self.slots)
        return min(by_clock, budget.max_device_seconds or by_clock)

    @property
    def remaining_seconds(self) -> float:
        """Device seconds that are left."""
        return max(0.0, self.budget_seconds - self.history.device_seconds)

    @property
    def over(self) -> bool:
        """Whether nothing more may be started: stopped, or the device budget is spent."""
        limit = self.spec.budget.max_device_seconds
        return self.stopped is not None or (
            limit is not None and self.history.device_seconds >= limit
        )

    @property
    def deadline_seconds(self) -> float | None:
        """Wall seconds a run may take before it has spent the device budget."""
        if self.spec.budget.max_device_seconds is None:
            return None
        return max(1.0, self.remaining_seconds / max(1, self.slots))

    def training_seed(self, role: str, replicate: int) -> int:
        """Return the seed of a training run.

        Runs that are compared share it: it depends on neither batch size nor rate.
        """
        return seed_from(self.spec.seed, role, replicate)


def seed_from(*parts: object) -> int:
    """Derive a seed below 2**31 from anything that prints the same everywhere."""
    text = ":".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & MAX_SEED


def failure_of(entry: Entry) -> TunerError:
    """Turn the problem of a request that the job cannot do without into its failure."""
    return TunerError.of(entry.problem or Problem(code="internal_error", detail="no result"))


def stopped_early(job: Errand, stage: str) -> TunerError:
    """Say that the budget ended before there was anything to answer with."""
    return TunerError(
        f"The budget ended in the {stage} stage, before anything could be recommended. "
        "Raise budget.timeout_seconds or budget.max_device_seconds.",
        code="budget_exhausted",
        pointer="/budget",
        facts={"device_seconds": job.history.device_seconds},
    )
