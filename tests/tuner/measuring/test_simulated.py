"""Simulated cards: what they take, what they hide, and that they repeat themselves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.tuner.measuring.tracing.subjects import workload_of
from tuner.cards import card_named
from tuner.errors import InvalidWorkload
from tuner.measuring.allocating.events import AllocationEvents, Mark, Phase, requested_peaks
from tuner.measuring.allocating.needed import needed_bytes
from tuner.measuring.dispatch import Measuring
from tuner.measuring.quirks import FIXED_BYTES, GROWTH, disturbed, drawn_quirks, settled
from tuner.measuring.simulated import SimulatedCard, simulated
from tuner.places import Places
from tuner.records import Inspect, MemoryMeasurement, MemoryTrial

MIB = 2**20


def steps(scale: int = 1) -> AllocationEvents:
    """A model that stays, then three steps of two activations each, then an evaluation."""
    order, sizes, marks = [0], [64 * MIB], [Mark(position=0, phase=Phase.FORWARD_BACKWARD, step=0)]
    for step in range(4):
        phase = Phase.EVALUATION if step == 3 else Phase.FORWARD_BACKWARD
        if step:
            marks.append(Mark(position=len(order), phase=phase, step=step))
        one, other = len(sizes), len(sizes) + 1
        sizes += [32 * MIB * scale, 48 * MIB * scale]
        order += [one, other, one, other]
    return AllocationEvents(order=tuple(order), sizes_bytes=tuple(sizes), marks=tuple(marks))


def trial(limit_bytes: int, *, accelerator: str = "sim:T4-16GB", size: int = 4) -> MemoryTrial:
    """Ask for a trial of a small network."""
    model = {"kind": "builtin", "name": "mlp", "options": {"hidden": [64], "dropout": 0.0}}
    return MemoryTrial(
        id="memory-0",
        workload=dataclasses.replace(workload_of(model, [32]), accelerator=accelerator),
        micro_batch_size=size,
        accumulation=2,
        limit_bytes=limit_bytes,
    )


def plain_card(limit_bytes: int) -> SimulatedCard:
    """A card without quirks."""
    return SimulatedCard(name="plain", memory_bytes=limit_bytes, context_bytes=0)


def test_without_quirks_a_card_takes_what_the_trace_says() -> None:
    """Live bytes are those that were asked for; the limit is that of card and request."""
    events = steps()
    result = plain_card(2**30).measure(events, trial(2**40))
    assert result.live_bytes == max(requested_peaks(events).values()) == 144 * MIB
    assert result.evaluation_bytes == 144 * MIB
    assert not result.out_of_memory
    assert plain_card(2**30).measure(events, trial(100 * MIB)).out_of_memory
    assert plain_card(100 * MIB).measure(events, trial(2**40)).out_of_memory


@pytest.mark.parametrize("seed", range(8))
def test_quirks_stay_in_their_ranges_and_repeat(seed: int) -> None:
    """Large tensors grow by 3 to 10 %, 100 to 500 MiB are kept, and one seed is one card."""
    quirks = drawn_quirks(f"test:{seed}")
    assert quirks == drawn_quirks(f"test:{seed}")
    assert quirks != drawn_quirks(f"test:{seed + 1}")
    assert GROWTH[0] <= quirks.growth <= GROWTH[1]
    assert 0.99 * FIXED_BYTES[0] <= sum(quirks.pieces_bytes) <= FIXED_BYTES[1]
    once, again = (disturbed(steps(), quirks) for _ in range(2))
    assert once == again


@pytest.mark.parametrize("seed", range(8))
def test_a_quirky_card_takes_more_than_the_trace_says(seed: int) -> None:
    """Never less, by what is kept and what has grown at least, and by workspaces at most."""
    quirks = drawn_quirks(f"test:{seed}")
    seen, asked = (max(requested_peaks(e).values()) for e in (disturbed(steps(), quirks), steps()))
    activations = 80 * MIB
    grown = sum(quirks.pieces_bytes) + quirks.growth * activations
    workspace = max(quirks.constant_bytes, quirks.cap_bytes, 64 * MIB)
    assert asked + 0.999 * grown <= seen <= asked + grown + workspace + 80 * MIB


def test_steps_of_another_size_have_the_same_quirks() -> None:
    """Whether a block draws a quirk depends on its place in the step, not on its size."""
    quirks = drawn_quirks("test:3")
    small, large = (disturbed(steps(scale), quirks) for scale in (2, 4))
    assert small.order == large.order
    assert small.marks == large.marks


def test_deaths_in_a_row_have_one_order() -> None:
    """Two traces that free the same tensors in another order are the same to a card."""
    marks = (Mark(position=0, phase=Phase.FORWARD_BACKWARD, step=0),)
    one, other = (
        AllocationEvents(order=order, sizes_bytes=(1, 2, 3), marks=marks)
        for order in ((0, 1, 1, 0, 2), (0, 1, 0, 1, 2))
    )
    assert [order for _, order in settled(one)] == [order for _, order in settled(other)]


def test_needed_bytes_are_the_least_that_serve_freely() -> None:
    """At them nothing is retried after warm-up; a little below them something is."""
    events = steps()
    needed = needed_bytes(events)
    freely = plain_card(needed).measure(events, trial(2**40))
    assert not freely.out_of_memory
    assert freely.allocation_retries == 0
    below = plain_card(int(0.98 * needed)).measure(events, trial(2**40))
    assert below.out_of_memory or below.allocation_retries > 0
    assert needed >= 144 * MIB


def test_a_card_of_the_catalogue_has_its_bytes() -> None:
    """Capacity, context and libraries are those of the catalogue; a seed adds quirks."""
    card = simulated("A10-24GB", 5)
    assert card.limit_bytes == card_named("A10-24GB").usable_bytes
    assert card.quirks is not None
    assert simulated("A10-24GB").quirks is None


def test_the_door_runs_trials_on_simulated_cards(tmp_path: Path) -> None:
    """The same request that runs on a device runs on a card that is not there, repeatably."""
    measuring = Measuring(Places(artifacts=tmp_path))
    results = [
        measuring.measure(trial(2**40, accelerator=accelerator, size=size), tightened=lambda: None)
        for accelerator, size in (
            ("sim:T4-16GB", 4),
            ("sim:T4-16GB", 4000),
            ("sim:T4-16GB:1", 4),
            ("sim:T4-16GB:1", 4),
        )
    ]
    assert all(isinstance(result, MemoryMeasurement) for result in results)
    small, large, quirky, again = (result.live_bytes for result in results)
    assert small < large
    assert small + FIXED_BYTES[0] * 0.99 < quirky == again


@pytest.mark.parametrize(
    ("accelerator", "code"),
    [
        ("sim:T5-16GB", "card_unknown"),
        ("sim", "card_unknown"),
        ("sim:T4-16GB:x", "invalid_workload"),
    ],
)
def test_a_card_that_does_not_exist_is_refused(tmp_path: Path, accelerator: str, code: str) -> None:
    """The problem says so, and the process lives on."""
    with pytest.raises(InvalidWorkload) as caught:
        Measuring(Places(artifacts=tmp_path)).measure(
            trial(2**40, accelerator=accelerator), tightened=lambda: None
        )
    assert caught.value.problem.code == code


def test_a_simulated_card_has_no_times_and_no_losses(tmp_path: Path) -> None:
    """Whatever is no memory trial is refused: a tuning job cannot run on it."""
    request = Inspect(id="inspect-0", workload=trial(1).workload)
    with pytest.raises(InvalidWorkload) as caught:
        Measuring(Places(artifacts=tmp_path)).measure(request, tightened=lambda: None)
    assert caught.value.problem.code == "accelerator_unavailable"
