"""The growth of the micro-batch, against exhaustive search."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.deciding.memory import GROWTH, MAX_TRIALS, fits, next_size
from tuner.errors import NoFeasibleBatch
from tuner.records import MemoryMeasurement


def _measure(size: int, peak_bytes: int, limit_bytes: int, retries: int = 0) -> MemoryMeasurement:
    return MemoryMeasurement(
        micro_batch_size=size,
        out_of_memory=peak_bytes > limit_bytes,
        forward_backward_bytes=peak_bytes,
        optimizer_bytes=0,
        evaluation_bytes=0,
        reserved_bytes=0,
        allocation_retries=retries,
        steps=3,
        device_seconds=1.0,
    )


def _grow(curve, upper: int, limit_bytes: int) -> list[MemoryMeasurement]:
    trials: list[MemoryMeasurement] = []
    while (size := next_size(trials, upper=upper, limit_bytes=limit_bytes)) is not None:
        assert size not in {trial.micro_batch_size for trial in trials}
        trials.append(_measure(size, curve(size), limit_bytes))
    return trials


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    fixed=st.integers(1, 10**6),
    slope=st.integers(1, 5000),
    optimizer=st.integers(0, 3 * 10**6),
    knee=st.integers(1, 64),
    steeper=st.floats(1.0, 20.0),
    limit=st.integers(10**5, 2 * 10**7),
    upper=st.integers(1, 4096),
)
def test_finds_the_exhaustive_maximum_of_convex_curves(
    fixed: int, slope: int, optimizer: int, knee: int, steeper: float, limit: int, upper: int
) -> None:
    """Within 2 % (or one sample) of the exhaustive maximum, never above it, in few trials."""

    def curve(size: int) -> int:
        bent = slope * size + int((steeper - 1.0) * slope * max(0, size - knee))
        return max(optimizer, fixed + bent)

    feasible = [size for size in range(1, upper + 1) if curve(size) <= limit]
    if not feasible:
        with pytest.raises(NoFeasibleBatch):
            _grow(curve, upper, limit)
        return
    trials = _grow(curve, upper, limit)
    answer = max(trial.micro_batch_size for trial in trials if fits(trial))
    assert answer <= max(feasible)
    assert answer >= 0.98 * max(feasible) - 1
    assert len(trials) <= MAX_TRIALS


def test_growth_is_at_most_fourfold() -> None:
    """No size is tried that is more than four times one that fitted."""
    trials = _grow(lambda size: 1000 + size, 4096, 10**9)
    sizes = [trial.micro_batch_size for trial in trials]
    assert all(after <= GROWTH * before for before, after in itertools.pairwise(sizes))
    assert sizes[-1] == 4096


def test_an_allocator_retry_is_not_a_fit() -> None:
    """A size that ran only after allocator retries is treated like one that did not run."""
    assert not fits(_measure(8, 100, 1000, retries=1))


def test_nothing_fits_says_bytes() -> None:
    """When one sample does not fit, the problem carries bytes needed and available."""
    with pytest.raises(NoFeasibleBatch) as caught:
        _grow(lambda size: 5000 + size, 64, 1000)
    assert caught.value.problem.facts == {"bytes_needed": 5001, "bytes_available": 1000}
