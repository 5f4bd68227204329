"""batchscout itself: one whole job for each budget, driven as a library user drives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from benchmarks.search.card import Card
from benchmarks.search.draw import Draw
from benchmarks.search.grid import Grid
from benchmarks.search.trail import Advice
from benchmarks.search.world import GridWorld
from tuner.errors import TunerError
from tuner.spec import TuningSpec
from tuner.tune import tune

MAX_TRIALS: Final = 100
"""More than any budget here holds: the device seconds decide."""

TIMEOUT_SECONDS: Final = 30 * 86400.0

SAMPLERS: Final = ("tpe", "physics_gp")


def samplers() -> tuple[str, ...]:
    """Return the samplers that a spec accepts."""
    return tuple(name for name in SAMPLERS if _is_accepted(name))


def advise(
    grid: Grid,
    card: Card,
    drawn: Draw,
    parts: Mapping[str, Any],
    *,
    sampler: str,
    budget_seconds: float,
) -> Advice:
    """Run one job and read its answer.

    Args:
        grid: What was recorded.
        card: What it costs.
        drawn: Which seeds may be trained on; the repeat seeds the job.
        parts: `model`, `dataset` and `training` of the workload's spec.
        sampler: Name of the sampler.
        budget_seconds: Device seconds in all.

    Returns:
        The recommended cell; none where there was no answer or its rate is null.
    """
    world = GridWorld(grid=grid, card=card, drawn=drawn)
    spec = spec_of(grid, parts, sampler=sampler, budget_seconds=budget_seconds, seed=drawn.repeat)
    try:
        answer = tune(spec, measure=world.measure)
    except TunerError as error:
        return Advice(
            cell=None,
            spent_seconds=budget_seconds,
            note=error.problem.code,
            out_of_memory=world.out_of_memory,
        )
    rate = answer.learning_rate
    return Advice(
        cell=None if rate is None else grid.cell(answer.global_batch_size, rate),
        spent_seconds=answer.spending.device_seconds,
        note=answer.evidence,
        out_of_memory=world.out_of_memory,
        trials=answer.spending.search_trials,
    )


def spec_of(
    grid: Grid, parts: Mapping[str, Any], *, sampler: str, budget_seconds: float, seed: int
) -> TuningSpec:
    """Make the spec that a user of this workload would write."""
    return TuningSpec.model_validate(
        {
            **parts,
            "objective": {
                "kind": "time_to_target",
                "metric": grid.metric,
                "target": grid.target,
                "sharpness_tolerance": 0.0,
            },
            "search_space": {
                "global_batch_size": {"low": int(grid.batches[0]), "high": int(grid.batches[-1])},
                "learning_rate": {
                    "low": float(grid.rates[0]),
                    "high": float(grid.rates[-1]),
                    "count": len(grid.rates),
                },
                "max_data_fraction": 1.0,
            },
            "search": {"sampler": sampler, "reuse": "never"},
            "budget": {
                "max_trials": MAX_TRIALS,
                "max_device_seconds": budget_seconds,
                "timeout_seconds": TIMEOUT_SECONDS,
            },
            "seed": seed,
        }
    )


def _is_accepted(sampler: str) -> bool:
    try:
        TuningSpec.model_validate(
            {
                "model": {"kind": "builtin", "name": "mlp"},
                "dataset": {"kind": "sklearn", "name": "digits"},
                "training": {"task": "classification"},
                "search": {"sampler": sampler},
            }
        )
    except ValidationError:
        return False
    return True
