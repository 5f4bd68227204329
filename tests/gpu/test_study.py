"""Measuring a study on a card, beside the same on the processor."""

from __future__ import annotations

import dataclasses
import math
import time

import pytest
import torch

from tests.gpu.subjects import bench_of, images, text
from tuner.measuring.minimum import FixedSet
from tuner.measuring.study import (
    measure_gradients,
    measure_landscape,
    measure_line,
    measure_minimum,
    run_to_minimum,
)
from tuner.measuring.study.grid import losses_one_by_one, losses_stacked
from tuner.measuring.study.landscape import plane_of
from tuner.measuring.study.minimiser import model_at
from tuner.records import (
    GradientProbe,
    LandscapeProbe,
    LineProbe,
    MinimumProbe,
    StudyOutcome,
    StudyRun,
)

pytestmark = pytest.mark.gpu

RPROP = {"kind": "rprop", "learning_rate": 1e-3}


def ran(bench, **changes):
    """Run a few epochs."""
    fields = {
        "id": "run",
        "workload": bench.workload,
        "global_batch_size": 256,
        "micro_batch_size": 64,
        "learning_rate": 1e-3,
        "seed": 1,
        "max_epochs": 2,
        "patience_epochs": 2,
        "device_kind": "cuda",
    }
    request = StudyRun(**{**fields, **changes})
    return run_to_minimum(lambda: bench, request, tightened=lambda: None, began=time.perf_counter())


@pytest.fixture(params=["images", "text"])
def bench(request, tmp_path):
    """Both kinds of data, small."""
    workload = (
        images(channels=(8, 16), samples=1024) if request.param == "images" else text(width=32)
    )
    return bench_of(workload, tmp_path)


def on_processor(bench):
    """The same workload without a card."""
    workload = dataclasses.replace(bench.workload, accelerator="cpu")
    return bench_of(workload, bench.places.artifacts)


def test_a_run_and_its_minimum_agree_with_the_processor(bench):
    """A run's first point and its minimiser's measures differ by rounding alone."""
    result, other = ran(bench), ran(on_processor(bench))
    assert result.outcome in {StudyOutcome.EXHAUSTED, StudyOutcome.CONVERGED}
    assert result.points[0].train_loss == pytest.approx(other.points[0].train_loss, rel=1e-3)
    assert result.points[1].gradient_norm == pytest.approx(other.points[1].gradient_norm, rel=0.02)
    assert result.train_seconds > 0.0
    request = MinimumProbe(
        id="minimum", workload=bench.workload, minimiser=result.minimiser, trace_probes=4
    )
    card = measure_minimum(lambda: bench, request)
    beside = on_processor(bench)
    processor = measure_minimum(lambda: beside, request)
    assert card.eigenvalues[0] == pytest.approx(processor.eigenvalues[0], rel=0.02)
    assert card.asam == pytest.approx(processor.asam, rel=0.02)
    assert card.keskar == pytest.approx(processor.keskar, rel=0.1)
    assert card.trace_error > 0.0


def test_full_batch_by_rprop(tmp_path):
    """All samples in uneven passes, a step an epoch."""
    bench = bench_of(images(channels=(8, 16), samples=1000, optimizer=RPROP), tmp_path)
    size = len(bench.train)
    result = ran(bench, global_batch_size=size, micro_batch_size=300, max_epochs=3)
    assert [point.step for point in result.points] == [0, 1, 2, 3]
    assert result.points[-1].train_loss < result.points[0].train_loss


def test_gradients_and_lines(bench):
    """Probes of gradients and lines are finite and in order."""
    first, second = (ran(bench, seed=seed, max_epochs=1).minimiser for seed in (1, 2))
    found = measure_gradients(
        lambda: bench,
        GradientProbe(
            id="gradients",
            workload=bench.workload,
            minimiser=None,
            seed=0,
            batch_sizes=(4, 64),
            draws=16,
            samples_per_pass=64,
        ),
    )
    small, large = found.scatters
    assert small.variance / large.variance == pytest.approx(16.0, rel=0.5)
    profile = measure_line(
        lambda: bench,
        LineProbe(
            id="line",
            workload=bench.workload,
            first=first,
            second=second,
            alphas=(0.0, 0.5, 1.0),
        ),
    )
    assert all(point.train_loss is not None for point in profile.points)


def test_landscapes_are_equal_both_ways(bench):
    """Stacked weights give the losses of the plain loop, and a large grid is finite."""
    name = ran(bench, max_epochs=1).minimiser
    request = LandscapeProbe(
        id="landscape",
        workload=bench.workload,
        minimiser=name,
        seed=0,
        dimensions=2,
        points=21,
        radius=0.5,
    )
    model = model_at(bench, name).eval()
    plane = plane_of(model, FixedSet.of(bench), request)
    points = [(x, y) for y in (-0.5, 0.0, 0.5) for x in (-0.5, 0.0, 0.5)]
    # Convolutions of the loop would otherwise round to TF32 where those of the stack do not.
    with torch.backends.cudnn.flags(allow_tf32=False):
        loop = losses_one_by_one(plane, points, samples_per_pass=256)
        stacked = losses_stacked(plane, points, samples_per_pass=256)
    assert stacked == pytest.approx(loop, rel=1e-3)
    found = measure_landscape(lambda: bench, request)
    assert all(math.isfinite(loss) for row in found.losses for loss in row)
