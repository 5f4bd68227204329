"""A store full of jobs that have ended, with an answer and trials as a real job left them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import insert

from service.api.examples import DIGITS
from service.api.recorded import recorded
from service.settings import Settings
from service.store.database import Database, now
from service.store.migrate import migrate
from service.store.tables import Job, JobState, Trial
from tuner.spec import digest

TRIALS = 20
MEMORY_POINTS = 12
BATCH = 500


def fill(settings: Settings, count: int) -> list[str]:
    """Store so many succeeded jobs, each with an answer and 20 trials.

    Args:
        settings: Where the store is; it is made if need be.
        count: How many jobs.

    Returns:
        Their ids, the oldest first.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(settings.resolved_database_url)
    migrate(database, lock_file=settings.data_dir / "migrate.lock")
    answer, trials, progress = _real()
    numbers = range(1, count + 1)
    for first in range(0, count, BATCH):
        some = numbers[first : first + BATCH]
        with database.write() as session:
            session.execute(insert(Job), [_job(number, answer, progress) for number in some])
            session.execute(insert(Trial), [row for n in some for row in _trials(n, trials)])
    database.close()
    return [_id(number) for number in numbers]


def _real() -> tuple[dict[str, Any], Sequence[dict[str, Any]], dict[str, Any]]:
    """An answer, trials and progress that a real service gave; lists that were cut made whole."""
    bodies = recorded()
    answer = dict(bodies["get_recommendation"])
    points = answer["memory_curve"]
    answer["memory_curve"] = [points[i % len(points)] for i in range(MEMORY_POINTS)]
    items = bodies["list_trials"]["items"]
    return answer, items, bodies["get_tuning_job"]["progress"]


def _id(number: int) -> str:
    return f"tj_{number:024x}"


def _job(number: int, answer: dict[str, Any], progress: dict[str, Any]) -> dict[str, Any]:
    spec = {**DIGITS, "seed": number}
    spec_digest, ended = digest(spec), now()
    return {
        "number": number,
        "id": _id(number),
        "state": JobState.SUCCEEDED,
        "desired_state": "finished",
        "stage": "recommend",
        "revision": 60,
        "last_sequence": 90,
        "spec": spec,
        "spec_digest": spec_digest,
        "owner": None,
        "fingerprint": digest({"number": number}),
        "forced": False,
        "progress": {**progress, "stage": "recommend", "fraction": 1.0},
        "answer": {**answer, "spec_digest": spec_digest},
        "problem": None,
        "created_at": ended - timedelta(seconds=150),
        "started_at": ended - timedelta(seconds=149),
        "finished_at": ended,
        "updated_at": ended,
    }


def _trials(number: int, views: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "job_number": number,
            "position": position,
            "view": {**views[position % len(views)], "number": position},
            "revision": 60,
        }
        for position in range(TRIALS)
    ]
