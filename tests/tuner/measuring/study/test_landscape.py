"""Landscapes: their directions, their values, and the two ways of computing them."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
import torch

from tests.tuner.measuring.study.subjects import digits, images, left, trained
from tests.tuner.measuring.subjects import bench_of
from tuner.measuring.minimum import FixedSet
from tuner.measuring.study import grid, measure_landscape, pacing
from tuner.measuring.study.directions import filter_normalised
from tuner.measuring.study.grid import Plane, losses_one_by_one, losses_stacked
from tuner.measuring.study.minimiser import model_at
from tuner.records import LandscapeProbe

TRANSFORMER = {"kind": "builtin", "name": "transformer", "options": {"width": 8, "depth": 1}}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A perceptron on the digits."""
    return bench_of(digits(), tmp_path_factory.mktemp("artifacts"))


def probe(bench, name, **changes):
    """Measure a landscape."""
    fields = {
        "id": "landscape",
        "workload": bench.workload,
        "minimiser": name,
        "seed": 7,
        "dimensions": 2,
        "points": 5,
        "radius": 1.0,
    }
    return measure_landscape(lambda: bench, LandscapeProbe(**{**fields, **changes}))


def plane_of(bench, name, dimensions=2):
    """The plane that a landscape of a minimiser is cut along."""
    model = model_at(bench, name).eval()
    directions = [filter_normalised(model, 7, number) for number in range(dimensions)]
    named = dict(model.named_parameters())
    chosen = FixedSet.of(bench)
    return Plane(
        model=model,
        origin={key: named[key].detach().clone() for key in directions[0]},
        directions=directions,
        chosen=chosen,
        counted=float(chosen.counts.sum()),
    )


def test_directions_are_as_long_as_their_filters(tmp_path):
    """Every filter has the norm of its weights; biases and norm parameters do not move."""
    bench = bench_of(images(batch_norm=True), tmp_path)
    model = bench.model(0)
    direction = filter_normalised(model, 1, 0)
    named = dict(model.named_parameters())
    assert set(direction) == {name for name, p in named.items() if p.ndim >= 2}
    assert 0 < len(direction) < len(named)
    for name, drawn in direction.items():
        torch.testing.assert_close(
            drawn.flatten(1).norm(dim=1), named[name].detach().flatten(1).norm(dim=1)
        )
    again, other = filter_normalised(model, 1, 0), filter_normalised(model, 1, 1)
    for name, drawn in direction.items():
        assert torch.equal(drawn, again[name])
        assert not torch.equal(drawn, other[name])


def test_a_filter_of_zeros_stays(bench):
    """Weights of zero length have nothing to be normalised to."""
    model = bench.model(0)
    with torch.no_grad():
        next(model.parameters()).zero_()
    assert not next(iter(filter_normalised(model, 1, 0).values())).any()


def test_values_are_losses_of_moved_weights(bench):
    """Rows run along the second direction, columns along the first, the minimiser in the middle."""
    name = trained(bench)
    found = probe(bench, name, radius=2.0)
    assert found.axis == (-2.0, -1.0, 0.0, 1.0, 2.0)
    assert [len(row) for row in found.losses] == [5] * 5
    assert not found.statistics_recomputed
    plane = plane_of(bench, name)
    for row, column in ((2, 2), (0, 4), (3, 1)):
        at = found.axis[column], found.axis[row]
        model = model_at(bench, name).eval()
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                for along, direction in zip(at, plane.directions, strict=True):
                    if key in direction:
                        parameter.add_(direction[key], alpha=along)
            inputs, targets = bench.train.fetch(plane.chosen.rows)
            loss = float(bench.criterion.loss_sum(model, inputs, targets)) / len(targets)
        assert found.losses[row][column] == pytest.approx(loss, rel=1e-4)
    assert found.losses[2][2] == min(min(row) for row in found.losses)


def test_one_dimension_is_a_row_of_the_plane(bench):
    """The only row follows the first direction."""
    name = trained(bench)
    line, plane = probe(bench, name, dimensions=1), probe(bench, name)
    assert len(line.losses) == 1
    assert list(line.losses[0]) == pytest.approx(list(plane.losses[2]), rel=1e-6)


