"""Tracked memory against closed forms and torch's profiler, and trials at a limit."""

from __future__ import annotations

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from tests.tuner.measuring.subjects import ADAM, bench_of, bench_over, digits
from tuner.measuring.memory import measure_memory, worst_rows
from tuner.measuring.step import TrainingStep
from tuner.measuring.tracked_memory import TrackedMemory, TrackedOutOfMemory
from tuner.records import MemoryTrial

NO_LIMIT = 2**40


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Digits with Adam, whose state is twice the weights."""
    workload = digits(hidden=400, training={"optimizer": ADAM})
    return bench_of(workload, tmp_path_factory.mktemp("artifacts"))


def tried(bench, size, *, limit_bytes=NO_LIMIT, accumulation=1):
    """Run a memory trial on a bench."""
    request = MemoryTrial(
        id="trial",
        workload=bench.workload,
        micro_batch_size=size,
        accumulation=accumulation,
        limit_bytes=limit_bytes,
    )
    return measure_memory(lambda: bench, request)


def test_storages_count_once_and_until_nobody_refers_to_them():
    """Views add nothing; a storage that autograd holds is alive; the last owner frees it."""
    with TrackedMemory() as tracked:
        weights = torch.zeros(1000, requires_grad=True)
        assert tracked.live_bytes == 4000
        result = (weights * 2).exp()
        view = result.view(10, 100)[3:]
        assert tracked.live_bytes == 8000
        del result
        assert tracked.live_bytes == 8000
        assert tracked.peak_bytes == 12_000
        tracked.reset_peak()
        assert tracked.peak_bytes == 8000
        del view
        assert tracked.live_bytes == 4000
    del weights
    assert tracked.live_bytes == 0


def test_tensors_from_before_are_counted_when_held():
    """What was there before counts once it is held, and only once."""
    before = torch.zeros(500)
    with TrackedMemory() as tracked:
        tracked.hold([before, before.view(5, 100)])
        assert tracked.live_bytes == 2000
        before.add_(1.0)
        assert tracked.live_bytes == 2000


def test_passing_the_limit_raises_in_forward_and_in_backward():
    """An operation that takes too much ends the pass, also within autograd."""
    weights = torch.ones(1000, requires_grad=True)
    with TrackedMemory(9000) as tracked:
        tracked.hold([weights])
        with pytest.raises(TrackedOutOfMemory) as raised:
            weights.exp().sin()
    assert raised.value.live_bytes > raised.value.limit_bytes == 9000
    with TrackedMemory(9000) as tracked:
        tracked.hold([weights])
        loss = weights.exp().sum()
        with pytest.raises(TrackedOutOfMemory):
            loss.backward()
    assert weights.grad is None


def test_peak_agrees_with_the_allocations_that_the_profiler_saw(bench):
    """Over a training step the tracked peak is within 2 % of torch's own record."""
    rows = torch.arange(64)

    def fresh():
        step = TrainingStep(bench, bench.model(0), micro_batch_size=64, learning_rate=0.01)
        step.run(rows, 0)
        return step

    step = fresh()
    with TrackedMemory() as tracked:
        tracked.hold(step.model.parameters())
        for state in step.optimizer.state.values():
            tracked.hold(state.values())
        before = tracked.live_bytes
        step.run(rows, 0)
    step = fresh()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        step.run(rows, 0)
    live = peak = 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            live += event.nbytes()
            peak = max(peak, live)
    assert peak > 250_000
    assert tracked.peak_bytes - before == pytest.approx(peak, rel=0.02)


def test_phases_hold_at_least_weights_gradients_and_state(bench):
    """With Adam the optimizer's peak is data and four times the weights, and little more."""
    parameters = sum(p.numel() * 4 for p in bench.model(0).parameters())
    data = bench.data.bytes + 8 * (len(bench.train) + len(bench.validation))
    result = tried(bench, 4)
    floor = data + 4 * parameters
    assert not result.out_of_memory
    assert result.steps == 3
    # Scratch of a loop over tensors: at most two copies of the largest of them.
    assert floor <= result.optimizer_bytes <= floor + 2 * parameters
    assert data + 3 * parameters <= result.evaluation_bytes < floor
    assert result.peak_bytes == result.reserved_bytes


def test_memory_grows_with_the_micro_batch_alone(bench):
    """Peaks never fall with the size, and are affine in it once activations dominate."""
    sizes = [1, 4, 16, 64, 256, 512, 1024]
    peaks = {size: tried(bench, size).forward_backward_bytes for size in sizes}
    assert list(peaks.values()) == sorted(peaks.values())
    first = (peaks[512] - peaks[256]) / 256
    second = (peaks[1024] - peaks[512]) / 512
    assert first > 0
    assert second == pytest.approx(first, rel=0.01)


def test_accumulation_holds_one_gradient_more(bench):
    """Two passes hold the first one's gradient through the second; more passes add no more."""
    parameters = sum(p.numel() * 4 for p in bench.model(0).parameters())
    one, two, three = (
        tried(bench, 256, accumulation=passes).forward_backward_bytes for passes in (1, 2, 3)
    )
    assert one < two <= one + 1.1 * parameters
    assert three == pytest.approx(two, rel=0.001)


def test_a_size_beyond_the_data_set_repeats_samples(bench):
    """More samples than there are can be tried; the set is gone through again."""
    samples = len(bench.train)
    rows = worst_rows(bench.train, samples + 5)
    assert torch.equal(rows[samples:], rows[:5])
    assert tried(bench, samples + 5).peak_bytes > tried(bench, samples // 2).peak_bytes


def test_samples_with_the_most_tokens_are_tried(tmp_path):
    """The worst case comes first, whatever the order of the data."""
    tokens = torch.randint(5, (6, 8))
    for row, length in enumerate([3, 8, 2, 8, 5, 4]):
        tokens[row, length:] = -1
    bench = bench_over(tokens, None, folder=tmp_path, task="causal_lm")
    assert worst_rows(bench.train, 4).tolist() == [1, 3, 4, 5]


def test_the_limit_separates_what_fits_from_what_does_not(bench):
    """At a limit of its own peak a size fits; one byte below, it does not."""
    peak = tried(bench, 64).peak_bytes
    assert not tried(bench, 64, limit_bytes=peak).out_of_memory
    result = tried(bench, 64, limit_bytes=peak - 1)
    assert result.out_of_memory
    assert peak - 1 < result.peak_bytes <= peak


def test_search_by_trials_agrees_with_trying_every_size(bench):
    """The largest size under a limit is the same by bisection and by exhaustion."""
    limit = tried(bench, 37).peak_bytes
    fitting = [s for s in range(30, 45) if not tried(bench, s, limit_bytes=limit).out_of_memory]
    low, high = 1, 200
    while high - low > 1:
        middle = (low + high) // 2
        if tried(bench, middle, limit_bytes=limit).out_of_memory:
            high = middle
        else:
            low = middle
    assert fitting == list(range(30, 38))
    assert low == 37


def test_data_alone_can_be_too_large(bench):
    """A limit below the data is out of memory before any step, with what was seen."""
    result = tried(bench, 1, limit_bytes=1000)
    assert result.out_of_memory
    assert result.steps == 0
    assert result.peak_bytes > 1000
    assert not tried(bench, 1).out_of_memory
