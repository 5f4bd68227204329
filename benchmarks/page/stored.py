"""One stored job with a thousand trials, each with the loss curve of a training."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import delete, insert

from benchmarks.api.stored import fill
from service.settings import Settings
from service.store.database import Database
from service.store.tables import ResultRow, Trial
from tuner.records import CurvePoint, Outcome, TrainingResult, encode

TRIALS = 1000
POINTS = 40
STEPS_BETWEEN = 25
BATCHES = (8, 16, 32, 64, 128, 256)


def fill_one(settings: Settings) -> str:
    """Store a job with a real answer and a thousand trials that fall by a law.

    Args:
        settings: Where the store is; it is made if need be.

    Returns:
        The id of the job.
    """
    (job_id,) = fill(settings, 1)
    database = Database(settings.resolved_database_url)
    with database.write() as session:
        session.execute(delete(Trial))
        session.execute(insert(Trial), [_trial(number) for number in range(TRIALS)])
        session.execute(insert(ResultRow), [_result(number) for number in range(TRIALS)])
    database.close()
    return job_id


def _knobs(number: int) -> tuple[int, float, float]:
    """Batch, rate, and how far the rate is from the best one, in decades."""
    batch = BATCHES[number % len(BATCHES)]
    decades = 3.0 * ((number * 0.6180339887) % 1.0) - 1.5
    return batch, 0.1 * 10.0**decades, abs(decades)


def _losses(number: int) -> list[float]:
    batch, _, away = _knobs(number)
    pace = 0.08 * math.sqrt(batch / 32) / (1.0 + away * away)
    return [0.05 + 2.3 * math.exp(-pace * point) for point in range(POINTS)]


def _trial(number: int) -> dict[str, Any]:
    batch, rate, away = _knobs(number)
    steps = (POINTS - 1) * STEPS_BETWEEN
    reached = away < 1.0
    view = {
        "number": number,
        "request_id": f"search-{number}",
        "stage": "search",
        "state": "complete" if reached else "censored",
        "global_batch_size": batch,
        "micro_batch_size": batch,
        "gradient_accumulation_steps": 1,
        "learning_rate": rate,
        "seed": number,
        "steps": float(steps),
        "calibrated_seconds": steps * (0.001 + 0.0001 * batch),
        "metric": _losses(number)[-1],
        "asam": None,
    }
    return {"job_number": 1, "position": number, "view": view, "revision": 60}


def _result(number: int) -> dict[str, Any]:
    losses = _losses(number)
    steps = (POINTS - 1) * STEPS_BETWEEN
    result = TrainingResult(
        outcome=Outcome.CENSORED,
        steps=steps,
        crossing_steps=None,
        curve=tuple(
            CurvePoint(step=point * STEPS_BETWEEN, value=value)
            for point, value in enumerate(losses)
        ),
        limit_applied=steps,
    )
    return {"job_number": 1, "request_id": f"search-{number}", "payload": encode(result)}