@pytest.mark.parametrize("kind", ["mlp", "cnn", "transformer"])
def test_stacked_losses_equal_those_one_by_one(tmp_path, kind):
    """Both ways give the same values within rounding, whatever the model is made of."""
    workload = {
        "mlp": digits(dropout=0.3),
        "cnn": images(batch_norm=True),
        "transformer": dataclasses.replace(
            digits(training={"task": "causal_lm"}),
            model=TRANSFORMER,
            dataset={
                "kind": "synthetic",
                "inputs": {"shape": [6], "dtype": "int64", "high": 11},
                "num_samples": 40,
            },
        ),
    }[kind]
    bench = bench_of(workload, tmp_path)
    plane = plane_of(bench, left(bench, bench.model(0)))
    points = [(x, y) for y in (-1.0, 0.0, 0.7) for x in (-0.5, 0.0, 1.0)]
    loop = losses_one_by_one(plane, points, samples_per_pass=100)
    stacked = losses_stacked(plane, points, samples_per_pass=64)
    assert stacked == pytest.approx(loop, rel=1e-4)
    for key, weights in plane.origin.items():
        assert torch.equal(dict(plane.model.named_parameters())[key], weights)


def test_large_grids_go_the_fastest_way(bench, monkeypatch):
    """Whichever way is faster computes the rest, and the values do not depend on it."""
    name = trained(bench)
    expected = probe(bench, name, points=20)
    clock = {"now": 0.0}
    monkeypatch.setattr(pacing.time, "thread_time", lambda: clock["now"])

    def paced(compute, seconds):
        def slow(plane, points, *, samples_per_pass):
            clock["now"] += seconds * len(points)
            return compute(plane, points, samples_per_pass=samples_per_pass)

        return slow

    for loop, stacked, winner in ((1.0, 2.0, "loop"), (2.0, 1.0, "stacked")):
        monkeypatch.setattr(pacing, "losses_one_by_one", paced(losses_one_by_one, loop))
        monkeypatch.setattr(pacing, "losses_stacked", paced(losses_stacked, stacked))
        found = probe(bench, name, points=20)
        assert found.fastest == winner
        for row, other in zip(found.losses, expected.losses, strict=True):
            assert list(row) == pytest.approx(list(other), rel=1e-4)


def test_waiting_for_a_busy_machine_is_not_held_against_a_way(bench, monkeypatch):
    """On a CPU the wall's clock decides nothing, however it jumps."""
    name = trained(bench)
    walls = itertools.count(0.0, 1e9)
    monkeypatch.setattr(pacing.time, "perf_counter", lambda: next(walls))
    ticks = itertools.count(0.0, 1.0)
    monkeypatch.setattr(pacing.time, "thread_time", lambda: next(ticks))
    # Each way seems to take one tick for as many points as it computes at once.
    assert probe(bench, name, points=20).fastest == "stacked"


@pytest.mark.parametrize("error", [RuntimeError("cannot be mapped"), MemoryError()])
def test_a_model_that_cannot_be_stacked_is_looped_over(bench, monkeypatch, error):
    """Whatever the stack raises, the plain loop goes on."""

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(pacing, "losses_stacked", refuse)
    found = probe(bench, trained(bench), points=20)
    assert found.fastest == "loop"
    assert all(math.isfinite(loss) for row in found.losses for loss in row)


def test_what_is_not_finite_is_nan(bench):
    """A loss beyond all bounds is told as it is; the others stand."""
    found = probe(bench, trained(bench), dimensions=1, points=3, radius=1e38)
    assert math.isfinite(found.losses[0][1])
    assert not math.isfinite(found.losses[0][0])


def test_little_memory_cuts_the_passes(bench, monkeypatch):
    """Passes that do not fit are halved until they do."""
    name = trained(bench)
    expected = probe(bench, name)
    sound = FixedSet.loss_sum_of

    def narrow(self, model):
        loss_sum = sound(self, model)

        def of(samples):
            if samples.stop - samples.start > 40:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return loss_sum(samples)

        return of

    monkeypatch.setattr(grid.FixedSet, "loss_sum_of", narrow)
    found = probe(bench, name)
    for row, other in zip(found.losses, expected.losses, strict=True):
        assert list(row) == pytest.approx(list(other), rel=1e-4)
