"""Step times on a card."""

from __future__ import annotations

from statistics import median

import pytest

from tests.gpu.subjects import door, images, nobody
from tuner.records import StepTiming

pytestmark = pytest.mark.gpu


def test_parts_add_up_and_grow_with_the_size(tmp_path):
    """Pass and optimizer make the whole step, and a hundred times the samples take longer."""
    workload = images(channels=(64, 128, 256), samples=10_000)
    request = StepTiming(
        id="timing", workload=workload, micro_batch_sizes=(32, 3200), window_seconds=0.3
    )
    result = door(tmp_path).measure(request, tightened=nobody)
    small, large = result.passes
    for one in (small, large):
        assert one.pass_seconds + one.optimizer_seconds == pytest.approx(median(one.windows))
        assert one.optimizer_seconds >= 0.0
        assert 0.0 < one.input_seconds < one.pass_seconds
    assert large.pass_seconds > small.pass_seconds
    assert result.evaluation_seconds > 0.0
