"""Everything stored of a job comes back as one record, whatever its state."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from sqlalchemy import update

from service.evidence import tuning_evidence
from service.settings import Settings
from service.store.database import Database
from service.store.jobs import Jobs
from service.store.ledger import Ledger
from service.store.tables import Job
from tests.service.evidence.gathered import driven, evidence_of, study_of
from tests.tuner.world import World


def test_a_job_that_ended_has_all_of_it(settings: Settings, jobs: Jobs, ledger: Ledger) -> None:
    """Every run has its curve and its pace, and the seconds add up to what the answer cost."""
    found = evidence_of(settings, jobs, ledger, world=World(scatter=0.1), crash=True)
    assert found.state == "succeeded"
    assert found.answer is not None
    assert all(run.curve and run.step_seconds for run in found.runs if run.state != "diverged")
    assert {run.stage for run in found.runs} == {"race", "search", "confirm"}
    spent = found.answer.spending
    assert sum(found.seconds_by_stage.values()) == pytest.approx(spent.device_seconds)
    assert found.seconds_by_stage == pytest.approx(spent.device_seconds_by_stage)
    assert [attempt.cause for attempt in found.lost] == ["crashed"]
    assert [event.sequence for event in found.events] == list(range(1, len(found.events) + 1))
    assert found.inspection is not None
    assert found.versions["torch"] == found.inspection.device.torch_version
    assert any(run.noise for run in found.runs)


def test_runs_of_a_stack_have_their_own_curves(
    settings: Settings, jobs: Jobs, ledger: Ledger
) -> None:
    """What was trained side by side is told apart, and says in what it was trained."""
    found = evidence_of(settings, jobs, ledger, world=World(stack_gain=3.0))
    stacked = [run for run in found.runs if run.stacked_in is not None]
    assert len(stacked) > 1
    assert all(run.curve or run.state == "diverged" for run in stacked)
    assert len({run.curve for run in stacked if run.state != "diverged"}) > 1
    assert {run.device_seconds for run in stacked} == {None}


@pytest.mark.parametrize("turns", [0, 1, 3, 6, 12, 30])
def test_a_job_may_be_looked_at_any_time(
    settings: Settings, jobs: Jobs, ledger: Ledger, turns: int
) -> None:
    """Evidence of a job under way is what there is of it; nothing is made up."""
    found = evidence_of(settings, jobs, ledger, turns=turns)
    assert found.answer is None
    assert found.problem is None
    assert (found.surface is None) or found.runs
    assert all(run.steps is None for run in found.runs if run.state == "running")


def test_what_is_believed_is_stored_as_trials_end(
    settings: Settings, jobs: Jobs, ledger: Ledger
) -> None:
    """The stored map rests on every trial, and its best cell is near the best rate."""
    world = World()
    found = evidence_of(settings, jobs, ledger, world=world).surface
    assert found is not None
    assert found.goal == "time"
    means = {
        (batch, rate): mean
        for batch, row in zip(found.batch_sizes, found.means, strict=True)
        for rate, mean in zip(found.learning_rates, row, strict=True)
    }
    batch, rate = min(means, key=lambda cell: means[cell])
    assert abs(math.log(rate / world.rate(batch))) < math.log(2.0)
    assert all(one > 0.0 for row in found.deviations for one in row)


def test_what_another_version_wrote_is_said_to_be_unreadable(
    settings: Settings, jobs: Jobs, ledger: Ledger, database: Database
) -> None:
    """An answer that cannot be read is a problem; a map that cannot is left out."""
    recorded = driven(settings, jobs, ledger)
    with database.write() as session:
        session.execute(update(Job).values(answer={"old": 1}, surface={"old": 1}))
    again = jobs.recorded(recorded.job.number)
    assert again is not None
    found = tuning_evidence(again)
    assert found.answer is None
    assert found.surface is None
    assert found.problem is not None
    assert found.problem.code == "incompatible_upgrade"


def test_results_of_another_version_are_left_out(
    settings: Settings, jobs: Jobs, ledger: Ledger
) -> None:
    """A measurement that cannot be read is missing, and the others are there."""
    recorded = driven(settings, jobs, ledger)
    results = {
        key: {**payload, "version": 99} if key.startswith("inspect") else payload
        for key, payload in recorded.results.items()
    }
    found = tuning_evidence(replace(recorded, results=results))
    assert found.inspection is None
    assert found.timings


def test_a_deleted_job_has_no_evidence(jobs: Jobs) -> None:
    """There is nothing of a job that is not there."""
    assert jobs.recorded(12345) is None


def test_a_study_has_its_findings(settings: Settings, jobs: Jobs, ledger: Ledger) -> None:
    """The whole findings are read, not their summary; before the end there are none."""
    found = study_of(settings, jobs, ledger)
    assert found.state == "succeeded", found.problem
    assert found.findings is not None
    assert len(found.findings.arms) == 3
    assert all(run.points for arm in found.findings.arms for run in arm.runs)
    assert study_of(settings, jobs, ledger, turns=5, seed=1).findings is None
