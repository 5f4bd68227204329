"""What every stage of a study reads: the spec, what was found before, and what came back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tuner.deciding.errand import Errand
from tuner.records import Inspection, Workload
from tuner.spec import StudySpec

if TYPE_CHECKING:
    from tuner.deciding.study.arms import Trained
    from tuner.deciding.study.timing import StepTimes
    from tuner.recommendation import Caution
    from tuner.study_findings import StudyFindings

Rule = Literal["optimizer", "rprop"]
"""What trains an arm: the optimizer of the spec, or Rprop on the full batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is studied.

    Args:
        facts: What the device saw.
        warnings: Sentences for the user.
    """

    facts: Inspection
    warnings: tuple[Caution, ...]


@dataclass(slots=True, kw_only=True)
class StudyStages:
    """What each stage has learned, in the order of the stages; None until it is decided.

    The stages of the probes decide nothing beyond that they have ended: what came back stays
    in the history.
    """

    inspect: Subject | None = None
    memory: dict[Rule, int] | None = None
    timing: StepTimes | None = None
    train: tuple[Trained, ...] | None = None
    minima: bool | None = None
    gradients: bool | None = None
    line: bool | None = None
    landscape: bool | None = None
    findings: StudyFindings | None = None


@dataclass(slots=True, kw_only=True)
class StudyJob(Errand):
    """One study, as its stages see it.

    Args:
        spec: What was asked.
        findings: What the stages have learned so far.
    """

    spec: StudySpec
    findings: StudyStages = field(default_factory=StudyStages)

    @property
    def subject(self) -> Subject:
        """What the inspection found; every stage after it has it."""
        assert self.findings.inspect is not None  # noqa: S101  (stages run in order)
        return self.findings.inspect

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Rules of update that train in this study."""
        return ("optimizer", "rprop") if self.spec.full_batch is not None else ("optimizer",)

    def largest_batch(self, rule: Rule) -> int:
        """Return the largest batch that a rule trains with, in samples."""
        return self.subject.facts.num_train if rule == "rprop" else max(self.spec.batch_sizes)

    def workload(self, rule: Rule = "optimizer") -> Workload:
        """Return what the device builds.

        Args:
            rule: Rule of update; Rprop takes the place of the optimizer of the spec.
        """
        assert self.capacity is not None  # noqa: S101  (no stage is asked without a device)
        training: dict[str, Any] = self.spec.training.model_dump(mode="json")
        if rule == "rprop" and self.spec.full_batch is not None:
            training["optimizer"] = self.spec.full_batch.model_dump(mode="json")
        return Workload(
            model=self.spec.model.model_dump(mode="json"),
            dataset=self.spec.dataset.model_dump(mode="json"),
            training=training,
            metric="validation_loss",
            accelerator=self.capacity.accelerator,
            data_seed=self.spec.seed,
            memory_limit_bytes=self.spec.hardware.memory_limit_bytes,
        )

    def study_seed(self, replicate: int) -> int:
        """Return the seed of a replicate, the same for every batch size and rate."""
        return self.training_seed("study", replicate)
