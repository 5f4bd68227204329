"""The calibrated search, with predictions that are wrong in many ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.tuner.deciding.memory_laws import Law, run
from tuner.deciding import calibrated
from tuner.deciding.feasibility import Budget, fits
from tuner.deciding.predicted import live_bytes, sizes_to_trace, stretch
from tuner.deciding.probing import probe
from tuner.errors import NoFeasibleBatch
from tuner.records import MemoryMeasurement, PredictedPeak

MARGIN = 0.03

LAWS = st.builds(
    Law,
    fixed=st.integers(1, 2 * 10**6),
    slope=st.integers(1000, 100_000),
    optimizer=st.integers(0, 3 * 10**6),
    share=st.floats(0.0, 1.0),
    steeper=st.floats(1.0, 20.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A search that has ended."""

    points: Sequence[PredictedPeak]
    trials: Sequence[MemoryMeasurement]
    goal_bytes: int

    @property
    def answer(self) -> int:
        """The largest size that was run and fitted."""
        return max(t.micro_batch_size for t in self.trials if fits(t, self.goal_bytes))


def _find(
    law: Law,
    limit: int,
    *,
    upper: int = 4096,
    share: float = 1.0,
    less: int = 0,
    retries_above: float = 1.0,
) -> Found:
    budget = Budget.of(limit, margin=MARGIN, upper=upper)
    found = probe(
        lambda sizes: [law.predicted(size, share=share, less=less) for size in sizes],
        lambda size: run(law, size, limit, retries_above=retries_above),
        lambda _: None,
        budget,
    )
    return Found(points=found.points, trials=found.trials, goal_bytes=budget.goal_bytes)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    law=LAWS,
    limit=st.integers(4 * 10**6, 2 * 10**8),
    share=st.floats(0.8, 1.05),
    less=st.integers(0, 500_000),
)
def test_a_wrong_prior_costs_neither_trials_nor_memory(
    law: Law, limit: int, share: float, less: int
) -> None:
    """Four trials at most, no out-of-memory, within 4 % of the maximum or one sample below.

    The kinks of real models lie at a few samples, below where the first trial runs.
    """
    goal = int((1.0 - MARGIN) * limit)
    feasible = [size for size in range(1, 4097) if law.peak(size) <= goal]
    assume(feasible and not 0.2 * max(feasible) < law.kink < max(feasible))
    found = _find(law, limit, share=share, less=less)
    assert len(found.trials) <= 4
    assert not any(trial.out_of_memory for trial in found.trials)
    assert found.answer <= max(feasible)
    assert found.answer >= min(0.96 * max(feasible), max(feasible) - 1)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(law=LAWS, limit=st.integers(10**6, 2 * 10**8), share=st.floats(0.1, 5.0))
def test_a_prior_that_is_wrong_in_kind_still_ends_with_a_size_that_ran(
    law: Law, limit: int, share: float
) -> None:
    """However wrong the prediction is, the search ends, and its answer was run and fitted."""
    goal = int((1.0 - MARGIN) * limit)
    if law.peak(1) > goal:
        with pytest.raises(NoFeasibleBatch):
            _find(law, limit, share=share)
        return
    found = _find(law, limit, share=share)
    assert len(found.trials) <= 8
    assert law.peak(found.answer) <= goal


def test_three_trials_calibrate_and_confirm() -> None:
    """A quarter, four fifths of the corrected maximum, and the solution of the fitted line."""
    law = Law(fixed=2_000_000, slope=100_000)
    found = _find(law, 22_000_000, share=0.93, less=300_000)
    sizes = [trial.micro_batch_size for trial in found.trials]
    assert len(sizes) == 3
    assert sizes[0] < 0.3 * sizes[2]
    assert 0.7 * sizes[2] < sizes[1] < 0.9 * sizes[2]
    assert sizes[2] == int(calibrated.AIM * found.goal_bytes - 2_000_000) // 100_000


