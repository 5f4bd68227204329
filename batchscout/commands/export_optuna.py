"""The Optuna format of `batchscout export`: a job's runs as a study in an SQLite file."""

from __future__ import annotations

import json
from pathlib import Path

from batchscout.client import Client
from batchscout.errors import UnexpectedAnswer
from batchscout.optuna_study import write_optuna_study


def export_optuna(client: Client, job_id: str, path: Path) -> int:
    """Fetch all that is stored of a tuning job, and write it as a study of Optuna.

    Args:
        client: Of the service that has the job.
        job_id: The tuning job; also the name of the study.
        path: The SQLite file to write; what is there is replaced.

    Returns:
        How many trials were written.

    Raises:
        OptunaMissing: Optuna is not installed here.
        Refused: There is no such job.
        ServiceUnavailable: Nobody answers.
        UnexpectedAnswer: What answers there has no tuning job of that id.
        OSError: The file cannot be written.
    """
    try:
        whole = json.loads(client.report(job_id, "json"))
        runs, answer, spec = whole["runs"], whole["answer"], whole["spec"]
    except (ValueError, TypeError, KeyError) as error:
        raise UnexpectedAnswer(f"what is told of {job_id} is no tuning job's evidence") from error
    return write_optuna_study(runs, answer, path, name=job_id, spec=spec)
