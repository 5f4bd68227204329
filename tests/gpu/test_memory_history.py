"""What a real card tells of the requests that its allocator saw."""

from __future__ import annotations

import pytest
import torch

from tests.gpu.subjects import door, images, nobody
from tests.gpu.test_probe import tried
from tuner.measuring.replaying.cuda_history import cuda_history
from tuner.records import MemoryReplay

pytestmark = pytest.mark.gpu

LIMIT = 2 * 2**30


def test_a_card_tells_what_it_was_asked_for() -> None:
    """The requested bytes of a tensor that came and went are in the history."""
    device = torch.device("cuda", 0)
    kept = torch.zeros(1000, device=device)
    with cuda_history(device) as history:
        assert history is not None
        history.mark("forward_backward_bytes", 0)
        gone = torch.zeros(12_345, device=device)
        del gone
        history.mark("optimizer_bytes", 0)
        held = torch.zeros(54_321, device=device)
        events = history.events()
    assert events is not None
    assert 4 * 12_345 in events.sizes_bytes
    assert 4 * 54_321 in events.sizes_bytes
    block = events.sizes_bytes.index(4 * 12_345)
    assert events.order.count(block) == 2
    assert events.order.count(events.sizes_bytes.index(4 * 54_321)) == 1
    assert kept.numel() * 4 in events.sizes_bytes
    assert held.is_cuda


def test_what_a_replay_promises_runs(tmp_path):
    """Two recorded trials name a size; it runs freely, and three per cent more does not."""
    measuring, workload = door(tmp_path), images()
    small, large = (tried(measuring, workload, size, limit_bytes=LIMIT) for size in (64, 256))
    assert small.recording
    assert large.recording
    request = MemoryReplay(
        id="replay",
        workload=workload,
        recordings=(small.recording, large.recording),
        limit_bytes=LIMIT,
        goal_bytes=LIMIT,
        above=256,
        up_to=2**20,
        careful=True,
    )
    promised = measuring.measure(request, tightened=nobody).micro_batch_size
    assert promised is not None
    assert promised > 256
    ran = tried(measuring, workload, promised, limit_bytes=LIMIT)
    assert not ran.out_of_memory
    assert ran.allocation_retries == 0
    beyond = tried(measuring, workload, int(1.1 * promised), limit_bytes=LIMIT)
    assert beyond.out_of_memory or beyond.allocation_retries
