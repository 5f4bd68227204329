"""What a card does besides what a trace says: drawn from a seed, the same at every size.

Whether a block draws a quirk depends on its index alone, and a step makes its blocks in the
same order at every micro-batch size. So a card's curve against the size is as steady as that
of a real one: its workspaces sit at the same kernels.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from tuner.measuring.allocating.events import AllocationEvents, Mark, Phase
from tuner.measuring.allocating.needed import dying_blocks

MIB: Final = 2**20

GROWTH: Final = (0.03, 0.10)
"""By what share large tensors of a step are larger than their shapes say."""

LARGE_BYTES: Final = (1 * MIB, 4 * MIB, 16 * MIB)
"""From which size a tensor counts as large."""

FIXED_BYTES: Final = (100 * MIB, 500 * MIB)
"""What is taken once and kept: handles, autotuning, buffers of libraries."""

PIECES: Final = 6
"""In so many blocks of unlike sizes."""


class Kind(IntEnum):
    """Quirks that one block can draw."""

    NONE = 0
    CONSTANT = 1
    """The kernel that makes it takes a workspace of a constant size."""
    PROPORTIONAL = 2
    """The workspace is a share of the block, up to a cap."""
    SWITCHING = 3
    """There is a workspace only from a size on: another algorithm."""
    LATE = 4
    """It is freed late, as memory that another stream has used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """The ways of one card.

    Args:
        seed: Decides which blocks draw which quirk.
        growth: By what share large tensors are larger.
        large_bytes: From which size a tensor counts as large.
        pieces_bytes: Blocks that are taken at the start and kept.
        shares: Probability of each kind but none.
        constant_bytes: Size of a constant workspace.
        proportion: Share of the block that a proportional workspace takes.
        cap_bytes: What such a workspace takes at most.
        switch_bytes: From which size of block on a switching kernel takes a workspace.
        switched_proportion: Share of the block that it then takes.
        late_events: Events by which a late death is delayed.
    """

    seed: int
    growth: float
    large_bytes: int
    pieces_bytes: tuple[int, ...]
    shares: tuple[float, float, float, float]
    constant_bytes: int
    proportion: float
    cap_bytes: int
    switch_bytes: int
    switched_proportion: float
    late_events: int


def drawn_quirks(seed: str) -> Quirks:
    """Draw the ways of a card.

    Args:
        seed: Decides all of them.
    """
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    fixed = rng.randint(*FIXED_BYTES)
    weights = [rng.random() + 0.05 for _ in range(PIECES)]
    return Quirks(
        seed=rng.getrandbits(31),
        growth=rng.uniform(*GROWTH),
        large_bytes=rng.choice(LARGE_BYTES),
        pieces_bytes=tuple(int(fixed * weight / sum(weights)) for weight in weights),
        shares=(
            rng.uniform(0.0, 0.05),
            rng.uniform(0.0, 0.03),
            rng.uniform(0.0, 0.02),
            rng.uniform(0.0, 0.02),
        ),
        constant_bytes=rng.choice((8, 32, 64)) * MIB,
        proportion=rng.uniform(0.1, 1.0),
        cap_bytes=rng.choice((64, 256, 512)) * MIB,
        switch_bytes=rng.choice((8, 32, 128)) * MIB,
        switched_proportion=rng.uniform(0.05, 0.3),
        late_events=rng.randint(5, 60),
    )


def disturbed(events: AllocationEvents, quirks: Quirks) -> AllocationEvents:
    """Say what a card is really asked for.

    Args:
        events: What a trace says.
        quirks: The ways of the card.

    Returns:
        The same steps with larger tensors, workspaces, late deaths and kept blocks.
    """
    scene = _Scene(events, quirks)
    for mark, order in settled(events):
        scene.begin(mark)
        for block in order:
            scene.follow(block)
    return scene.events()


def settled(events: AllocationEvents) -> Iterator[tuple[Mark, tuple[int, ...]]]:
    """Go through the phases with deaths that come in a row put in order.

    Tensors that die together do so in an order that the interpreter does not promise; sorted,
    two traces of the same step are the same.
    """
    alive: set[int] = set()
    for mark, order in events.phases():
        ordered: list[int] = []
        dying: list[int] = []
        for block in order:
            if block in alive:
                alive.remove(block)
                dying.append(block)
                continue
            ordered += sorted(dying)
            dying.clear()
            alive.add(block)
            ordered.append(block)
        yield mark, tuple(ordered + sorted(dying))


class _Scene:
    """The sequence as it is rewritten."""

    def __init__(self, events: AllocationEvents, quirks: Quirks) -> None:
        self._quirks = quirks
        self._sizes = list(events.sizes_bytes)
        self._dies = dying_blocks(events)
        self._kinds = _kinds(len(self._sizes), quirks)
        self._order: list[int] = []
        self._marks: list[Mark] = []
        self._alive: set[int] = set()
        self._late: list[tuple[int, int]] = []
        self._phase = Phase.FORWARD_BACKWARD

    def begin(self, mark: Mark) -> None:
        """Begin a phase; what is kept is taken with the first."""
        self._phase = mark.phase
        self._marks.append(replace(mark, position=len(self._order) if self._marks else 0))
        if len(self._marks) == 1:
            for size in self._quirks.pieces_bytes:
                self._order.append(self._new(size))

    def follow(self, block: int) -> None:
        """Follow one birth or death."""
        while self._late and self._late[0][0] <= len(self._order):
            self._order.append(self._late.pop(0)[1])
        if block in self._alive:
            self._alive.remove(block)
            self._die(block)
        else:
            self._alive.add(block)
            self._be_born(block)

    def events(self) -> AllocationEvents:
        """Give the rewritten sequence."""
        return AllocationEvents(
            order=tuple(self._order), sizes_bytes=tuple(self._sizes), marks=tuple(self._marks)
        )

    def _be_born(self, block: int) -> None:
        if self._phase is not Phase.OPTIMIZER:
            workspace = self._workspace(block)
            if self._sizes[block] >= self._quirks.large_bytes and block in self._dies:
                self._sizes[block] = int((1.0 + self._quirks.growth) * self._sizes[block])
            if workspace:
                pulse = self._new(workspace)
                self._order += [pulse, block, pulse]
                return
        self._order.append(block)

    def _die(self, block: int) -> None:
        if self._kinds[block] is Kind.LATE:
            self._late.append((len(self._order) + self._quirks.late_events, block))
        else:
            self._order.append(block)

    def _workspace(self, block: int) -> int:
        quirks, size = self._quirks, self._sizes[block]
        match self._kinds[block]:
            case Kind.CONSTANT:
                return quirks.constant_bytes
            case Kind.PROPORTIONAL:
                return min(int(quirks.proportion * size), quirks.cap_bytes)
            case Kind.SWITCHING if size >= quirks.switch_bytes:
                return int(quirks.switched_proportion * size)
            case _:
                return 0

    def _new(self, size_bytes: int) -> int:
        self._sizes.append(size_bytes)
        return len(self._sizes) - 1


def _kinds(blocks: int, quirks: Quirks) -> list[Kind]:
    rng = random.Random(quirks.seed)  # noqa: S311 - repeatable on purpose
    weights = [1.0 - sum(quirks.shares), *quirks.shares]
    return rng.choices(list(Kind), weights, k=blocks)
