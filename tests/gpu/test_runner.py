"""The training runner on a card, beside loops that are written by hand."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tests.gpu.subjects import bench_of, images, run_of, text, trained
from tuner.measuring.batches import SampleOrder
from tuner.measuring.step import TrainingStep
from tuner.records import BatchPlan, Measure, Outcome

pytestmark = pytest.mark.gpu

SGD = {"kind": "sgd", "momentum": 0.9}
COSINE = {"kind": "cosine", "warmup_samples": 64, "horizon_samples": 10_000}


def values(result):
    """Values of a run's curve."""
    return [point.value for point in result.curve]


def test_runner_goes_where_a_bare_loop_goes(tmp_path):
    """Same weights, order and rate give the same losses as a loop without any of our code."""
    bench = bench_of(images(optimizer=SGD, gradient_clip_norm=None), tmp_path)
    request = run_of(bench.workload, learning_rate=0.01)
    model = bench.model(request.seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    order = SampleOrder(len(bench.train), request.seed, bench.device)
    split, losses = bench.data.validation, []
    for step in range(request.max_steps):
        rows = order.rows(step * 32, 32)
        scores = model(bench.data.train.inputs[rows])
        loss = functional.cross_entropy(scores, bench.data.train.targets[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % request.evaluate_every_steps == 0:
            with torch.no_grad():
                losses.append(float(functional.cross_entropy(model(split.inputs), split.targets)))
    assert values(trained(bench, request)) == pytest.approx(losses, rel=1e-3)


@pytest.mark.parametrize("workload", [images(schedule=COSINE), text(schedule=COSINE)])
@pytest.mark.parametrize("micro_batch_size", [8, 32])
def test_no_step_waits_for_the_card(tmp_path, workload, micro_batch_size):
    """With clipping, schedule and accumulation, a step never asks the card for a number."""
    bench = bench_of(workload, tmp_path)
    step = TrainingStep(
        bench, bench.model(0), micro_batch_size=micro_batch_size, learning_rate=1e-3
    )
    order = SampleOrder(len(bench.train), 0, bench.device)
    step.run(order.rows(0, 32), 0)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for index in range(1, 6):
            step.run(order.rows(index * 32, 32), index * 32)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_tokens_are_learned_in_either_precision(tmp_path, precision):
    """On one small batch over and over, the training loss falls far."""
    bench = bench_of(text(precision=precision), tmp_path)
    step = TrainingStep(bench, bench.model(0), micro_batch_size=16, learning_rate=3e-3)
    rows = torch.arange(16, device=bench.device)
    inputs, _ = bench.train.fetch(rows)

    def loss() -> float:
        with torch.no_grad():
            return float(bench.criterion.loss_sum(step.model, inputs, None))

    before = loss()
    for index in range(60):
        step.run(rows, index * 16)
    assert loss() < 0.7 * before


def test_accumulation_follows_one_pass(tmp_path):
    """Four passes of 8 give the curve of one pass of 32."""
    bench = bench_of(images(optimizer=SGD), tmp_path)
    whole = trained(bench, run_of(bench.workload))
    plan = BatchPlan(micro_batch_size=8, gradient_accumulation_steps=4)
    parts = trained(bench, run_of(bench.workload, plan=plan))
    assert values(parts) == pytest.approx(values(whole), rel=1e-3)


def test_noise_windows_leave_the_run_as_it_was(tmp_path):
    """Windows are recorded, with norms of preconditioned gradients, and change nothing."""
    bench = bench_of(images(), tmp_path)
    plain = trained(bench, run_of(bench.workload))
    windowed = trained(bench, run_of(bench.workload, measure=Measure(noise_windows=6)))
    assert len(windowed.noise) == 6
    assert all(window.small > window.big > 0.0 for window in windowed.noise)
    assert values(windowed) == pytest.approx(values(plain), rel=1e-2)
    assert windowed.train_steps == 34
    assert windowed.peak_bytes > 0


def test_resumed_run_follows_an_uninterrupted_one(tmp_path):
    """A checkpoint moves weights, optimizer and random numbers of the card."""
    bench = bench_of(images(), tmp_path)
    whole = trained(bench, run_of(bench.workload))
    half = trained(bench, run_of(bench.workload, max_steps=20, checkpoint=True))
    resumed = trained(bench, run_of(bench.workload, resume_from=half.checkpoint))
    assert resumed.resumed
    assert resumed.outcome is Outcome.CENSORED
    assert values(resumed) == pytest.approx(values(whole), rel=1e-3)
