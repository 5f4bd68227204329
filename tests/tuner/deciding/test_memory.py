"""The memory stage of a job: traces first, then trials, and what the answer says of them."""

from __future__ import annotations

import random

import pytest

from tests.tuner.driver import Driver, make_spec, replay
from tests.tuner.world import World
from tuner.deciding.probing import ACCUMULATION
from tuner.errors import Problem
from tuner.records import (
    AttemptLost,
    CapacityChanged,
    Failed,
    MemoryReplay,
    MemoryTrace,
    MemoryTrial,
    Result,
    Start,
    Started,
)
from tuner.tuning import Tuning

NARROW = {"bytes_fixed": 5_000_000, "limit_bytes": 30_000_000}


def _job(**laws) -> Driver:
    driver = Driver(tuning=Tuning(make_spec()), world=World(**laws), rng=random.Random(1))
    driver.run(1)
    return driver


def _requests(driver: Driver, kind: type) -> list:
    return [
        e.request for e in driver.sequence if isinstance(e, Started) and isinstance(e.request, kind)
    ]


def test_the_curve_is_traced_before_anything_runs() -> None:
    """Traces come first, of the same workload; then three trials at the limit."""
    driver = _job(**NARROW)
    kinds = [type(e.request) for e in driver.sequence if isinstance(e, Started)]
    traces, trials = _requests(driver, MemoryTrace), _requests(driver, MemoryTrial)
    assert kinds[1:6] == [MemoryTrace, MemoryTrace, MemoryTrial, MemoryTrial, MemoryTrial]
    assert traces[0].micro_batch_sizes == (64, 128)
    assert {trace.accumulation for trace in traces} == {ACCUMULATION}
    assert traces[0].card.device_type == "cpu"
    assert len(traces) == 2
    assert len([trial for trial in trials if trial.id.startswith("memory-")]) <= 3
    assert {trial.limit_bytes for trial in trials} == {30_000_000}


def test_the_answer_carries_the_predicted_and_the_measured_curve() -> None:
    """Every size that was traced or run is in the evidence, by size, with what was seen."""
    driver = _job(**NARROW, predicted_share=0.9)
    answer = driver.tuning.answer
    sizes = [point.micro_batch_size for point in answer.memory_curve]
    assert sizes == sorted(set(sizes))
    measured = [point for point in answer.memory_curve if point.measured_bytes is not None]
    assert answer.max_micro_batch_size == max(point.micro_batch_size for point in measured)
    assert {trial.micro_batch_size for trial in _requests(driver, MemoryTrial)} <= set(sizes)
    for point in measured:
        assert point.measured_bytes == driver.world.peak_bytes(point.micro_batch_size)
        assert point.out_of_memory is False
    for point in answer.memory_curve:
        assert point.predicted_bytes == pytest.approx(
            0.9 * driver.world.peak_bytes(point.micro_batch_size), rel=0.1
        )
    assert not [caution for caution in answer.warnings if caution.code == "memory_not_predicted"]


@pytest.mark.parametrize(("share", "less"), [(1.0, 0), (0.9, 0), (0.93, 1_000_000), (1.1, 0)])
def test_a_wrong_prior_leads_to_the_same_maximum(share: float, less: int) -> None:
    """The trials correct the prediction: the answer stays within 4 % of the true maximum."""
    driver = _job(**NARROW, predicted_share=share, predicted_less_bytes=less)
    goal = driver.tuning.answer.memory_limit_bytes
    best = (goal - 5_000_000) // 100_000
    assert 0.96 * best <= driver.tuning.answer.max_micro_batch_size <= best
    assert len(_requests(driver, MemoryTrial)) <= 5  # four, and one to confirm the answer


def test_a_workload_that_cannot_be_traced_is_grown_and_the_answer_says_so() -> None:
    """Without a prediction the growth finds the maximum; a caution and the curve say it."""
    driver = _job(**NARROW, predicted_share=0.0)
    answer = driver.tuning.answer
    best = (answer.memory_limit_bytes - 5_000_000) // 100_000
    assert 0.98 * best - 1 <= answer.max_micro_batch_size <= best
    assert [c.code for c in answer.warnings].count("memory_not_predicted") == 1
    assert all(point.predicted_bytes is None for point in answer.memory_curve)
    assert len(_requests(driver, MemoryTrace)) == 1


