"""Gradients: how those of a batch scatter, at the initial weights and at a minimum."""

from __future__ import annotations

from typing import Final

from tuner.deciding.errand import Wants
from tuner.deciding.study.job import StudyJob
from tuner.deciding.study.probes import all_ended, extremes, not_asked
from tuner.records import GradientProbe

DRAWS: Final = 16
"""Independent batches of each size. The relative error of a variance is that of a chi-square
with draws - 1 times the effective number of dimensions as degrees of freedom: below a quarter
even where gradients scatter along a line, and the exponent is fitted over several sizes."""

DATA_SHARE: Final = 0.25
"""No batch above this share of the training samples: two batches of most of a small set are
nearly the same one."""

MIN_SIZES: Final = 3
"""Sizes to fit an exponent through; smaller ones are added where the study has fewer."""


def finding(job: StudyJob) -> bool | None:
    """Say that all gradients were looked at."""
    return all_ended(job, probes(job))


def wants(job: StudyJob) -> Wants:
    """Ask for the gradients that were not looked at."""
    return not_asked(job, probes(job))


def probes(job: StudyJob) -> tuple[GradientProbe, ...]:
    """Make two probes for every seed: at the initial weights, at the smallest batch's minimum."""
    ends = extremes(job)
    found: list[GradientProbe] = []
    for replicate in range(job.spec.seeds):
        found.append(_probe(job, "initial", replicate, None))
        run = ends[0].run(replicate) if ends is not None else None
        if run is not None and run.minimiser is not None:
            found.append(_probe(job, "minimum", replicate, run.minimiser))
    return tuple(found)


def batch_sizes(job: StudyJob) -> tuple[int, ...]:
    """Return the sizes to look at: those of the study that the data hold several times.

    Where these are too few for a fit, the smallest one is halved until there are enough.
    """
    cap = max(1, int(DATA_SHARE * job.subject.facts.num_train))
    sizes = [size for size in job.spec.batch_sizes if size <= cap] or [cap]
    while len(sizes) < MIN_SIZES and sizes[0] > 1:
        sizes.insert(0, sizes[0] // 2)
    return tuple(sizes)


def request_id(place: str, replicate: int) -> str:
    """Name the probe at `initial` or `minimum` weights of a seed."""
    return f"gradients-{place}-s{replicate}"


def _probe(job: StudyJob, place: str, replicate: int, minimiser: str | None) -> GradientProbe:
    assert job.findings.memory is not None  # noqa: S101  (stages run in order)
    return GradientProbe(
        id=request_id(place, replicate),
        workload=job.workload(),
        minimiser=minimiser,
        seed=job.study_seed(replicate),
        batch_sizes=batch_sizes(job),
        draws=DRAWS,
        samples_per_pass=job.findings.memory["optimizer"],
    )
