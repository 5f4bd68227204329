"""The training runner: how runs go and how they end."""

from __future__ import annotations

import dataclasses
import time

import pytest
import torch

from tests.tuner.measuring.subjects import bench_of, digits, nobody, run_of
from tuner.measuring.train import train
from tuner.records import BatchPlan, Measure, Outcome


def trained(bench, request, *, tightened=nobody):
    """Run a request on a bench."""
    return train(lambda: bench, request, tightened=tightened, began=time.perf_counter())


def values(result):
    """Values of a run's curve."""
    return [point.value for point in result.curve]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """The digits, warm for all tests."""
    return bench_of(digits(), tmp_path_factory.mktemp("artifacts"))


def test_run_without_a_target_ends_at_its_last_step(bench):
    """Without a target a run is censored at max_steps, evaluated at its cadence."""
    result = trained(bench, run_of(bench.workload))
    assert result.outcome is Outcome.CENSORED
    assert [point.step for point in result.curve] == [10, 20, 30, 40]
    assert result.steps == result.train_steps == result.limit_applied == 40
    assert values(result)[-1] < values(result)[0] < 2.5
    assert result.crossing_steps is None
    assert not result.resumed


def test_run_stops_where_the_smoothed_curve_crosses(bench):
    """A target ends the run at the evaluation that meets it, interpolated between two."""
    whole = trained(bench, run_of(bench.workload, max_steps=120))
    target = values(whole)[5]
    result = trained(bench, run_of(bench.workload, max_steps=120, target=target))
    assert result.outcome is Outcome.REACHED
    assert result.steps < 120
    assert result.steps - 10 < result.crossing_steps <= result.steps
    assert values(result) == values(whole)[: len(result.curve)]


def test_equal_requests_give_equal_curves(bench):
    """A run is a function of its request; another seed gives another run."""
    first, second = (trained(bench, run_of(bench.workload)) for _ in range(2))
    other = trained(bench, run_of(bench.workload, seed=4))
    assert values(first) == values(second)
    assert values(first) != values(other)


def test_cadence_does_not_change_where_a_run_goes(tmp_path):
    """With dropout, too, evaluating more often leaves the later evaluations as they were."""
    bench = bench_of(digits(dropout=0.3), tmp_path)
    seldom = trained(bench, run_of(bench.workload, evaluate_every_steps=20))
    often = trained(bench, run_of(bench.workload, evaluate_every_steps=5))
    assert values(often)[3::4] == values(seldom)


def test_last_evaluation_is_where_the_run_ended(bench):
    """A limit off the cadence is evaluated as well."""
    result = trained(bench, run_of(bench.workload, max_steps=25))
    assert [point.step for point in result.curve] == [10, 20, 25]


def test_a_tighter_limit_ends_the_run_early(bench):
    """A limit told on the way holds, and the result says so."""
    told = iter([None, None])
    result = trained(
        bench,
        run_of(bench.workload, max_steps=1000),
        tightened=lambda: next(told, 35),
    )
    assert result.outcome is Outcome.CENSORED
    assert result.limit_applied == result.steps == 35


def test_a_limit_already_passed_ends_the_run_where_it_stands(bench):
    """A limit below the steps taken cannot undo them."""
    told = iter([None, None])
    result = trained(bench, run_of(bench.workload, max_steps=1000), tightened=lambda: next(told, 5))
    assert result.steps == result.limit_applied
    assert 5 < result.steps < 1000


def test_a_looser_limit_changes_nothing(bench):
    """A told limit above the request's own is not taken."""
    result = trained(bench, run_of(bench.workload), tightened=lambda: 10_000)
    assert result.limit_applied == result.steps == 40


def test_a_passed_deadline_censors_the_run(bench):
    """A run whose deadline has passed takes no step."""
    result = trained(bench, run_of(bench.workload, deadline_seconds=0.0))
    assert result.outcome is Outcome.CENSORED
    assert result.steps == 0


def test_a_deadline_is_seen_between_evaluations(bench, monkeypatch):
    """A run does not wait for its next evaluation to see that its time is up."""
    monkeypatch.setattr("tuner.measuring.train.POLL_SECONDS", 0.0)
    request = run_of(
        bench.workload, max_steps=10**6, evaluate_every_steps=10**6, deadline_seconds=0.3
    )
    result = trained(bench, request)
    assert 0 < result.steps < 10**6
    assert [point.step for point in result.curve] == [result.steps]


def test_too_high_a_rate_diverges(bench):
    """A loss beyond three times the initial one, or not a number, ends the run."""
    result = trained(bench, run_of(bench.workload, learning_rate=1e3, checkpoint=True))
    assert result.outcome is Outcome.DIVERGED
    assert result.steps == 10
    assert result.checkpoint is None


