"""The largest size from recordings, where it can be checked by running every size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.tuner.measuring.replaying.steps import (
    ACTIVATIONS_BYTES,
    MIB,
    WEIGHTS_BYTES,
    WORKSPACE_BYTES,
    recorded,
)
from tests.tuner.measuring.test_simulated import trial
from tuner.measuring.dispatch import Measuring
from tuner.measuring.replaying.lines import Lines
from tuner.measuring.replaying.recording import save
from tuner.measuring.replaying.replay import is_served, largest_served, live_bytes
from tuner.places import Places
from tuner.records import MemoryMeasurement, MemoryReplay, MemoryReplayed

PER_SAMPLE = sum(ACTIVATIONS_BYTES)


def _found(limit: int, *, careful: bool = False, workspace_at: int | None = None) -> int | None:
    return largest_served(
        recorded(2),
        recorded(5, workspace_at=workspace_at),
        limit_bytes=limit,
        goal_bytes=limit,
        above=5,
        up_to=4096,
        careful=careful,
    )


@pytest.mark.parametrize("size", [7, 64, 1000])
def test_lines_give_what_would_be_recorded(size: int) -> None:
    """Requests of a size that did not run are those that it would make."""
    lines = Lines.through(recorded(2), recorded(5))
    assert lines is not None
    assert lines.at(size) == recorded(size).events


def test_a_workspace_without_partner_grows_with_the_size() -> None:
    """What only one recording shows is taken to be proportional; the others keep their lines."""
    lines = Lines.through(recorded(2), recorded(5, workspace_at=1))
    assert lines is not None
    at = lines.at(50).sizes_bytes
    assert 10 * WORKSPACE_BYTES in at
    assert sorted(set(at) - {10 * WORKSPACE_BYTES}) == sorted(
        {WEIGHTS_BYTES, *(50 * each for each in ACTIVATIONS_BYTES)}
    )


@pytest.mark.parametrize("limit_mib", [300, 1024, 5000])
def test_the_largest_served_size_is_found(limit_mib: int) -> None:
    """It is served by the allocator, and no larger size is, as running each of them shows."""
    limit = limit_mib * MIB
    found = _found(limit)
    bound = limit // PER_SAMPLE + 1
    served = [size for size in range(1, bound) if is_served(recorded(size).events, limit)]
    within = [size for size in served if live_bytes(recorded(size).events) <= 0.999 * limit]
    assert found == max(within)


def test_care_leaves_room() -> None:
    """With care the size is no larger, and half a per cent of the limit is left."""
    limit = 5000 * MIB
    careful, bold = _found(limit, careful=True), _found(limit)
    assert careful is not None
    assert bold is not None
    assert careful <= bold
    assert is_served(recorded(careful).events, int(0.995 * limit))


def test_an_allocator_that_holds_more_than_the_model_is_believed() -> None:
    """If a trial held a tenth more than the model says, a tenth of the limit less is filled."""
    limit = 5000 * MIB

    def found(held: float, limit_bytes: int, *, careful: bool) -> int | None:
        return largest_served(
            recorded(2),
            recorded(5, held=held),
            limit_bytes=limit_bytes,
            goal_bytes=limit,
            above=5,
            up_to=4096,
            careful=careful,
        )

    bold = found(1.1, limit, careful=False)
    assert bold == found(1.0, int(limit / 1.1), careful=True)
    assert bold < found(1.0, limit, careful=True)


def test_no_larger_size_is_said_plainly() -> None:
    """Where nothing above is served the bound comes back."""
    assert _found(WEIGHTS_BYTES + 5 * PER_SAMPLE) == 5


def test_recordings_of_other_phases_promise_nothing() -> None:
    """Two that went through other phases are not put together; nor is one with itself."""
    assert Lines.through(recorded(5), recorded(5)) is None
    shorter = recorded(2)
    events = shorter.events
    cut = replace(events, marks=events.marks[:-1])
    other = replace(shorter, events=cut)
    assert Lines.through(other, recorded(5)) is None


def _request(recordings: tuple[str, ...]) -> MemoryReplay:
    return MemoryReplay(
        id="memory-replay-2",
        workload=trial(1, accelerator="sim:T4-16GB:1").workload,
        recordings=recordings,
        limit_bytes=256 * MIB,
        goal_bytes=250 * MIB,
        above=400,
        up_to=10**6,
        careful=False,
    )


def test_a_missing_recording_is_no_failure(tmp_path: Path) -> None:
    """The replay then says that it cannot tell."""
    measuring = Measuring(Places(artifacts=tmp_path))
    one = save(tmp_path, recorded(2))
    for names in ((one, "0" * 64 + ".events"), (one,), ("../x", one)):
        found = measuring.measure(_request(names), tightened=lambda: None)
        assert isinstance(found, MemoryReplayed)
        assert found.micro_batch_size is None


def test_the_door_replays_what_simulated_cards_recorded(tmp_path: Path) -> None:
    """Two trials are recorded, a replay names a size, and that one runs; the next one does not."""
    measuring = Measuring(Places(artifacts=tmp_path))

    def run(size: int) -> MemoryMeasurement:
        request = trial(700 * MIB, accelerator="sim:T4-16GB:1", size=size)
        result = measuring.measure(request, tightened=lambda: None)
        assert isinstance(result, MemoryMeasurement)
        return result

    trials = [run(size) for size in (10_000, 40_000)]
    names = tuple(trial.recording for trial in trials if trial.recording)
    assert len(names) == 2
    request = replace(
        _request(names),
        limit_bytes=700 * MIB,
        goal_bytes=700 * MIB,
        above=40_000,
        up_to=10**7,
    )
    found = measuring.measure(request, tightened=lambda: None)
    assert isinstance(found, MemoryReplayed)
    assert found.micro_batch_size is not None
    assert found.micro_batch_size > 40_000
    promised, beyond = run(found.micro_batch_size), run(int(1.02 * found.micro_batch_size))
    assert not promised.out_of_memory
    assert promised.allocation_retries == 0
    assert beyond.out_of_memory or beyond.allocation_retries
    assert run(10**7).recording is None
