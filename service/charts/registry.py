"""Which charts there are, in the order in which they are shown: one file and one line for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from service.charts.chart import Chart
from service.charts.of_study.by_batch import by_batch
from service.charts.of_study.claims import claims
from service.charts.of_study.curves import curves
from service.charts.of_study.gradients import gradients
from service.charts.of_study.heat import heat
from service.charts.of_study.landscapes import landscapes
from service.charts.of_study.layers import layers
from service.charts.of_study.line import between
from service.charts.of_tuning.finalists import finalists
from service.charts.of_tuning.losses import losses
from service.charts.of_tuning.memory import memory
from service.charts.of_tuning.pareto import pareto
from service.charts.of_tuning.rate_map import rate_map
from service.charts.of_tuning.spending import spending
from service.charts.of_tuning.throughput import throughput
from service.evidence import StudyEvidence, TuningEvidence

ChartsOfTuning: TypeAlias = Callable[[TuningEvidence], Chart | None]
ChartsOfStudy: TypeAlias = Callable[[StudyEvidence], tuple[Chart, ...]]

OF_TUNING: Final[tuple[ChartsOfTuning, ...]] = (
    rate_map,
    losses,
    finalists,
    pareto,
    throughput,
    memory,
    spending,
)
OF_STUDY: Final[tuple[ChartsOfStudy, ...]] = (
    claims,
    curves,
    by_batch,
    layers,
    gradients,
    between,
    landscapes,
    heat,
)


def charts_of(evidence: TuningEvidence | StudyEvidence) -> tuple[Chart, ...]:
    """Draw all that the evidence allows.

    Args:
        evidence: Of a tuning job or a study, at whatever point it is.

    Returns:
        The charts for which something was measured.
    """
    if isinstance(evidence, TuningEvidence):
        drawn = [draw(evidence) for draw in OF_TUNING]
        return tuple(chart for chart in drawn if chart is not None)
    return tuple(chart for draw in OF_STUDY for chart in draw(evidence))
