"""What Prometheus scrapes: requests from this process, everything else from the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.api.dependencies import Wired
from service.api.responses import problems
from service.store.database import now
from service.store.figures import Figures
from service.store.tables import CallbackState, ControllerRow, Device, JobState

router = APIRouter(tags=["service"])

_EXAMPLE: Final = (
    "# HELP batchscout_queue_depth Jobs that wait for a device.\n"
    "# TYPE batchscout_queue_depth gauge\n"
    "batchscout_queue_depth 3.0\n"
)
_TEXT: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The text format of Prometheus.",
        "content": {
            "text/plain": {
                "schema": {"type": "string"},
                "examples": {"queue": {"summary": "One of the metrics", "value": _EXAMPLE}},
            }
        },
    }
}


@router.get("/metrics", response_class=PlainTextResponse, responses={**_TEXT, **problems()})
def get_metrics(request: Request, parts: Wired) -> Response:
    """Read what a monitoring system draws, of all owners together."""
    figures = parts.jobs.figures()
    body = generate_latest(request.app.state.traffic.registry) + generate_latest(Stored(figures))
    return Response(body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})


class Stored(Collector):
    """What the database says, as metrics.

    Args:
        figures: What was read from it.
    """

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterable[Metric]:
        """Make the metrics; every state is there from the beginning, with nought."""
        figures = self._figures
        depth = figures.jobs.get(JobState.QUEUED, 0)
        yield GaugeMetricFamily(
            "batchscout_queue_depth", "Jobs that wait for a device.", value=depth
        )
        yield _by_state("batchscout_jobs", "Jobs in each state.", JobState, figures.jobs)
        yield _by_state(
            "batchscout_callbacks", "Callbacks in each state.", CallbackState, figures.callbacks
        )
        yield _trials(figures.trials)
        yield from _devices(figures.devices)
        if figures.controller is not None:
            yield _heartbeat(figures.controller)


def _by_state(
    name: str, text: str, states: Iterable[str], counts: Mapping[str, int]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=("state",))
    for state in states:
        family.add_metric((str(state),), counts.get(state, 0))
    return family


def _trials(ended: Mapping[str, int]) -> CounterMetricFamily:
    text = "Trials that have ended, by how; deleted jobs included."
    family = CounterMetricFamily("batchscout_trials", text, labels=("state",))
    for state in sorted({"complete", "censored", "diverged", "infeasible", *ended}):
        family.add_metric((state,), ended.get(state, 0))
    return family


def _devices(devices: Iterable[Device]) -> Iterator[Metric]:
    label = ("device",)
    share = GaugeMetricFamily(
        "batchscout_device_busy_share", "Part of the last five minutes with work.", labels=label
    )
    seconds = CounterMetricFamily(
        "batchscout_device_busy_seconds", "Work since the controller started.", labels=label
    )
    restarts = CounterMetricFamily(
        "batchscout_child_restarts",
        "Child processes that were replaced since the controller started.",
        labels=label,
    )
    for device in devices:
        view, labels = device.view, (device.id,)
        restarts.add_metric(labels, view.get("child_restarts", 0))
        if view.get("busy_seconds") is not None:
            share.add_metric(labels, view["busy_share"])
            seconds.add_metric(labels, view["busy_seconds"])
    yield from (share, seconds, restarts)


def _heartbeat(controller: ControllerRow) -> GaugeMetricFamily:
    age = max(0.0, (now() - controller.seen_at).total_seconds())
    text = "Time since the controller was last seen."
    return GaugeMetricFamily("batchscout_controller_heartbeat_age_seconds", text, value=age)
