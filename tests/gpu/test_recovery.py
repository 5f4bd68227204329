"""Running out of a card's memory, and going on."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.gpu.subjects import door, images, nobody, run_of
from tuner.records import BatchPlan, Outcome, StepTiming

pytestmark = pytest.mark.gpu

TIGHT = 256 * 2**20


def test_a_run_too_large_is_an_outcome_and_the_next_is_normal(tmp_path):
    """A micro-batch beyond the limit ends the run; a smaller one then trains as ever."""
    measuring = door(tmp_path)
    workload = dataclasses.replace(images(), memory_limit_bytes=TIGHT)
    plan = BatchPlan(micro_batch_size=3000)
    result = measuring.measure(run_of(workload, plan=plan), tightened=nobody)
    assert result.outcome is Outcome.OUT_OF_MEMORY
    assert result.steps == 0
    small = measuring.measure(run_of(workload), tightened=nobody)
    assert small.outcome is Outcome.CENSORED
    assert small.steps == 40


def test_a_run_that_ran_out_holds_no_memory(tmp_path):
    """What a failed run took is given back, and cached memory too."""
    measuring = door(tmp_path)
    workload = dataclasses.replace(images(), memory_limit_bytes=TIGHT)
    measuring.measure(run_of(workload, max_steps=1), tightened=nobody)
    kept = torch.cuda.memory_allocated()
    plan = BatchPlan(micro_batch_size=3000)
    measuring.measure(run_of(workload, plan=plan), tightened=nobody)
    assert torch.cuda.memory_allocated() <= kept + 16 * 2**20
    assert torch.cuda.memory_reserved() <= kept + 64 * 2**20


def test_timing_leaves_out_what_does_not_fit(tmp_path):
    """Sizes that fit are timed though a larger one ran out of memory."""
    workload = dataclasses.replace(images(), memory_limit_bytes=TIGHT)
    request = StepTiming(
        id="timing", workload=workload, micro_batch_sizes=(16, 3000), window_seconds=0.1
    )
    result = door(tmp_path).measure(request, tightened=nobody)
    assert [one.micro_batch_size for one in result.passes] == [16]
