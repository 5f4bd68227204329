"""The growth of the micro-batch without a prediction, against exhaustive search."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tuner.deciding.memory_laws import Law, run, searched
from tuner.deciding import growth
from tuner.deciding.feasibility import Budget, fits
from tuner.errors import NoFeasibleBatch

LAWS = st.builds(
    Law,
    fixed=st.integers(0, 10**6),
    slope=st.integers(1, 5000),
    optimizer=st.integers(0, 3 * 10**6),
    share=st.floats(0.0, 1.0),
    steeper=st.floats(1.0, 20.0),
)


def _grow(law: Law, upper: int, limit: int, goal: int):
    return searched(
        lambda trials: growth.next_size(
            trials, Budget(limit_bytes=limit, goal_bytes=goal, upper=upper)
        ),
        lambda size: run(law, size, limit),
    )


@settings(max_examples=300, deadline=None, derandomize=True)
@given(law=LAWS, limit=st.integers(10**5, 2 * 10**7), upper=st.integers(1, 4096))
def test_finds_the_exhaustive_maximum_of_convex_curves(law: Law, limit: int, upper: int) -> None:
    """Within 2 % (or one sample) of the exhaustive maximum, never above it, in few trials."""
    goal = int(0.97 * limit)
    feasible = [size for size in range(1, upper + 1) if law.peak(size) <= goal]
    if not feasible:
        with pytest.raises(NoFeasibleBatch):
            _grow(law, upper, limit, goal)
        return
    trials = _grow(law, upper, limit, goal)
    answer = max(trial.micro_batch_size for trial in trials if fits(trial, goal))
    assert answer <= max(feasible)
    assert answer >= 0.98 * max(feasible) - 1
    assert len(trials) <= growth.MAX_TRIALS


@settings(max_examples=300, deadline=None, derandomize=True)
@given(law=LAWS, limit=st.integers(10**5, 2 * 10**7))
def test_the_certain_step_never_runs_out_of_memory(law: Law, limit: int) -> None:
    """Bytes per sample never rise with the size, so the first step up fits for certain."""
    trials = _grow(law, 4096, limit, limit) if 2 * law.peak(2) <= limit else []
    assert all(not trial.out_of_memory for trial in trials[:2])


def test_a_wide_space_takes_few_trials() -> None:
    """Two samples lead to a maximum ten thousand times as large in at most six trials."""
    law = Law(fixed=1_000_000, slope=1000, optimizer=1_200_000)
    trials = _grow(law, 10**6, 20_000_000, 19_400_000)
    assert len(trials) <= 6
    assert trials[-1].micro_batch_size >= 0.98 * 18_400
    assert not any(trial.out_of_memory for trial in trials)


def test_nothing_fits_says_bytes() -> None:
    """When one sample does not fit, the problem carries bytes needed and available."""
    with pytest.raises(NoFeasibleBatch) as caught:
        _grow(Law(fixed=5000, slope=1), 64, 1100, 1000)
    assert caught.value.problem.facts == {"bytes_needed": 5001, "bytes_available": 1000}
