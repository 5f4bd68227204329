"""Drive a whole job with a generated client, and print what was seen as JSON.

Runs where the generator runs, on what its client needs and nothing of ours:

    python whole_job.py FOLDER-OF-THE-CLIENT URL KEY-FILE < SPEC
"""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, sys.argv[1])

from batchscout_api import AuthenticatedClient
from batchscout_api.api.tuning_jobs import (
    cancel_tuning_job,
    create_tuning_job,
    delete_tuning_job,
    get_recommendation,
    get_tuning_job,
    list_trials,
    list_tuning_jobs,
)
from batchscout_api.models import Problem, Recommendation, TrialPage, TuningJob, TuningSpec
from batchscout_api.models import TuningJobPage as Page

ENDED = {"succeeded", "failed", "cancelled"}


def drive(client: AuthenticatedClient, spec: dict[str, Any]) -> dict[str, Any]:
    """Create, wait, read, cancel and delete.

    Args:
        client: Of a service.
        spec: The request.

    Returns:
        What was seen.
    """
    body = TuningSpec.from_dict(spec)
    job = create(client, body, "first")
    again = create(client, body, "first")
    other = create_tuning_job.sync(
        client=client, body=TuningSpec.from_dict(spec | {"seed": 5}), idempotency_key="first"
    )
    assert isinstance(other, Problem)
    second = create(client, TuningSpec.from_dict(spec | {"seed": 1}), "second")
    cancelled = cancel_tuning_job.sync(second.id, client=client)
    assert isinstance(cancelled, TuningJob)
    ended = wait(client, job.id)
    trials = list_trials.sync(job.id, client=client, limit=500)
    answer = get_recommendation.sync(job.id, client=client)
    assert isinstance(trials, TrialPage)
    assert isinstance(answer, Recommendation)
    wait(client, second.id)
    page = list_tuning_jobs.sync(client=client, limit=10)
    assert isinstance(page, Page)
    deleted = delete_tuning_job.sync_detailed(job.id, client=client)
    gone = get_tuning_job.sync(job.id, client=client)
    assert isinstance(gone, Problem)
    return {
        "same": again.id == job.id,
        "refused": other.code,
        "cancelled": cancelled.state,
        "state": ended.state,
        "stages": sorted({trial.stage for trial in trials.items}),
        "batch": answer.global_batch_size,
        "product": answer.micro_batch_size * answer.gradient_accumulation_steps,
        "rate": answer.learning_rate,
        "listed": len(page.items),
        "deleted": deleted.status_code,
        "gone": gone.code,
    }


def create(client: AuthenticatedClient, body: TuningSpec, key: str) -> TuningJob:
    """Queue a job under an idempotency key."""
    job = create_tuning_job.sync(client=client, body=body, idempotency_key=key)
    assert isinstance(job, TuningJob), job
    return job


def wait(client: AuthenticatedClient, job_id: str) -> TuningJob:
    """Poll, each time for as long as the service lets us."""
    while True:
        job = get_tuning_job.sync(job_id, client=client, wait=30.0)
        assert isinstance(job, TuningJob), job
        if job.state in ENDED:
            return job


def main() -> None:
    """Drive one job."""
    url, key = sys.argv[2], Path(sys.argv[3]).read_text(encoding="utf-8")
    client = AuthenticatedClient(
        base_url=url, token=key, timeout=60.0, raise_on_unexpected_status=True
    )
    with client:
        sys.stdout.write(json.dumps(drive(client, json.load(sys.stdin))))


if __name__ == "__main__":
    main()
