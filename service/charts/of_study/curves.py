"""Training and validation curves against epochs, steps and calibrated seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from service.charts.chart import Chart, ChartTable
from service.charts.drawing import axis, counted, finite, layout, number
from service.charts.of_study.arms import ShownArm, gapped, line, mean_of, shown_arms
from service.charts.of_tuning.losses import thinned
from service.evidence import StudyEvidence
from tuner.study_findings import StudyPoint, StudyRunFound

MOST_POINTS: Final = 8000
"""Points of one figure at most."""

LEAST_POINTS: Final = 8
"""Points that a curve keeps at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """What curves are drawn against.

    Args:
        name: Of the chart.
        title: Of the axis.
        read: The coordinate of a point.
    """

    name: str
    title: str
    read: Callable[[StudyPoint], float]


CLOCKS: Final = (
    Clock(name="curves-epochs", title="epochs", read=lambda point: point.epoch),
    Clock(name="curves-steps", title="optimizer steps", read=lambda point: float(point.step)),
    Clock(
        name="curves-seconds",
        title="calibrated seconds",
        read=lambda point: point.calibrated_seconds,
    ),
)


def curves(evidence: StudyEvidence) -> tuple[Chart, ...]:
    """Draw the losses of every seed, one figure for each clock.

    Args:
        evidence: Of a study.
    """
    if evidence.findings is None:
        return ()
    arms = [s for s in shown_arms(evidence.findings) if any(run.points for run in s.arm.runs)]
    return tuple(_chart(clock, arms) for clock in CLOCKS) if arms else ()


def _chart(clock: Clock, arms: list[ShownArm]) -> Chart:
    runs = sum(len(shown.arm.runs) for shown in arms)
    most = max(LEAST_POINTS, MOST_POINTS // max(1, 2 * runs))
    data = []
    for shown in arms:
        for name, read in (("validation", _validation), ("training", _training)):
            xs, ys = gapped(
                [(clock.read(point), read(point)) for point in _thinned(run, most)]
                for run in shown.arm.runs
            )
            trace = line(shown, f"{shown.called}: {name}", x=xs, y=ys)
            if name == "training":
                trace |= {"opacity": 0.55, "line": trace["line"] | {"width": 1.0}}
            data.append(trace)
    return Chart(
        name=clock.name,
        title=f"Training and validation loss against {clock.title}",
        summary=_summary(clock, arms, runs),
        data=data,
        layout=layout(axis(clock.title), axis("loss", log=True)),
        table=ChartTable(
            headers=(
                "batch size",
                "learning rate",
                "seed",
                "state",
                f"{clock.title} to the minimum",
                "minimum validation loss",
                "training loss there",
                f"{clock.title} in all",
            ),
            rows=tuple(_row(clock, shown, run) for shown in arms for run in shown.arm.runs),
        ),
    )


def _thinned(run: StudyRunFound, most: int) -> list[StudyPoint]:
    kept = thinned([(float(at), None) for at in range(len(run.points))], most)
    return [run.points[int(at)] for at, _ in kept]


def _validation(point: StudyPoint) -> float | None:
    return finite(point.validation_loss)


def _training(point: StudyPoint) -> float | None:
    return finite(point.train_loss)


def _lowest(run: StudyRunFound) -> StudyPoint | None:
    known = [point for point in run.points if _validation(point) is not None]
    return min(known, key=lambda point: _validation(point) or 0.0) if known else None


def _row(clock: Clock, shown: ShownArm, run: StudyRunFound) -> tuple[str | int | float | None, ...]:
    lowest = _lowest(run)
    return (
        shown.arm.batch_size,
        shown.arm.learning_rate,
        run.seed,
        run.state,
        None if lowest is None else clock.read(lowest),
        None if lowest is None else lowest.validation_loss,
        None if lowest is None else lowest.train_loss,
        clock.read(run.points[-1]) if run.points else None,
    )


def _summary(clock: Clock, arms: list[ShownArm], runs: int) -> str:
    told = []
    for shown in (arms[0], arms[-1]):
        lows = [low for run in shown.arm.runs if (low := _lowest(run)) is not None]
        loss = mean_of(low.validation_loss for low in lows)
        at = mean_of(clock.read(low) for low in lows)
        told.append(
            f"at a batch of {shown.arm.batch_size} the validation loss is lowest, "
            f"{number(loss)}, after {number(at)} {clock.title}"
        )
    said = f"{counted(runs, 'run')} of {counted(len(arms), 'batch size')}: {told[0]}"
    return f"{said}; {told[1]}." if len(arms) > 1 else f"{said}."
