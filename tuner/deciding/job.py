"""What every stage of a tuning reads: the spec, what was found before, and what came back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tuner.deciding.errand import Errand, Wants, failure_of, seed_from, stopped_early
from tuner.records import Knowledge, Workload
from tuner.spec import TuningSpec

if TYPE_CHECKING:
    from tuner.deciding.confirm import Confirmation
    from tuner.deciding.inspection import Scope
    from tuner.deciding.memory_curve import MemoryCurve
    from tuner.deciding.plan import Plan
    from tuner.deciding.race import RaceOutcome
    from tuner.deciding.search import Ranking
    from tuner.deciding.timing import Throughput
    from tuner.deciding.verify import Verdict
    from tuner.recommendation import Recommendation

__all__ = ["Findings", "Job", "Wants", "failure_of", "seed_from", "stopped_early"]


@dataclass(slots=True, kw_only=True)
class Findings:
    """What each stage has learned, in the order of the stages; None until it is decided."""

    inspect: Scope | None = None
    memory: MemoryCurve | None = None
    timing: Throughput | None = None
    verify: Verdict | None = None
    race: RaceOutcome | None = None
    plan: Plan | None = None
    search: Ranking | None = None
    confirm: Confirmation | None = None
    recommend: Recommendation | None = None


@dataclass(slots=True, kw_only=True)
class Job(Errand):
    """One tuning, as its stages see it.

    Args:
        spec: What was asked.
        findings: What the stages have learned so far.
        knowledge: What a past job knows of this workload, or None.
    """

    spec: TuningSpec
    findings: Findings = field(default_factory=Findings)
    knowledge: Knowledge | None = None

    @property
    def workload(self) -> Workload:
        """What the device builds, for every request of this job."""
        assert self.capacity is not None  # noqa: S101  (no stage is asked without a device)
        return Workload(
            model=self.spec.model.model_dump(mode="json"),
            dataset=self.spec.dataset.model_dump(mode="json"),
            training=self.spec.training.model_dump(mode="json"),
            metric=self.spec.objective.metric,
            accelerator=self.capacity.accelerator,
            data_seed=self.spec.seed,
            memory_limit_bytes=self.spec.hardware.memory_limit_bytes,
        )
