"""The reference: the batch that people start from, and the target that is read off its run.

Three rates, a third of the usual one, that one and three times it, train for a third of the
reference seconds. The best goes on to the end of them, on another seed. The target is its
lowest smoothed validation loss within 85 % of its steps, loosened by 1 %: a value that the
reference reaches, set before any search begins, and the same for all of them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from benchmarks.search.on_card.rig import Rig
from benchmarks.search.on_card.subjects import Subject
from tuner import curve
from tuner.errors import NotAnswerable
from tuner.records import Outcome

KEY: Final = "reference"
SPREAD: Final = 3.0
"""The rates that are tried are so many times apart."""

FIRST_SHARE: Final = 1.0 / 3.0
"""Of the reference seconds, for each rate."""

READ_AT: Final = 0.85
"""Share of the steps within which the target is read off."""

LOOSER: Final = 1.01
SEEDS: Final = (1001, 1002)
"""Of the first runs, and of the long one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What everything is measured by.

    Args:
        global_batch_size: Its batch.
        learning_rate: The best of three.
        target: Smoothed validation loss to reach.
        steps: Steps to the target.
        seconds: Calibrated seconds to the target.
        device_seconds: What finding all this cost.
    """

    global_batch_size: int
    learning_rate: float
    target: float
    steps: float
    seconds: float
    device_seconds: float


def reference_of(rig: Rig, subject: Subject) -> Reference:
    """Train the reference and read the target off it, or recall it.

    Raises:
        NotAnswerable: Every rate diverged.
    """
    known = rig.ledger.get(KEY)
    if known is not None:
        return Reference(**known)
    found = _found(rig, subject)
    rig.ledger.put(KEY, asdict(found))
    return found


def _found(rig: Rig, subject: Subject) -> Reference:
    batch = subject.reference_batch
    least = rig.limits.fewest_steps * rig.timed(batch).step_seconds
    whole = max(rig.limits.reference_seconds, least)
    spent, ended = 0.0, []
    for factor in (1.0 / SPREAD, 1.0, SPREAD):
        rate = factor * subject.reference_rate
        result, ran = rig.train(
            batch, rate, SEEDS[0], limit_seconds=FIRST_SHARE * whole, target=None
        )
        spent += ran.device_seconds
        if result.outcome is Outcome.CENSORED:
            ended.append((curve.smoothed(result.curve)[-1], rate))
    if not ended:
        raise NotAnswerable("Every rate of the reference diverged.", code="all_runs_diverged")
    rate = min(ended)[1]
    result, ran = rig.train(batch, rate, SEEDS[1], limit_seconds=whole, target=None)
    values = curve.smoothed(result.curve)
    read = [
        value
        for point, value in zip(result.curve, values, strict=True)
        if point.step <= READ_AT * result.steps
    ]
    if not read or result.outcome is not Outcome.CENSORED:
        raise NotAnswerable("The reference diverged on its way.", code="all_runs_diverged")
    target = LOOSER * min(read)
    steps = curve.crossing_steps(result.curve, target, rig.workload.metric)
    if steps is None:
        raise NotAnswerable("The reference does not learn.", code="target_not_reached")
    return Reference(
        global_batch_size=batch,
        learning_rate=rate,
        target=target,
        steps=steps,
        seconds=steps * rig.timed(batch).step_seconds,
        device_seconds=spent + ran.device_seconds,
    )