def test_recorded_requests_are_replayed_before_the_last_trial() -> None:
    """Where trials are recorded, a replay of two of them names the third size, which is right."""
    driver = _job(**NARROW, predicted_share=0.9, records_requests=True)
    started = [e.request for e in driver.sequence if isinstance(e, Started)]
    memory = [request for request in started if request.id.startswith("memory-")]
    kinds = [type(request) for request in memory if not isinstance(request, MemoryTrace)]
    assert kinds == [MemoryTrial, MemoryTrial, MemoryReplay, MemoryTrial, MemoryReplay]
    trials = [request for request in memory if isinstance(request, MemoryTrial)]
    replay = next(request for request in memory if isinstance(request, MemoryReplay))
    assert replay.recordings == tuple(f"of {t.micro_batch_size}" for t in trials[:2])
    assert replay.limit_bytes == 30_000_000
    assert replay.goal_bytes == driver.tuning.answer.memory_limit_bytes
    best = (replay.goal_bytes - 5_000_000) // 100_000
    assert driver.tuning.answer.max_micro_batch_size == best


def test_a_replay_that_cannot_tell_does_not_fail_the_job() -> None:
    """Missing recordings cost their help alone: the fitted line names the size instead."""
    driver = _job(**NARROW, predicted_share=0.9, records_requests=True, replays=False)
    assert _requests(driver, MemoryReplay)
    best = (driver.tuning.answer.memory_limit_bytes - 5_000_000) // 100_000
    assert 0.96 * best <= driver.tuning.answer.max_micro_batch_size <= best


def test_a_replay_whose_child_died_does_not_fail_the_job() -> None:
    """After its retries the search goes on without it."""
    driver = Driver(
        tuning=Tuning(make_spec()),
        world=World(**NARROW, records_requests=True),
        rng=random.Random(1),
    )
    tuning, world = driver.tuning, driver.world
    driver.apply(CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1))
    while tuning.progress.stage in {"inspect", "memory"}:
        (start,) = tuning.actions()
        assert isinstance(start, Start)
        driver.apply(Started(request=start.request))
        if isinstance(start.request, MemoryReplay):
            driver.apply(AttemptLost(request_id=start.request.id, cause="crashed"))
        else:
            result = world.measure(start.request)
            driver.apply(Result(request_id=start.request.id, result=result))
    assert tuning.failure is None
    sizes = [trial.micro_batch_size for trial in _requests(driver, MemoryTrial)]
    best = (0.97 * 30_000_000 - 5_000_000) // 100_000
    assert 0.96 * best <= max(sizes) <= best


def _until_trace() -> tuple[Tuning, World, Start]:
    tuning, world = Tuning(make_spec()), World(**NARROW)
    tuning.apply(CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1))
    (start,) = tuning.actions()
    tuning.apply(Started(request=start.request))
    tuning.apply(Result(request_id=start.request.id, result=world.measure(start.request)))
    (trace,) = tuning.actions()
    assert isinstance(trace.request, MemoryTrace)
    return tuning, world, trace


def test_a_trace_that_fails_does_not_fail_the_job() -> None:
    """A trace whose workload raised, or whose child crashed for good, leads to growth."""
    tuning, _, trace = _until_trace()
    tuning.apply(Started(request=trace.request))
    problem = Problem(code="workload_raised", detail="It raised.")
    tuning.apply(Failed(request_id=trace.request.id, problem=problem))
    assert tuning.failure is None
    (trial,) = tuning.actions()
    assert isinstance(trial.request, MemoryTrial)

    tuning, _, trace = _until_trace()
    for _ in range(3):
        (again,) = tuning.actions()
        assert again.request == trace.request
        tuning.apply(Started(request=again.request))
        assert tuning.actions() == ()
        tuning.apply(AttemptLost(request_id=again.request.id, cause="crashed"))
    (trial,) = tuning.actions()
    assert isinstance(trial.request, MemoryTrial)


def test_replay_leads_to_the_same_curve() -> None:
    """A recorded sequence, applied anew, gives the same memory evidence."""
    driver = _job(**NARROW, predicted_share=0.9)
    again = replay(make_spec(), driver.sequence)
    assert again.answer.memory_curve == driver.tuning.answer.memory_curve