def test_an_allocator_retry_is_not_a_fit_and_costs_one_trial_more() -> None:
    """Where fragmentation eats the margin, the size three per cent below is run and given."""
    law = Law(fixed=2_000_000, slope=100_000)
    found = _find(law, 22_000_000, retries_above=0.96)
    assert len(found.trials) == 4
    assert found.trials[2].allocation_retries == 1
    assert found.answer == int(calibrated.BACK * found.trials[2].micro_batch_size)


def test_a_bound_with_room_is_run_at_once() -> None:
    """Where the whole search space fits by prediction with room, one trial suffices."""
    found = _find(Law(fixed=2_000_000, slope=1000), 22_000_000, upper=512)
    assert [trial.micro_batch_size for trial in found.trials] == [512]


def test_a_bound_that_had_room_only_by_prediction_is_not_given() -> None:
    """If the bound fails nevertheless, the search goes on below it and does not give it."""
    law = Law(fixed=2_000_000, slope=100_000)
    found = _find(law, 22_000_000, upper=256, share=0.4)
    assert found.trials[0].out_of_memory
    assert law.peak(found.answer) <= found.goal_bytes


def test_nothing_fits_says_bytes() -> None:
    """When one sample does not fit, the problem carries bytes needed and available."""
    with pytest.raises(NoFeasibleBatch) as caught:
        _find(Law(fixed=5000, slope=1), 1000)
    assert caught.value.problem.facts == {"bytes_needed": 5001, "bytes_available": 970}


def test_the_trace_sees_the_affine_branch_and_then_the_solution() -> None:
    """First two large sizes; then the solution and shares of it; then there is no more to see."""
    law = Law(fixed=2_000_000, slope=100_000)
    budget = Budget.of(103_092_784, margin=MARGIN, upper=4096)
    first = sizes_to_trace([], budget)
    assert first == (64, 128)
    points = [law.predicted(size) for size in first]
    second = sizes_to_trace(points, budget)
    assert second == (245, 686, 980)
    points += [law.predicted(size) for size in second]
    assert sizes_to_trace(points, budget) == ()


def test_a_small_space_is_traced_at_its_bound_alone() -> None:
    """No size above the bound of the search space is traced."""
    assert sizes_to_trace([], Budget.of(10**9, margin=MARGIN, upper=8)) == (8,)


def test_between_traced_sizes_the_chord_is_above_the_curve() -> None:
    """Reading a convex curve between traced sizes never promises too much."""
    law = Law(fixed=100_000, slope=1000, share=0.3, steeper=5.0, optimizer=150_000)
    points = [law.predicted(size) for size in (4, 16, 64, 128)]
    assert all(live_bytes(points, size) >= law.peak(size) - 1 for size in range(4, 129))
    assert live_bytes(points, 256) == law.peak(256)


def test_holes_between_tensors_count_against_the_limit() -> None:
    """Where the allocator needs a fifth more than is alive, a fifth less is aimed at."""
    law = Law(fixed=2_000_000, slope=100_000)
    budget = Budget.of(22_000_000, margin=MARGIN, upper=4096)
    found = probe(
        lambda sizes: [law.predicted(size, fragmented=1.2) for size in sizes],
        lambda size: run(law, size, 22_000_000, fragmented=1.2),
        lambda _: None,
        budget,
    )
    best = int(22_000_000 / 1.2 - 2_000_000) // 100_000
    assert not any(trial.allocation_retries for trial in found.trials)
    assert 0.96 * best <= found.max_micro_batch_size <= best


def test_without_holes_the_margin_alone_counts() -> None:
    """An allocator that needs what is alive and no more stretches nothing."""
    budget = Budget.of(22_000_000, margin=MARGIN, upper=4096)
    points = [Law(fixed=1, slope=1000).predicted(size) for size in (64, 128)]
    assert stretch(points, 100, budget) == 1.0
    assert stretch(points, 5000, budget) == 1.0
