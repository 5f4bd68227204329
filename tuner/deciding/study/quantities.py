"""Quantities: what is read off one run, each None where the run does not tell it.

All of them are about the minimum of the validation loss, or about the way to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import fmean, median
from types import MappingProxyType
from typing import Final

from tuner.deciding.study.arms import ArmRun, Trained
from tuner.deciding.study.job import StudyJob
from tuner.records import EpochPoint, MinimumShape

Quantity = Callable[[StudyJob, Trained, ArmRun], float | None]
"""From a run of an arm to a number."""


def shape_of(job: StudyJob, one: Trained, run: ArmRun) -> MinimumShape | None:
    """Return what the probe of a run's minimiser found; None where there was none."""
    entry = job.history.get(one.arm.request_id("minima", run.replicate))
    return entry.result if entry is not None and isinstance(entry.result, MinimumShape) else None


def way(run: ArmRun) -> tuple[EpochPoint, ...]:
    """Return the points after a step up to the minimum."""
    if run.result is None or run.result.minimum is None:
        return ()
    return run.result.points[1 : run.result.minimum + 1]


def validation_loss(_job: StudyJob, _one: Trained, run: ArmRun) -> float | None:
    """Lowest validation loss."""
    return run.minimum.validation_loss if run.minimum else None


def epochs(_job: StudyJob, _one: Trained, run: ArmRun) -> float | None:
    """Epochs to the minimum."""
    return run.minimum.epoch if run.minimum else None


def seconds(_job: StudyJob, one: Trained, run: ArmRun) -> float | None:
    """Calibrated seconds to the minimum: steps times the step time of the arm."""
    return run.minimum.step * one.arm.step_seconds if run.minimum else None


def generalisation_gap(_job: StudyJob, _one: Trained, run: ArmRun) -> float | None:
    """Validation loss minus training loss at the minimum."""
    return run.minimum.validation_loss - run.minimum.train_loss if run.minimum else None


def accuracy(_job: StudyJob, _one: Trained, run: ArmRun) -> float | None:
    """Validation accuracy at the minimum, a share."""
    return run.minimum.validation_metric if run.minimum else None


def distance(_job: StudyJob, _one: Trained, run: ArmRun) -> float | None:
    """Distance of all weights at the minimum from the initial ones."""
    return run.minimum.distance if run.minimum else None


def distance_per_epoch(_job: StudyJob, _one: Trained, run: ArmRun) -> float | None:
    """Mean distance between the weights of one epoch and the next, up to the minimum."""
    moved = [point.epoch_distance for point in way(run) if point.epoch_distance is not None]
    return fmean(moved) if moved else None


def update_norm(_job: StudyJob, _one: Trained, run: ArmRun) -> float | None:
    """Median over the epochs up to the minimum of the median norm of single updates."""
    norms = [point.update_norm for point in way(run) if point.update_norm is not None]
    return median(norms) if norms else None


def gradient_norm(_job: StudyJob, _one: Trained, run: ArmRun) -> float | None:
    """The same of the gradients of single steps."""
    norms = [point.gradient_norm for point in way(run) if point.gradient_norm is not None]
    return median(norms) if norms else None


def epoch_seconds(job: StudyJob, one: Trained, run: ArmRun) -> float | None:
    """Seconds of an epoch as this run took them, so that there is one figure a seed."""
    if run.result is None or not run.result.train_steps:
        return None
    steps = job.subject.facts.num_train / one.arm.batch_size
    return steps * run.result.train_seconds / run.result.train_steps


def keskar(job: StudyJob, one: Trained, run: ArmRun) -> float | None:
    """Keskar's phi over the whole space, per cent."""
    shape = shape_of(job, one, run)
    return shape.keskar if shape else None


def keskar_manifold(job: StudyJob, one: Trained, run: ArmRun) -> float | None:
    """Keskar's phi over a random manifold, per cent."""
    shape = shape_of(job, one, run)
    return shape.keskar_manifold if shape else None


def asam(job: StudyJob, one: Trained, run: ArmRun) -> float | None:
    """Adaptive sharpness."""
    shape = shape_of(job, one, run)
    return shape.asam if shape else None


def top_eigenvalue(job: StudyJob, one: Trained, run: ArmRun) -> float | None:
    """Largest eigenvalue of the Hessian."""
    shape = shape_of(job, one, run)
    return shape.eigenvalues[0] if shape and shape.eigenvalues else None


def hessian_trace(job: StudyJob, one: Trained, run: ArmRun) -> float | None:
    """Trace of the Hessian."""
    shape = shape_of(job, one, run)
    return shape.trace if shape else None


SUMMARISED: Final[Mapping[str, Quantity]] = MappingProxyType(
    {
        "minimum_validation_loss": validation_loss,
        "epochs_to_minimum": epochs,
        "seconds_to_minimum": seconds,
        "generalisation_gap": generalisation_gap,
        "distance": distance,
        "distance_per_epoch": distance_per_epoch,
        "update_norm": update_norm,
        "gradient_norm": gradient_norm,
        "keskar": keskar,
        "keskar_manifold": keskar_manifold,
        "asam": asam,
        "hessian_top_eigenvalue": top_eigenvalue,
        "hessian_trace": hessian_trace,
    }
)
"""From a field of `ArmSummary` to what it summarises."""
