"""Inspect: what the data and the model are, and whether every batch can be drawn from them."""

from __future__ import annotations

from tuner.deciding.errand import Wants, failure_of, stopped_early
from tuner.deciding.study.job import StudyJob, Subject
from tuner.errors import InvalidWorkload
from tuner.recommendation import Caution
from tuner.records import Inspect, Inspection
from tuner.spec import StudySpec


def finding(job: StudyJob) -> Subject | None:
    """Read the inspection, once it is there.

    Raises:
        InvalidWorkload: A batch is larger than the data, or labels are invented.
        TunerError: The data or the model cannot be used; the problem says why.
    """
    entry = job.history.get("inspect-0")
    if entry is None or not entry.ended:
        if job.over:
            raise stopped_early(job, "inspect")
        return None
    if not isinstance(entry.result, Inspection):
        raise failure_of(entry)
    return subject(job.spec, entry.result)


def wants(job: StudyJob) -> Wants:
    """Ask for the one inspection."""
    if "inspect-0" in job.history:
        return Wants()
    return Wants(requests=(Inspect(id="inspect-0", workload=job.workload()),))


def subject(spec: StudySpec, facts: Inspection) -> Subject:
    """Hold the batches of a spec against the data.

    No share of the data caps a batch of a study: extremes are what it is for.

    Raises:
        InvalidWorkload: A batch is larger than the data, or labels are invented.
    """
    if facts.synthetic:
        raise InvalidWorkload(
            "The labels of this dataset are invented: there is nothing to learn, so nothing to "
            "study. Name a dataset with labels.",
            pointer="/dataset",
        )
    for index, batch in enumerate(spec.batch_sizes):
        if batch > facts.num_train:
            raise InvalidWorkload(
                f"batch_sizes[{index}] is {batch}, but there are {facts.num_train} training "
                "samples. Leave it out, or set full_batch to train with all samples in every "
                "step.",
                code="batch_above_data_cap",
                pointer=f"/batch_sizes/{index}",
                facts={"num_train": facts.num_train},
            )
    warnings = [Caution(code="inspection", detail=text) for text in facts.warnings]
    if facts.batch_dependent_layers:
        warnings.append(
            Caution(
                code="batch_dependent_layers",
                detail="The model has layers whose output depends on the micro-batch "
                f"({', '.join(facts.batch_dependent_layers[:3])}): where a batch is accumulated "
                "they see the micro-batch, and on a line or in a landscape their running "
                "statistics are taken anew at every point.",
            )
        )
    return Subject(facts=facts, warnings=tuple(warnings))
