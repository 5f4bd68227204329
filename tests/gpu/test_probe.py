"""Memory trials on a card."""

from __future__ import annotations

import pytest
import torch

from tests.gpu.subjects import door, images, nobody, text
from tuner.records import MemoryTrial

pytestmark = pytest.mark.gpu

PLENTY = 4 * 2**30


def tried(measuring, workload, size, *, limit_bytes=PLENTY, accumulation=2):
    """Run a memory trial through the door."""
    request = MemoryTrial(
        id="trial",
        workload=workload,
        micro_batch_size=size,
        accumulation=accumulation,
        limit_bytes=limit_bytes,
    )
    return measuring.measure(request, tightened=nobody)


@pytest.mark.parametrize("workload", [images(), text()], ids=["images", "text"])
def test_peaks_grow_with_the_micro_batch(tmp_path, workload):
    """Live bytes never fall with the size; reserved ones hold them; three steps are run."""
    measuring = door(tmp_path)
    trials = [tried(measuring, workload, size) for size in (2, 8, 32, 128)]
    peaks = [trial.forward_backward_bytes for trial in trials]
    assert peaks == sorted(peaks)
    assert peaks[0] < peaks[-1]
    for trial in trials:
        assert not trial.out_of_memory
        assert trial.steps == 3
        assert trial.allocation_retries == 0
        assert trial.reserved_bytes >= max(
            trial.forward_backward_bytes, trial.optimizer_bytes, trial.evaluation_bytes
        )


def test_optimizer_phase_holds_four_times_the_weights(tmp_path):
    """Weights, gradients and both of Adam's moments are there when it steps."""
    measuring = door(tmp_path)
    workload = images(channels=(64, 256, 512))
    trial = tried(measuring, workload, 2)
    model = measuring.bench(workload, None).model(0)
    assert trial.optimizer_bytes >= 4 * sum(p.numel() * 4 for p in model.parameters())


def test_limit_is_held_and_lifted_again(tmp_path):
    """A trial over its limit is out of memory; the next one has the whole card again."""
    measuring = door(tmp_path)
    workload = images()
    enough = tried(measuring, workload, 64)
    tight = enough.peak_bytes // 2
    refused = tried(measuring, workload, 512, limit_bytes=tight)
    assert refused.out_of_memory
    assert refused.reserved_bytes <= tight + 2 * 2**20
    again = tried(measuring, workload, 64)
    assert not again.out_of_memory
    assert again.forward_backward_bytes == pytest.approx(enough.forward_backward_bytes, rel=0.02)


def test_trials_leave_nothing_behind(tmp_path):
    """Apart from the data, which stay warm, the card is as empty after a trial as before."""
    measuring = door(tmp_path)
    workload = images()
    tried(measuring, workload, 64)
    kept = torch.cuda.memory_allocated()
    tried(measuring, workload, 256)
    assert torch.cuda.memory_allocated() == pytest.approx(kept, abs=16 * 2**20)
