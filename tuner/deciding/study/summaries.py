"""Arms as people see them: every run with its curves, and quantities over the seeds."""

from __future__ import annotations

import math

from tuner.deciding.study.arms import ArmRun, Trained
from tuner.deciding.study.job import StudyJob
from tuner.deciding.study.quantities import SUMMARISED, shape_of
from tuner.deciding.study.statistics import spread
from tuner.records import EpochPoint, MinimumShape, StudyRunResult
from tuner.study_findings import (
    Arm,
    ArmSummary,
    HeatCell,
    LayerTravel,
    MinimumFound,
    StudyPoint,
    StudyRunFound,
)


def arm(job: StudyJob, one: Trained) -> Arm:
    """Show an arm. What is summarised is about converged runs alone.

    Args:
        job: The study.
        one: The arm with its runs.
    """
    plan = one.arm
    return Arm(
        batch_size=plan.batch_size,
        micro_batch_size=plan.micro_batch_size,
        learning_rate=plan.learning_rate,
        rule=plan.rule,
        step_seconds=plan.step_seconds,
        seconds_per_epoch=plan.step_seconds * job.subject.facts.num_train / plan.batch_size,
        runs_converged=len(one.converged),
        runs=tuple(_run(job, one, run) for run in one.runs),
        summary=ArmSummary(
            **{
                name: spread([quantity(job, one, run) for run in one.converged])
                for name, quantity in SUMMARISED.items()
            }
        ),
    )


def heat_cell(found: Arm) -> HeatCell:
    """Show an arm as a cell of the rate x batch map."""
    loss, seconds = found.summary.minimum_validation_loss, found.summary.seconds_to_minimum
    return HeatCell(
        batch_size=found.batch_size,
        learning_rate=found.learning_rate,
        minimum_validation_loss=loss.mean if loss else None,
        seconds_to_minimum=seconds.mean if seconds else None,
        runs_converged=found.runs_converged,
        runs=len(found.runs),
    )


def _run(job: StudyJob, one: Trained, run: ArmRun) -> StudyRunFound:
    points = run.result.points if run.result is not None else ()
    return StudyRunFound(
        request_id=run.request_id,
        seed=run.seed,
        state=run.state,
        points=tuple(_point(one, point) for point in points),
        minimum=_minimum(one, run, shape_of(job, one, run)),
    )


def _point(one: Trained, point: EpochPoint) -> StudyPoint:
    return StudyPoint(
        epoch=point.epoch,
        step=point.step,
        calibrated_seconds=point.step * one.arm.step_seconds,
        train_loss=finite(point.train_loss),
        validation_loss=finite(point.validation_loss),
        accuracy=finite(point.validation_metric),
        distance=finite(point.distance),
        epoch_distance=finite(point.epoch_distance),
        update_norm=finite(point.update_norm),
        gradient_norm=finite(point.gradient_norm),
    )


def _minimum(one: Trained, run: ArmRun, shape: MinimumShape | None) -> MinimumFound | None:
    least, result = run.minimum, run.result
    if least is None or result is None:
        return None
    if not all(map(math.isfinite, (least.train_loss, least.validation_loss, least.distance))):
        return None
    return MinimumFound(
        epoch=least.epoch,
        step=least.step,
        calibrated_seconds=least.step * one.arm.step_seconds,
        validation_loss=least.validation_loss,
        train_loss=least.train_loss,
        generalisation_gap=least.validation_loss - least.train_loss,
        accuracy=least.validation_metric,
        distance=least.distance,
        layers=_layers(result),
        keskar=finite(shape.keskar) if shape else None,
        keskar_manifold=finite(shape.keskar_manifold) if shape else None,
        asam=finite(shape.asam) if shape else None,
        hessian_eigenvalues=shape.eigenvalues if shape else (),
        hessian_trace=finite(shape.trace) if shape else None,
        hessian_trace_error=finite(shape.trace_error) if shape else None,
    )


def _layers(result: StudyRunResult) -> tuple[LayerTravel, ...]:
    return tuple(
        LayerTravel(name=layer.name, distance=layer.distance, initial_norm=layer.initial_norm)
        for layer in result.layers
    )


def finite(value: float | None) -> float | None:
    """Return a number, or None for what is no number to JSON."""
    return value if value is not None and math.isfinite(value) else None
