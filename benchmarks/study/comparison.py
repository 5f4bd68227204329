"""The table beside the published one, direction by direction."""

from __future__ import annotations

import math
from statistics import fmean
from typing import Any, Final

from benchmarks.study.published import ROWS, Row
from tuner.deciding.study import quantities
from tuner.deciding.study.arms import Trained, settled
from tuner.deciding.study.claims import Evidence
from tuner.deciding.study.claims.evidence import CannotBeTold
from tuner.deciding.study.statistics import CONFIDENCE, interval
from tuner.study import Study

MIN_SEEDS: Final = 5
"""Seeds below which a direction is not told."""


def compared(study: Study) -> list[dict[str, Any]]:
    """Hold every published row against the study.

    Args:
        study: At its end.

    Returns:
        One row each: both published figures, both means here with their arms, ln of their ratio
        paired by seed with its t interval at 95 % (of calibrated seconds wider by what step times
        differed by), and whether the direction is the published
        one: `yes`, `no`, or `cannot be told` where the interval holds 0.
    """
    evidence = Evidence(job=study.job, arms=settled(study.job))
    return [_row(evidence, row) for row in ROWS]


def best_rates(study: Study) -> list[dict[str, Any]]:
    """Return the rate at which every batch ends lowest, of those that it was trained at."""
    evidence = Evidence(job=study.job, arms=settled(study.job))
    found = []
    for batch in evidence.batches:
        try:
            best = evidence.best(batch)
        except CannotBeTold as reason:
            found.append({"batch_size": batch, "why_not": str(reason)})
        else:
            found.append({"batch_size": batch, "learning_rate": best.arm.learning_rate})
    return found


def _row(evidence: Evidence, row: Row) -> dict[str, Any]:
    said: dict[str, Any] = {
        "what": row.what,
        "compared": row.compared,
        "published": {"small": row.small, "large": row.large, "direction": row.direction},
    }
    try:
        small, large = _arms(evidence, row)
    except CannotBeTold as reason:
        return said | {"as_published": "cannot be told", "why_not": str(reason)}
    pairs = evidence.table((small, large), row.quantity)
    ratios = [math.log(b / a) for a, b in pairs if a > 0.0 and b > 0.0]
    said["here"] = {"small": _side(small, [a for a, _ in pairs]),
                    "large": _side(large, [b for _, b in pairs]), "seeds": len(ratios)}  # fmt: skip
    if len(ratios) < MIN_SEEDS:
        return said | {"as_published": "cannot be told", "why_not": f"{len(ratios)} seeds tell it"}
    mean, low, high = interval(ratios, CONFIDENCE)
    reach = _timing_reach(evidence, row)
    low, high = low - reach, high + reach
    said["here"] |= {"log_ratio": _short(mean), "low": _short(low), "high": _short(high)}
    return said | {"as_published": _verdict(low, high, row)}


def _arms(evidence: Evidence, row: Row) -> tuple[Trained, Trained]:
    if row.compared == "fixed":
        return evidence.ends()
    small, scaled = evidence.scaled()
    if row.compared == "scaled":
        return small, scaled
    fixed = evidence.at(scaled.arm.batch_size, small.arm.learning_rate)
    if fixed is None:
        raise CannotBeTold("The scaled batch was not trained at the fixed rate.")
    return fixed, scaled


def _timing_reach(evidence: Evidence, row: Row) -> float:
    """Return by how much step times may be off, as claims about calibrated seconds take it."""
    times = evidence.job.findings.timing
    if times is None or row.quantity is not quantities.seconds:
        return 0.0
    return 2.0 * math.log1p(times.spread_of("optimizer"))


def _verdict(low: float, high: float, row: Row) -> str:
    if low <= 0.0 <= high:
        return "cannot be told"
    return "yes" if (low > 0.0) == (row.direction == "rises") else "no"


def _side(one: Trained, values: list[float]) -> dict[str, Any]:
    return {
        "batch_size": one.arm.batch_size,
        "learning_rate": one.arm.learning_rate,
        "mean": _short(fmean(values)) if values else None,
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")