def test_accuracy_is_watched_by_its_loss(tmp_path):
    """With accuracy as metric a run ends at its target, and diverges by its loss."""
    bench = bench_of(digits(metric="accuracy"), tmp_path)
    reached = trained(bench, run_of(bench.workload, max_steps=400, target=0.8))
    assert reached.outcome is Outcome.REACHED
    assert all(0.0 <= value <= 1.0 for value in values(reached))
    diverged = trained(bench, run_of(bench.workload, learning_rate=1e4))
    assert diverged.outcome is Outcome.DIVERGED


def test_accumulated_run_follows_the_run_of_one_pass(bench):
    """Four passes of 4 give the curve of one pass of 16."""
    whole = trained(bench, run_of(bench.workload))
    plan = BatchPlan(micro_batch_size=4, gradient_accumulation_steps=4)
    parts = trained(bench, run_of(bench.workload, plan=plan))
    assert values(parts) == pytest.approx(values(whole), rel=1e-4)


def test_noise_windows_leave_the_run_as_it_was(bench):
    """Split steps go where whole steps go, are recorded, and are kept off the clock."""
    plain = trained(bench, run_of(bench.workload))
    measure = Measure(noise_windows=6, noise_splits=8)
    windowed = trained(bench, run_of(bench.workload, measure=measure))
    assert values(windowed) == pytest.approx(values(plain), rel=1e-4)
    assert [window.step for window in windowed.noise] == [2, 8, 14, 21, 27, 33]
    assert all(w.splits == 8 and w.small_batch_size == 2 for w in windowed.noise)
    assert all(w.small > w.big > 0.0 for w in windowed.noise)
    assert windowed.train_steps == 34


def test_batches_that_cannot_be_split_have_no_windows(bench):
    """A batch of three samples runs without noise windows."""
    measure = Measure(noise_windows=6)
    plan = BatchPlan(micro_batch_size=3)
    assert trained(bench, run_of(bench.workload, plan=plan, measure=measure)).noise == ()


def test_no_room_for_a_window_does_not_end_the_run(bench, monkeypatch):
    """Where a split step runs out of memory the run goes on without windows."""

    def too_large(step, rows, **_):
        step.accumulate(rows[:4])
        raise torch.OutOfMemoryError("no room")

    plain = trained(bench, run_of(bench.workload))
    monkeypatch.setattr("tuner.measuring.train.split_step", too_large)
    result = trained(bench, run_of(bench.workload, measure=Measure(noise_windows=5)))
    assert result.outcome is Outcome.CENSORED
    assert result.noise == ()
    assert values(result) == values(plain)


def test_memory_that_runs_out_on_the_way_is_an_outcome(bench, monkeypatch):
    """The steps and evaluations before it are kept, and a smaller run follows normally."""
    steps = iter(range(100))
    sound = type(bench.criterion).loss_sum

    def loss_sum(self, model, inputs, targets):
        if model.training and next(steps) == 15:
            raise torch.OutOfMemoryError("the device is full")
        return sound(self, model, inputs, targets)

    with monkeypatch.context() as patched:
        patched.setattr(type(bench.criterion), "loss_sum", loss_sum)
        result = trained(bench, run_of(bench.workload))
    assert result.outcome is Outcome.OUT_OF_MEMORY
    assert result.steps == 15
    assert [point.step for point in result.curve] == [10]
    assert trained(bench, run_of(bench.workload)).outcome is Outcome.CENSORED


def test_sharpness_is_measured_where_the_run_ends(bench):
    """Asked for, the three measures come from 1,024 training samples, equal for equal runs."""
    request = run_of(bench.workload, measure=Measure(sharpness=True))
    first, second = trained(bench, request), trained(bench, request)
    assert first.sharpness == second.sharpness
    assert first.sharpness.num_samples == 1024
    assert first.sharpness.hessian_top_eigenvalue > 0.0
    assert trained(bench, run_of(bench.workload)).sharpness is None


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "bf16"},
        {"optimizer": {"kind": "adamw"}},
        {"optimizer": {"kind": "rmsprop"}},
        {"gradient_clip_norm": 0.5},
        {"schedule": {"kind": "cosine", "warmup_samples": 32, "horizon_samples": 640}},
    ],
)
def test_every_option_of_training_learns(bench, options):
    """Precision, optimizers, clipping and schedules all lower the loss."""
    workload = digits(training=options)
    rate = 0.01 if "optimizer" in options else 0.1
    changed = dataclasses.replace(bench, workload=workload)
    result = trained(changed, run_of(workload, learning_rate=rate))
    assert values(result)[-1] < 0.9 * values(result)[0]


def test_the_process_keeps_its_own_random_numbers(bench):
    """A run draws from streams of its own and puts the global ones back."""
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    trained(bench, run_of(bench.workload, max_steps=2))
    assert torch.equal(torch.rand(3), expected)
