"""Checkpoints: a run that is resumed equals one that never stopped."""

from __future__ import annotations

import dataclasses
import time

import pytest

from tests.tuner.measuring.subjects import bench_of, digits, nobody, run_of
from tuner.measuring.train import train
from tuner.records import Measure, Outcome

COSINE = {"kind": "cosine", "warmup_samples": 100, "horizon_samples": 1000}


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """Digits with dropout, Adam and a schedule: everything that a checkpoint must hold."""
    options = {"optimizer": {"kind": "adam"}, "schedule": COSINE}
    return bench_of(digits(dropout=0.4, training=options), tmp_path_factory.mktemp("none"))


@pytest.fixture
def bench(warm, tmp_path):
    """The same, with artifacts of its own."""
    places = dataclasses.replace(warm.places, artifacts=tmp_path)
    return dataclasses.replace(warm, places=places)


def trained(bench, request, *, tightened=nobody):
    """Run a request on a bench."""
    return train(lambda: bench, request, tightened=tightened, began=time.perf_counter())


def shown(result):
    """What a run showed, apart from its times and from how it came about."""
    return result.outcome, result.steps, result.crossing_steps, result.curve, result.noise


def request_of(bench, **changes):
    """A run of 40 steps at a rate for Adam."""
    return run_of(bench.workload, learning_rate=0.01, **changes)


def leave_checkpoint(bench, *, steps=20, **changes):
    """Train for a while and return the name of the checkpoint."""
    result = trained(bench, request_of(bench, max_steps=steps, checkpoint=True, **changes))
    assert result.checkpoint is not None
    return result.checkpoint


@pytest.mark.parametrize("steps", [20, 27])
def test_resumed_run_equals_an_uninterrupted_one(bench, steps):
    """Weights, optimizer, schedule, dropout, order and curve go on as if nothing happened."""
    whole = trained(bench, request_of(bench))
    name = leave_checkpoint(bench, steps=steps)
    resumed = trained(bench, request_of(bench, resume_from=name))
    assert resumed.resumed
    assert shown(resumed) == shown(whole)
    assert resumed.train_steps == 40 - steps


def test_resumed_twice_equals_an_uninterrupted_one(bench):
    """A checkpoint of a resumed run is as good as any."""
    whole = trained(bench, request_of(bench))
    first = leave_checkpoint(bench, steps=10)
    second = leave_checkpoint(bench, steps=25, resume_from=first)
    assert shown(trained(bench, request_of(bench, resume_from=second))) == shown(whole)


def test_missing_checkpoint_starts_over_with_the_same_result(bench):
    """A run that cannot find its checkpoint shows what it would have shown."""
    whole = trained(bench, request_of(bench))
    lost = trained(bench, request_of(bench, resume_from="0" * 64 + ".pt"))
    assert not lost.resumed
    assert shown(lost) == shown(whole)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_damaged_checkpoint_starts_over_with_the_same_result(bench, tmp_path, damage):
    """Whatever happened to the file, the run never goes on from half of it."""
    whole = trained(bench, request_of(bench))
    name = leave_checkpoint(bench)
    path = tmp_path / name
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "cut": content[:middle],
            "flip": content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :],
            "empty": b"",
            "text": b"not a checkpoint",
        }[damage]
    )
    result = trained(bench, request_of(bench, resume_from=name))
    assert not result.resumed
    assert shown(result) == shown(whole)


def test_checkpoint_of_another_run_is_not_used(bench, tmp_path):
    """A file that was renamed to belong to another rate is recognised by its content."""
    name = leave_checkpoint(bench)
    other = request_of(bench, resume_from=name)
    result = trained(bench, dataclasses.replace(other, seed=4))
    assert not result.resumed


def test_checkpoint_beyond_the_last_step_is_not_used(bench):
    """A run asked for 10 steps does not come back with 20."""
    name = leave_checkpoint(bench)
    result = trained(bench, request_of(bench, max_steps=10, resume_from=name))
    assert (result.resumed, result.steps) == (False, 10)


def test_a_name_is_never_a_path(bench, tmp_path):
    """A file outside the artifacts is not read, whatever a request calls it."""
    name = leave_checkpoint(bench)
    outside = tmp_path.parent / "outside.pt"
    (tmp_path / name).rename(outside)
    result = trained(bench, request_of(bench, resume_from="../outside.pt"))
    assert not result.resumed


def test_target_met_before_the_checkpoint_is_reached_at_once(bench):
    """A resumed run whose curve has crossed the target already takes no step."""
    name = leave_checkpoint(bench, steps=40)
    reached = trained(bench, request_of(bench, resume_from=name, target=2.0))
    assert (reached.outcome, reached.train_steps) == (Outcome.REACHED, 0)
    assert reached.crossing_steps <= 40


def test_names_tell_runs_and_steps_apart(bench):
    """Rate, seed and step each give another name; the same run gives the same one."""
    name = leave_checkpoint(bench)
    assert leave_checkpoint(bench) == name
    assert leave_checkpoint(bench, steps=30) != name
    assert leave_checkpoint(bench, seed=9) != name


def test_lost_attempt_is_taken_up_by_the_next(bench, tmp_path, monkeypatch):
    """A run that is killed on its way goes on from where it was last kept, to the same end."""
    measure = Measure(noise_windows=4)
    whole = trained(bench, request_of(bench, measure=measure))
    monkeypatch.setattr("tuner.measuring.train.RESCUE_SECONDS", 0.0)
    asked = iter(range(3))

    def killed():
        if next(asked, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(bench, request_of(bench, measure=measure), tightened=killed)
    assert len(list(tmp_path.iterdir())) == 1
    again = trained(bench, request_of(bench, measure=measure))
    assert again.resumed
    assert 0 < again.train_steps < 36
    assert shown(again) == shown(whole)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_no_checkpoint_does_not_end_the_run(bench, tmp_path, monkeypatch):
    """Without a place for checkpoints the run shows the same, and leaves none."""
    whole = trained(bench, request_of(bench))
    monkeypatch.setattr("tuner.measuring.train.RESCUE_SECONDS", 0.0)
    (tmp_path / "full").write_text("a file where the folder should be")
    places = dataclasses.replace(bench.places, artifacts=tmp_path / "full")
    stuck = dataclasses.replace(bench, places=places)
    result = trained(stuck, request_of(stuck, checkpoint=True))
    assert result.checkpoint is None
    assert shown(result) == shown(whole)
