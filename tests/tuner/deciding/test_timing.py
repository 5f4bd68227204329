"""Step times: the fit against a synthetic device, and the plans that follow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.deciding.timing import micro_batch_sizes, steadiest, step_seconds, throughput
from tuner.errors import NoFeasibleBatch
from tuner.records import PassTiming, TimingMeasurement


def _timing(pass_seconds, optimizer_seconds: float, sizes) -> TimingMeasurement:
    return TimingMeasurement(
        passes=tuple(
            PassTiming(
                micro_batch_size=size,
                pass_seconds=pass_seconds(size),
                optimizer_seconds=optimizer_seconds,
                input_seconds=0.0,
                spread=0.0,
                windows=(),
            )
            for size in sizes
        ),
        evaluation_seconds=0.01,
        device_seconds=1.0,
    )


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    fixed=st.floats(1e-5, 1e-1),
    per_sample=st.floats(1e-7, 1e-3),
    optimizer=st.floats(0.0, 1e-1),
)
def test_the_fit_recovers_an_affine_device(
    fixed: float, per_sample: float, optimizer: float
) -> None:
    """On a device whose passes are affine, the fitted coefficients are its own."""
    batches = (8, 16, 32, 64, 128, 256)
    found = throughput(batches, _timing(lambda m: fixed + per_sample * m, optimizer, batches))
    assert found.fixed_seconds == pytest.approx(fixed + optimizer, rel=1e-3)
    assert found.seconds_per_sample == pytest.approx(per_sample, rel=1e-3)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(largest=st.integers(1, 300), low=st.integers(0, 6), high=st.integers(6, 10))
def test_plans_multiply_back_exactly(largest: int, low: int, high: int) -> None:
    """Micro-batch times accumulation is the global batch, and no pass is larger than fits."""
    batches = tuple(2**k for k in range(low, high + 1))
    sizes = micro_batch_sizes(batches, largest)
    found = throughput(batches, _timing(lambda m: 0.001 + 1e-5 * m, 0.001, sizes))
    for batch, plan in found.plans.items():
        assert plan.micro_batch_size * plan.gradient_accumulation_steps == batch
        assert plan.micro_batch_size <= largest


def test_the_fastest_plan_is_chosen() -> None:
    """Where a large pass falls off a cliff, accumulating smaller ones is chosen."""
    cliff = _timing(lambda m: 0.001 * m * (3 if m > 16 else 1), 0.001, (8, 16, 32))
    found = throughput((8, 16, 32), cliff)
    assert found.plans[32].micro_batch_size == 16
    assert found.step_seconds[32] == pytest.approx(0.033)
    assert found.step_seconds[32] == min(
        step_seconds(plan, found.passes) for plan in [found.plans[32]]
    )


def test_one_pass_is_preferred_unless_accumulating_is_clearly_faster() -> None:
    """A gain below 2 % does not justify accumulation."""
    found = throughput((32,), _timing(lambda m: 0.001 * m * (1.01 if m > 16 else 1), 0.0, (16, 32)))
    assert found.plans[32].gradient_accumulation_steps == 1


def test_a_size_that_ran_out_of_memory_is_planned_around() -> None:
    """Where a size could not be timed its batch is accumulated, or left out if it cannot be."""
    found = throughput((32, 33), _timing(lambda m: 0.001 * m, 0.0, (16,)))
    assert found.plans[32].gradient_accumulation_steps == 2
    assert 33 not in found.plans
    with pytest.raises(NoFeasibleBatch):
        throughput((32,), _timing(lambda m: 0.001 * m, 0.0, ()))


def test_the_steadiest_timing_of_each_size_is_kept() -> None:
    """A size that was timed beside a busy neighbour is replaced by its quiet timing."""
    busy = _timing(lambda m: 0.01 * m, 0.0, (16, 32))
    busy = replace(busy, passes=tuple(replace(one, spread=0.8) for one in busy.passes))
    quiet = _timing(lambda m: 0.001 * m, 0.0, (16,))
    kept = {one.micro_batch_size: one.pass_seconds for one in steadiest([busy, quiet]).passes}
    assert kept == {16: pytest.approx(0.016), 32: pytest.approx(0.32)}
