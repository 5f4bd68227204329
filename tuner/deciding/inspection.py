"""Inspect: what the data and the model are, and which global batches are worth considering."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tuner.deciding.job import Job, Wants, failure_of, stopped_early
from tuner.errors import InvalidWorkload
from tuner.recommendation import Caution
from tuner.records import Inspect, Inspection
from tuner.spec import TuningSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is searched.

    Args:
        facts: What the device saw.
        batches: Global batch sizes to consider, ascending.
        limited_by_data: Whether the size of the data set cut the range.
        warnings: Sentences for the user.
    """

    facts: Inspection
    batches: tuple[int, ...]
    limited_by_data: bool
    warnings: tuple[Caution, ...]


def finding(job: Job) -> Scope | None:
    """Read the inspection, once it is there.

    Raises:
        InvalidWorkload: No batch is both in the range and within the data cap.
        TunerError: The data or the model cannot be used; the problem says why.
    """
    entry = job.history.get("inspect-0")
    if entry is None or not entry.ended:
        if job.over:
            raise stopped_early(job, "inspect")
        return None
    if not isinstance(entry.result, Inspection):
        raise failure_of(entry)
    return scope(job.spec, entry.result)


def wants(job: Job) -> Wants:
    """Ask for the one inspection."""
    if "inspect-0" in job.history:
        return Wants()
    return Wants(requests=(Inspect(id="inspect-0", workload=job.workload),))


def scope(spec: TuningSpec, facts: Inspection) -> Scope:
    """Intersect the range of batches with what the data allow.

    Raises:
        InvalidWorkload: Nothing is left.
    """
    wanted = spec.search_space.global_batch_size
    cap = math.floor(spec.search_space.max_data_fraction * facts.num_train)
    if cap < wanted.low:
        raise InvalidWorkload(
            f"search_space.global_batch_size.low is {wanted.low}, but no batch above {cap} is "
            f"considered: {spec.search_space.max_data_fraction:g} of {facts.num_train} training "
            "samples. Lower it, raise search_space.max_data_fraction, or bring more data.",
            code="batch_above_data_cap",
            pointer="/search_space/global_batch_size/low",
            facts={"data_cap": cap},
        )
    limited = cap < wanted.high
    warnings = [Caution(code="inspection", detail=text) for text in facts.warnings]
    if limited:
        warnings.append(
            Caution(
                code="batch_capped_by_data",
                detail=f"Batches above {cap} were not considered: they would be more than "
                f"{spec.search_space.max_data_fraction:g} of the {facts.num_train} training "
                "samples (search_space.max_data_fraction).",
            )
        )
    if facts.batch_dependent_layers:
        warnings.append(
            Caution(
                code="batch_dependent_layers",
                detail="The model has layers whose output depends on the micro-batch "
                f"({', '.join(facts.batch_dependent_layers[:3])}): the steps needed hold for "
                "the recommended micro_batch_size only, not for another way to the same "
                "global batch.",
            )
        )
    return Scope(
        facts=facts,
        batches=batch_grid(wanted.low, min(wanted.high, cap)),
        limited_by_data=limited,
        warnings=tuple(warnings),
    )


def batch_grid(low: int, high: int) -> tuple[int, ...]:
    """Return the powers of two of a range, or its two ends if it holds none.

    A batch half an octave off the optimum costs at most about 3 % of the time to target
    under T(B) = S_min (1 + B_c/B) (alpha + beta B), less than the noise between seeds: see
    docs/decisions/0002.
    """
    powers = tuple(
        2**exponent for exponent in range(high.bit_length()) if low <= 2**exponent <= high
    )
    return powers or tuple(sorted({low, high}))
