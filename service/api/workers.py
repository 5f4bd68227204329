"""The devices and what they are doing, as the controller wrote it down."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.dependencies import Parts, Wired
from service.api.responses import problems
from service.schemas import ControllerStatus, Worker, WorkerList
from service.store.database import now
from service.store.tables import ControllerRow

router = APIRouter(prefix="/v1", tags=["service"])


@router.get("/workers", responses=problems())
def list_workers(parts: Wired) -> WorkerList:
    """List the devices, what they do, and how often their child processes were replaced."""
    controller, devices = parts.jobs.devices()
    return WorkerList(
        controller=controller_status(controller, parts),
        items=[Worker.model_validate(device.view) for device in devices],
    )


def controller_status(controller: ControllerRow | None, parts: Parts) -> ControllerStatus:
    """Say whether the controller was seen lately."""
    if controller is None:
        return ControllerStatus(state="absent", seen_at=None, pid=None)
    age_seconds = (now() - controller.seen_at).total_seconds()
    fresh = age_seconds <= parts.settings.stale_heartbeat_seconds
    return ControllerStatus(
        state="fresh" if fresh else "stale", seen_at=controller.seen_at, pid=controller.pid
    )
