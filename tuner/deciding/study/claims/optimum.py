"""Whether there is a best batch, and whether one can be too small, or hold everything."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from tuner.deciding.study import quantities
from tuner.deciding.study.arms import ArmRun, Trained
from tuner.deciding.study.claims.claim import Claim, Direction
from tuner.deciding.study.claims.evidence import CannotBeTold, Evidence, left_out
from tuner.deciding.study.claims.fixed_rate import LOSS_EFFECT, TIME_EFFECT

FAILING_EFFECT: Final = 0.2
"""One seed in five."""

WORKABLE_EFFECT: Final = 0.1
"""A tenth of the validation loss is given up at most."""


def inside_optimum(evidence: Evidence) -> tuple[float, ...]:
    """Return ln(time of the better end of the range / of the best batch inside), by seed."""
    arms = _all_converged(evidence)
    if len(arms) < 3:  # noqa: PLR2004  (two have nothing between them)
        raise CannotBeTold("There is no batch between the smallest and the largest one.")
    rows = _logs(evidence.table(arms, quantities.seconds))
    found = []
    for index, row in enumerate(rows):
        means = left_out(rows, index)
        end = min((0, len(arms) - 1), key=means.__getitem__)
        inner = min(range(1, len(arms) - 1), key=means.__getitem__)
        found.append(row[end] - row[inner])
    return tuple(found)


def other_optimum(evidence: Evidence) -> tuple[float, ...]:
    """Return ln(loss of the batch that is best in time / best in loss), by seed."""
    arms = _all_converged(evidence)
    times, losses = (
        _logs(evidence.table(arms, quantity))
        for quantity in (quantities.seconds, quantities.validation_loss)
    )
    if len(times) != len(losses):
        raise CannotBeTold("Not every run has both a time and a loss above 0.")
    found = []
    for index, row in enumerate(losses):
        in_time, in_loss = left_out(times, index), left_out(losses, index)
        quickest = min(range(len(arms)), key=in_time.__getitem__)
        lowest = min(range(len(arms)), key=in_loss.__getitem__)
        found.append(row[quickest] - row[lowest])
    return tuple(found)


def too_small(evidence: Evidence) -> tuple[float, ...]:
    """Return 1 for each seed on which a larger batch converges and the smallest does not."""
    first = evidence.batches[0]
    small = [one for one in evidence.arms if one.arm.batch_size == first]
    large = [
        one for one in evidence.arms if one.arm.batch_size > first and one.arm.rule == "optimizer"
    ]
    found = []
    for replicate in range(evidence.job.spec.seeds):
        runs = [run for one in small if (run := one.run(replicate)) is not None]
        if not runs or not all(_had_its_time(evidence, run) for run in runs):
            continue
        elsewhere = any(_converged(one, replicate) for one in large)
        failed = not any(run.state == "converged" for run in runs)
        found.append(float(failed and elsewhere))
    return tuple(found)


def full_batch(evidence: Evidence) -> tuple[float, ...]:
    """Return ln(loss of the full batch by Rprop / of the best other batch), by seed."""
    whole = next((one for one in evidence.arms if one.arm.rule == "rprop"), None)
    if whole is None:
        raise CannotBeTold("The study did not train with the full batch. Set full_batch.")
    if not whole.converged:
        raise CannotBeTold(
            "No run of the full batch left its minimum behind it. Raise max_epochs or the budget."
        )
    others = _all_converged(evidence)
    rows = _logs(evidence.table((whole, *others), quantities.validation_loss))
    found = []
    for index, row in enumerate(rows):
        means = left_out(rows, index)
        best = min(range(1, len(row)), key=means.__getitem__)
        found.append(row[0] - row[best])
    return tuple(found)


def _all_converged(evidence: Evidence) -> tuple[Trained, ...]:
    """Return every batch at its best rate."""
    return tuple(evidence.best(batch) for batch in evidence.batches)


def _logs(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[math.log(value) for value in row] for row in rows if min(row) > 0.0]


def _had_its_time(evidence: Evidence, run: ArmRun) -> bool:
    """Whether a run says something of convergence: no deadline or fault has ended it."""
    if run.state == "exhausted" and run.result is not None:
        return run.result.points[-1].epoch >= evidence.job.spec.max_epochs
    return run.state in {"converged", "diverged"}


def _converged(one: Trained, replicate: int) -> bool:
    run = one.run(replicate)
    return run is not None and run.state == "converged"


CLAIMS: Final = (
    Claim(
        code="best_time_is_inside",
        statement="There is an optimum in time: neither the smallest nor the largest batch is the "
        "fastest.",
        measure="ln(calibrated seconds to the minimum of the better end / of the best batch "
        "between), each chosen by the other seeds",
        direction=Direction.MORE,
        smallest_effect=TIME_EFFECT,
        reason="Below five per cent, step times of one machine differ from hour to hour.",
        figure="seconds-to-minimum",
        effects=inside_optimum,
        is_timed=True,
    ),
    Claim(
        code="best_loss_is_elsewhere",
        statement="The batch that is best in time is not the one that is best in loss.",
        measure="ln(minimum validation loss of the batch that is best in time / best in loss), "
        "each chosen by the other seeds",
        direction=Direction.MORE,
        smallest_effect=LOSS_EFFECT,
        reason="One per cent of a loss is about what the choice of a seed changes.",
        figure="minimum-loss",
        effects=other_optimum,
    ),
    Claim(
        code="too_small_fails",
        statement="Too small a batch may not converge.",
        measure="share of the seeds on which a larger batch converges and the smallest one does "
        "not, at any rate",
        direction=Direction.MORE,
        smallest_effect=FAILING_EFFECT,
        reason="One seed in five is the least that five seeds can show.",
        figure="heat-map",
        effects=too_small,
        is_share=True,
    ),
    Claim(
        code="full_batch_works",
        statement="The full batch with Rprop is workable for these data.",
        measure="ln(minimum validation loss of the full batch / of the best other batch), that "
        "chosen by the other seeds",
        direction=Direction.AT_MOST,
        smallest_effect=WORKABLE_EFFECT,
        reason="A tenth of the loss may be worth the simplicity of having no batch size.",
        figure="minimum-loss",
        effects=full_batch,
    ),
)
