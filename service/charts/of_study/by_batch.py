"""One quantity against the batch size, with its interval over the seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from service.charts.chart import Chart, ChartTable
from service.charts.drawing import axis, intervals, layout, number
from service.charts.of_study.arms import ShownArm, known, shown_arms
from service.charts.palette import BLUE, ORANGE
from service.evidence import StudyEvidence
from tuner.study_findings import Arm, Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """Something that a study measures of each arm.

    Args:
        name: Of the chart.
        title: Of the chart and its axis.
        field: Of the summary of an arm.
        unit: Behind its numbers.
        log: Whether it is drawn on a logarithmic axis.
    """

    name: str
    title: str
    field: str
    unit: str = ""
    log: bool = False


QUANTITIES: Final = (
    Quantity(name="minimum-loss", title="minimum validation loss", field="minimum_validation_loss"),
    Quantity(name="epochs-to-minimum", title="epochs to the minimum", field="epochs_to_minimum"),
    Quantity(
        name="seconds-to-minimum",
        title="calibrated seconds to the minimum",
        field="seconds_to_minimum",
        unit=" s",
    ),
    Quantity(
        name="generalisation-gap",
        title="generalisation gap (validation minus training loss)",
        field="generalisation_gap",
    ),
    Quantity(name="distance", title="distance from the initial weights", field="distance"),
    Quantity(
        name="distance-per-epoch",
        title="distance moved per epoch",
        field="distance_per_epoch",
        log=True,
    ),
    Quantity(name="update-norm", title="norm of a single update", field="update_norm", log=True),
    Quantity(name="gradient-norm", title="norm of a gradient", field="gradient_norm", log=True),
    Quantity(name="keskar", title="Keskar's phi, whole space", field="keskar", unit=" %"),
    Quantity(
        name="keskar-manifold",
        title="Keskar's phi, random manifold",
        field="keskar_manifold",
        unit=" %",
    ),
    Quantity(name="asam", title="ASAM sharpness", field="asam"),
    Quantity(
        name="hessian-top-eigenvalue",
        title="top eigenvalue of the Hessian",
        field="hessian_top_eigenvalue",
    ),
    Quantity(name="hessian-trace", title="trace of the Hessian", field="hessian_trace"),
)
"""Adding one is one line."""


def by_batch(evidence: StudyEvidence) -> tuple[Chart, ...]:
    """Draw every quantity that was measured, and the seconds of an epoch.

    Args:
        evidence: Of a study.
    """
    if evidence.findings is None:
        return ()
    arms = shown_arms(evidence.findings)
    drawn = (_chart(quantity, arms) for quantity in QUANTITIES)
    return (*(chart for chart in drawn if chart is not None), *_epoch_seconds(arms))


def _chart(quantity: Quantity, arms: tuple[ShownArm, ...]) -> Chart | None:
    found = known(arms, lambda arm: _mean(arm, quantity))
    if not found:
        return None
    spreads = [_spread(shown.arm, quantity) for shown, _ in found]
    means = [mean for _, mean in found]
    bars = intervals(
        means,
        [spread.low if spread else None for spread in spreads],
        [spread.high if spread else None for spread in spreads],
    )
    sizes = sorted({shown.arm.batch_size for shown, _ in found})
    log = quantity.log and min(means) > 0.0
    return Chart(
        name=quantity.name,
        title=f"{quantity.title[0].upper()}{quantity.title[1:]} by batch size",
        summary=_summary(quantity, found),
        data=[
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": quantity.title,
                "x": [shown.arm.batch_size for shown, _ in found],
                "y": means,
                "error_y": bars,
                "line": {"color": BLUE},
                "marker": {
                    "size": 9,
                    "color": [_colour(shown) for shown, _ in found],
                    "symbol": ["diamond" if _is_full(shown) else "circle" for shown, _ in found],
                },
                "text": [shown.called for shown, _ in found],
                "hovertemplate": "%{text}: %{y:.4g}<extra></extra>",
            }
        ],
        layout=layout(
            axis("batch size", log=True, ticks=sizes),
            axis(
                quantity.title + (f" ({quantity.unit.strip()})" if quantity.unit else ""), log=log
            ),
            showlegend=False,
        ),
        table=ChartTable(
            headers=("batch size", "learning rate", "rule", "mean", "from", "to", "seeds"),
            rows=tuple(_row(shown, _spread(shown.arm, quantity)) for shown in arms),
        ),
    )


def _epoch_seconds(arms: tuple[ShownArm, ...]) -> tuple[Chart, ...]:
    timed = [shown for shown in arms if shown.arm.seconds_per_epoch > 0.0]
    if not timed:
        return ()
    first, last = timed[0].arm, timed[-1].arm
    return (
        Chart(
            name="seconds-per-epoch",
            title="Calibrated seconds per epoch by batch size",
            summary=f"An epoch takes {number(first.seconds_per_epoch)} s at a batch of "
            f"{first.batch_size} and {number(last.seconds_per_epoch)} s at {last.batch_size}.",
            data=[
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": "seconds per epoch",
                    "x": [shown.arm.batch_size for shown in timed],
                    "y": [shown.arm.seconds_per_epoch for shown in timed],
                    "line": {"color": BLUE},
                    "marker": {"size": 9, "color": BLUE},
                }
            ],
            layout=layout(
                axis("batch size", log=True, ticks=sorted({s.arm.batch_size for s in timed})),
                axis("calibrated seconds per epoch", log=True),
                showlegend=False,
            ),
            table=ChartTable(
                headers=(
                    "batch size",
                    "micro-batch size",
                    "seconds per step",
                    "seconds per epoch",
                ),
                rows=tuple(
                    (a.batch_size, a.micro_batch_size, a.step_seconds, a.seconds_per_epoch)
                    for a in (shown.arm for shown in timed)
                ),
            ),
        ),
    )


def _spread(arm: Arm, quantity: Quantity) -> Spread | None:
    found: Spread | None = getattr(arm.summary, quantity.field)
    return found


def _mean(arm: Arm, quantity: Quantity) -> float | None:
    spread = _spread(arm, quantity)
    return None if spread is None else spread.mean


def _is_full(shown: ShownArm) -> bool:
    return shown.arm.rule == "rprop"


def _colour(shown: ShownArm) -> str:
    return ORANGE if _is_full(shown) else BLUE


def _row(shown: ShownArm, spread: Spread | None) -> tuple[str | int | float | None, ...]:
    arm = shown.arm
    told = (spread.mean, spread.low, spread.high, spread.seeds) if spread else (None,) * 3 + (0,)
    return (arm.batch_size, arm.learning_rate, arm.rule, *told)


def _summary(quantity: Quantity, found: list[tuple[ShownArm, float]]) -> str:
    low = min(found, key=lambda pair: pair[1])
    high = max(found, key=lambda pair: pair[1])
    if low is high:
        return f"{quantity.title}: {number(low[1])}{quantity.unit} for {low[0].called}."
    return (
        f"The {quantity.title} is least, {number(low[1])}{quantity.unit}, at a batch of "
        f"{low[0].arm.batch_size} and most, {number(high[1])}{quantity.unit}, at "
        f"{high[0].arm.batch_size}."
    )
