"""Who gets which devices: the oldest job first, each as many as it wants and there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from service.kinds import Spec
from tuner.records import CapacityChanged
from workers.executor import DeviceSlot


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one job wants.

    Args:
        accelerator: `cpu`, `cuda`, or `auto`: a card if there is one, else the processor.
        device_kind: The kind that the job has measured on before, or None: it stays with it.
        wanted: Measurements at once.
    """

    accelerator: str
    device_kind: str | None
    wanted: int

    @classmethod
    def of(cls, spec: Spec, before: CapacityChanged | None) -> Claim:
        """State what a job wants.

        Args:
            spec: What was asked.
            before: The capacity that it was told last, if any.
        """
        return cls(
            accelerator=before.accelerator if before else spec.hardware.accelerator,
            device_kind=before.device_kind if before else None,
            wanted=spec.budget.parallel_trials,
        )


def share(devices: Iterable[DeviceSlot], claims: Sequence[Claim]) -> list[CapacityChanged | None]:
    """Give devices to jobs.

    A job runs on devices of one kind. One that finds its kind taken waits for it rather than
    being measured on a slower one.

    Args:
        devices: All that there are, busy or not.
        claims: The oldest job's first.

    Returns:
        For each claim its capacity; 0 slots while others hold every device of its kind, and
        None where there is no such device at all.
    """
    devices = tuple(devices)
    accelerators = {device.kind: device.accelerator for device in devices}
    free = Counter(device.kind for device in devices)
    return [_grant(claim, accelerators, free) for claim in claims]


def _grant(
    claim: Claim, accelerators: dict[str, str], free: Counter[str]
) -> CapacityChanged | None:
    fitting = _fitting(claim, accelerators)
    if not fitting:
        return None
    kind = max(fitting, key=lambda kind: (free[kind], kind))
    slots = min(claim.wanted, free[kind])
    free[kind] -= slots
    return CapacityChanged(accelerator=accelerators[kind], device_kind=kind, slots=slots)


def _fitting(claim: Claim, accelerators: dict[str, str]) -> list[str]:
    if claim.device_kind is not None:
        return [kind for kind in accelerators if kind == claim.device_kind]
    wanted = claim.accelerator
    if wanted == "auto":
        wanted = "cuda" if "cuda" in accelerators.values() else "cpu"
    return [kind for kind, accelerator in accelerators.items() if accelerator == wanted]
