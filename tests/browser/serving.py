"""A service at one address that can be taken away and brought back, and written to by hand."""

from __future__ import annotations

import threading
import time
from typing import Any, Self

import uvicorn

from service.address import open_listener, url_of
from service.api.examples import DIGITS
from service.api.recorded import recorded
from service.app import create_app
from service.kept import kept
from service.settings import Settings
from service.store.database import Database
from service.store.jobs import Asked, Jobs
from service.store.keys import Keys
from service.store.ledger import Ledger, Turn
from service.store.migrate import migrate
from service.store.tables import JobKind, JobState
from tuner.recommendation import Recommendation
from tuner.spec import digest
from tuner.study_findings import StudyFindings


class Serving:
    """The API of a deployment, whose jobs the test drives.

    Args:
        settings: The deployment.
    """

    def __init__(self, settings: Settings) -> None:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        self._settings = settings
        self._database = Database(settings.resolved_database_url)
        migrate(self._database, lock_file=settings.data_dir / "migrate.lock")
        self.jobs = Jobs(self._database)
        self.keys = Keys(self._database)
        self._port = 0
        self.url = ""

    def __enter__(self) -> Self:
        """Answer."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and let the store go."""
        self.stop()
        self._database.close()

    def start(self) -> None:
        """Answer, at the same address as before."""
        self._listener = open_listener("127.0.0.1", self._port)
        self.url = url_of(self._listener)
        self._port = int(self.url.rpartition(":")[2])
        config = uvicorn.Config(
            create_app(self._settings),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        sockets = {"sockets": [self._listener]}
        self._thread = threading.Thread(target=self._server.run, kwargs=sockets)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.01)

    def stop(self) -> None:
        """Be gone, as when the service is restarted."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()

    def create(self, spec: Any = DIGITS, *, kind: JobKind = JobKind.TUNING) -> str:
        """Queue a job without asking whether it can be answered, and say its id."""
        job = self.jobs.create(spec, digest(spec), max_queued=99, asked=Asked(kind=kind))
        return job.id

    def write(self, job_id: str, **turn: Any) -> None:
        """Write about a job as the controller does."""
        job = self.jobs.get(job_id)
        assert job is not None
        Ledger(self._database).commit(Turn(job_number=job.number, **turn))

    def run(self, job_id: str, stage: str = "race", **trial: Any) -> None:
        """Have a job run, with one trial more."""
        progress = {**recorded()["get_tuning_job"]["progress"], "stage": stage}
        view = {**recorded()["list_trials"]["items"][0], **trial}
        job = self.jobs.get(job_id)
        assert job is not None
        entered = JobState.RUNNING if job.state == JobState.QUEUED else None
        trials = {view["number"]: view}
        self.write(job_id, state=entered, stage=stage, progress=progress, trials=trials)

    def succeed(self, job_id: str) -> None:
        """Have a tuning job end with the answer of a real one."""
        answer = Recommendation.model_validate(recorded()["get_recommendation"])
        ended = {"state": JobState.SUCCEEDED, "stage": "recommend"}
        self.write(job_id, answer=kept(answer).answer, **ended)

    def find(self, job_id: str) -> None:
        """Have a study end with the findings of a small one."""
        stored = kept(StudyFindings.model_validate(recorded()["get_study_findings"]))
        self.write(job_id, state=JobState.RUNNING)
        ended = {"state": JobState.SUCCEEDED, "stage": "findings"}
        self.write(job_id, answer=stored.answer, findings=stored.findings, **ended)
