"""What the end of a child means: pure, so that every case can be tried.

A child that ends without an answer has been withdrawn, or has run out of the memory that its
container allows, or has crashed. How often a crashed attempt is tried again is decided by the
tuner, which knows the whole job; nothing is retried here.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from tuner.records import (
    GradientProbe,
    LandscapeProbe,
    LineProbe,
    MemoryMeasurement,
    MemoryTrial,
    MinimumProbe,
    Request,
    StackedRuns,
    StudyRun,
    TrainingRun,
)

Training: TypeAlias = TrainingRun | StackedRuns | StudyRun
"""Requests that end by their steps or their deadline, and whose steps belong to one kind of
device."""

STUCK_GRACE_SECONDS: Final = 120.0
"""How long after its deadline a training run may still evaluate, measure sharpness and write
its checkpoint before its child counts as stuck."""

REQUEST_LIMIT_SECONDS: Final = 3600.0
"""How long anything that neither trains nor looks at a minimiser may take. Loading a large data
set from a slow disk is the longest of them."""


PROBE_LIMIT_SECONDS: Final = 6 * 3600.0
"""How long a look at a minimiser may take: a landscape can be 101 x 101 evaluations."""

Probe: TypeAlias = MinimumProbe | GradientProbe | LineProbe | LandscapeProbe
"""Requests about weights that a study has trained."""


class ExitClass(StrEnum):
    """What became of an attempt whose child ended without an answer."""

    WITHDRAWN = "withdrawn"
    """It was cancelled. Nothing is tried again."""
    OUT_OF_MEMORY = "out_of_memory"
    """The kernel killed a memory trial: that is its answer."""
    CRASHED = "crashed"
    """A signal, an exit, or a stuck child that was ended. The tuner may try again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a child ended.

    Args:
        code: As `subprocess` counts: the exit code, or minus the number of a signal; None
            if its keeper died with it.
        withdrawn: The attempt was cancelled.
        overdue: It had been ended because it took too long.
        started: It was there at all.
    """

    code: int | None
    withdrawn: bool = False
    overdue: bool = False
    started: bool = True


def classify(request: Request, ended: Exit) -> ExitClass:
    """Say what became of an attempt whose child ended without an answer.

    The kernel's memory killer sends SIGKILL, and so do containers at their limit; shells
    report it as 137. In a memory trial that is what the trial was there to find out. It is
    not told apart from a person's `kill -9`: at worst a smaller size is measured next.

    Args:
        request: What was being measured.
        ended: How its child ended.

    Returns:
        The class.
    """
    if ended.withdrawn:
        return ExitClass.WITHDRAWN
    killed = ended.code in {-signal.SIGKILL, 128 + signal.SIGKILL}
    if killed and not ended.overdue and isinstance(request, MemoryTrial):
        return ExitClass.OUT_OF_MEMORY
    return ExitClass.CRASHED


def limit_seconds(request: Request) -> float | None:
    """How long a request may take before its child counts as stuck.

    Args:
        request: What is being measured.

    Returns:
        Wall seconds; None for training without a deadline, which ends by its steps and which
        its job can withdraw.
    """
    if isinstance(request, Probe):
        return PROBE_LIMIT_SECONDS
    if not isinstance(request, Training):
        return REQUEST_LIMIT_SECONDS
    if request.deadline_seconds is None:
        return None
    return request.deadline_seconds + STUCK_GRACE_SECONDS


def killed_for_memory(trial: MemoryTrial, device_seconds: float) -> MemoryMeasurement:
    """Return the result of a memory trial that the kernel has killed.

    Args:
        trial: What was being measured.
        device_seconds: Wall seconds it took.

    Returns:
        Out of memory, with no peaks: they died with the child.
    """
    return MemoryMeasurement(
        micro_batch_size=trial.micro_batch_size,
        out_of_memory=True,
        forward_backward_bytes=0,
        optimizer_bytes=0,
        evaluation_bytes=0,
        reserved_bytes=0,
        allocation_retries=0,
        steps=0,
        device_seconds=device_seconds,
    )


def describe(ended: Exit) -> str:
    """Say in one sentence how a child ended."""
    if ended.overdue:
        return "The measurement took too long and was ended."
    if not ended.started:
        return "The process that measures did not start."
    if ended.code is None:
        return "The process that measures and its keeper were killed."
    if ended.code >= 0:
        return f"The process that measures left with exit code {ended.code} and no answer."
    try:
        name = signal.Signals(-ended.code).name
    except ValueError:
        name = f"signal {-ended.code}"
    return f"The process that measures was ended by {name}."
