"""Histories of a card, read as torch writes them; no card is needed to read."""

from __future__ import annotations

import torch

from tuner.measuring.allocating.events import Phase
from tuner.measuring.replaying.cuda_history import cuda_history, events_of, held_blocks

MARKS = [(0, Phase.FORWARD_BACKWARD, 0), (50, Phase.OPTIMIZER, 0), (90, Phase.EVALUATION, 1)]


def entry(action: str, address: int, size: int, at: int) -> dict[str, object]:
    """One entry as torch's snapshot has it."""
    return {"action": action, "addr": address, "size": size, "time_us": at, "stream": 0}


def test_births_and_deaths_are_read_in_order() -> None:
    """Blocks are numbered by birth; an address that is used again is another block."""
    entries = [
        entry("segment_alloc", 100, 2 * 2**20, 10),
        entry("alloc", 100, 512, 11),
        entry("free_requested", 100, 512, 20),
        entry("free_completed", 100, 512, 20),
        entry("alloc", 100, 700, 60),
        entry("alloc", 612, 800, 95),
        entry("snapshot", 0, 0, 99),
    ]
    events = events_of([(5000, 64)], entries, MARKS)
    assert events.sizes_bytes == (64, 512, 700, 800)
    assert events.order == (0, 1, 1, 2, 3)
    assert [(mark.position, mark.phase, mark.step) for mark in events.marks] == [
        (0, Phase.FORWARD_BACKWARD, 0),
        (3, Phase.OPTIMIZER, 0),
        (4, Phase.EVALUATION, 1),
    ]


def test_what_died_unseen_is_dead() -> None:
    """An address that is given again without a death was freed before; unknown deaths are none."""
    entries = [
        entry("alloc", 100, 512, 1),
        entry("alloc", 100, 600, 2),
        entry("free_completed", 777, 1, 3),
    ]
    events = events_of([], entries, MARKS)
    assert events.order == (0, 0, 1)
    assert [mark.position for mark in events.marks] == [0, 3, 3]


def test_what_is_alive_is_read_off_a_snapshot() -> None:
    """Active blocks count, by what was requested, at the addresses that follow from their order."""
    segments = [
        {
            "device": 0,
            "address": 1000,
            "blocks": [
                {"size": 512, "requested_size": 100, "state": "active_allocated"},
                {"size": 1024, "requested_size": 0, "state": "inactive"},
                {"size": 512, "requested_size": 300, "state": "active_allocated"},
            ],
        },
        {
            "device": 1,
            "address": 9000,
            "blocks": [{"size": 512, "requested_size": 9, "state": "active_allocated"}],
        },
    ]
    assert held_blocks(segments, 0) == ((1000, 100), (2536, 300))


def test_the_processor_has_no_history() -> None:
    """There is no caching allocator on it whose requests could be replayed."""
    with cuda_history(torch.device("cpu")) as history:
        assert history is None
