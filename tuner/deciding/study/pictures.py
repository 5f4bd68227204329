"""What probes found, as people see it: gradients, lines, landscapes."""

from __future__ import annotations

from statistics import fmean
from typing import Final, Literal

from tuner.deciding.study import gradients, landscape, line
from tuner.deciding.study.claims.noise import exponent
from tuner.deciding.study.job import StudyJob
from tuner.deciding.study.probes import extremes, pairs
from tuner.deciding.study.statistics import spread
from tuner.deciding.study.summaries import finite
from tuner.records import GradientScatters, Landscape, LineProfile
from tuner.study_findings import (
    GradientNoise,
    GradientPoint,
    LandscapeFound,
    LineSample,
    MinimiserLine,
)

PLACES: Final[dict[str, Literal["initial_weights", "minimum"]]] = {
    "initial": "initial_weights",
    "minimum": "minimum",
}
"""From the word in a request's id to what people read."""


def gradient_noise(job: StudyJob) -> tuple[GradientNoise, ...]:
    """Show how gradients scatter at each place that was looked at, means over the seeds."""
    num_train = job.subject.facts.num_train
    found = []
    for place, at in PLACES.items():
        seen = _scatters(job, place)
        if seen:
            found.append(
                GradientNoise(
                    at=at,
                    points=_points(seen),
                    exponent=spread([exponent(one, num_train) for one in seen]),
                    full_gradient_norm=finite(fmean(one.full_norm for one in seen)),
                )
            )
    return tuple(found)


def lines(job: StudyJob) -> tuple[MinimiserLine, ...]:
    """Show the line of every seed that has one."""
    ends = extremes(job)
    if ends is None:
        return ()
    found = []
    for small, _ in pairs(job):
        entry = job.history.get(line.request_id(small.replicate))
        profile = entry.result if entry is not None else None
        if isinstance(profile, LineProfile):
            found.append(
                MinimiserLine(
                    small_batch_size=ends[0].arm.batch_size,
                    large_batch_size=ends[1].arm.batch_size,
                    seed=small.seed,
                    points=tuple(
                        LineSample(
                            alpha=point.alpha,
                            train_loss=finite(point.train_loss),
                            validation_loss=finite(point.validation_loss),
                        )
                        for point in profile.points
                    ),
                    statistics_recomputed=profile.statistics_recomputed,
                    refused=profile.refused,
                )
            )
    return tuple(found)


def landscapes(job: StudyJob) -> tuple[LandscapeFound, ...]:
    """Show every landscape that was taken."""
    found = []
    for one, run in landscape.shown(job):
        for dimensions in (1, 2):
            entry = job.history.get(landscape.request_id(one, run, dimensions))
            seen = entry.result if entry is not None else None
            if isinstance(seen, Landscape):
                found.append(
                    LandscapeFound(
                        batch_size=one.arm.batch_size,
                        learning_rate=one.arm.learning_rate,
                        seed=run.seed,
                        dimensions=1 if dimensions == 1 else 2,
                        axis=seen.axis,
                        losses=tuple(tuple(map(finite, row)) for row in seen.losses),
                        statistics_recomputed=seen.statistics_recomputed,
                    )
                )
    return tuple(found)


def _scatters(job: StudyJob, place: str) -> list[GradientScatters]:
    ids = [gradients.request_id(place, replicate) for replicate in range(job.spec.seeds)]
    entries = [job.history.get(name) for name in ids]
    return [e.result for e in entries if e is not None and isinstance(e.result, GradientScatters)]


def _points(seen: list[GradientScatters]) -> tuple[GradientPoint, ...]:
    columns = zip(*(one.scatters for one in seen), strict=True)
    return tuple(
        GradientPoint(
            batch_size=column[0].global_batch_size,
            variance=fmean(one.variance for one in column),
            mean_norm=fmean(one.mean_norm for one in column),
            cosine=fmean(one.cosine for one in column),
        )
        for column in columns
    )
