"""Simulated cards: memory trials without a device, with quirks that no trace can foresee.

A trace says what a step asks of an allocator; a model of torch's allocator says how it fares.
What real cards do besides is drawn from a seed, as a real card has its own ways: workspaces of
libraries, tensors that are larger than their shapes say, memory freed late. The predictor
knows nothing of it, so a search that is tried on these cards has to measure to be right.

For one seed everything repeats exactly. A trial is still a real one in its rules: out of
memory and allocator retries come of the same limit, rounding, caching and fragmentation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tuner.cards import card_named
from tuner.errors import InvalidWorkload
from tuner.measuring.allocating.allocator import CachingAllocator
from tuner.measuring.allocating.events import AllocationEvents, Phase
from tuner.measuring.quirks import Quirks, disturbed, drawn_quirks
from tuner.measuring.replaying.recording import Recording, numbered, save
from tuner.measuring.tracing.trace import NotTraceable, Tracer
from tuner.places import Places
from tuner.records import CardModel, MemoryMeasurement, MemoryTrial, Request

ACCELERATOR: Final = "sim"
"""What a workload's accelerator begins with: `sim:<card>` or `sim:<card>:<seed>`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCard:
    """A card that is not there.

    Args:
        name: What people call it.
        memory_bytes: All of its memory.
        context_bytes: What the driver's context takes.
        library_bytes: What libraries hold outside of torch's tensors.
        quirks: What it does besides what a trace says; None for a card without any.
        allocator: Serves its requests.
    """

    name: str
    memory_bytes: int
    context_bytes: int
    library_bytes: int = 0
    quirks: Quirks | None = None
    allocator: type[CachingAllocator] = CachingAllocator

    @property
    def limit_bytes(self) -> int:
        """What torch's allocator may hold."""
        return self.memory_bytes - self.context_bytes - self.library_bytes

    @property
    def model(self) -> CardModel:
        """What a trace has to know of it."""
        return CardModel(
            name=self.name,
            memory_bytes=self.memory_bytes,
            context_bytes=self.context_bytes,
            device_type="cuda",
            library_bytes=self.library_bytes,
        )

    def measure(self, events: AllocationEvents, request: MemoryTrial) -> MemoryMeasurement:
        """Run a trial.

        Args:
            events: What the trial's steps ask of the allocator, at its micro-batch size.
            request: Its size and its limit.

        Returns:
            Peaks by phase; after out of memory, those seen before it.
        """
        limit = min(self.limit_bytes, request.limit_bytes)
        replay = self.allocator(limit).replay(self.disturbed(events))
        live = {phase: peaks.live_bytes for phase, peaks in replay.peaks.items()}
        return MemoryMeasurement(
            micro_batch_size=request.micro_batch_size,
            out_of_memory=replay.out_of_memory,
            forward_backward_bytes=live.get(Phase.FORWARD_BACKWARD, 0),
            optimizer_bytes=live.get(Phase.OPTIMIZER, 0),
            evaluation_bytes=live.get(Phase.EVALUATION, 0),
            reserved_bytes=replay.reserved_bytes,
            allocation_retries=replay.retries_after_warm_up,
            steps=replay.steps,
            device_seconds=0.0,
        )

    def recording(self, events: AllocationEvents, measured: MemoryMeasurement) -> Recording:
        """Tell what a card's memory history would of a trial that did not run out of memory."""
        return Recording(
            micro_batch_size=measured.micro_batch_size,
            reserved_bytes=measured.reserved_bytes,
            events=numbered(self.disturbed(events)),
        )

    def disturbed(self, events: AllocationEvents) -> AllocationEvents:
        """Say what the card really is asked for."""
        return events if self.quirks is None else disturbed(events, self.quirks)


def simulated(name: str, seed: int | None = None) -> SimulatedCard:
    """Make a card of the catalogue, with the quirks of a seed.

    Args:
        name: As the catalogue has it.
        seed: Of its quirks; None for none.

    Raises:
        InvalidWorkload: `card_unknown`.
    """
    card = card_named(name)
    return SimulatedCard(
        name=name,
        memory_bytes=card.memory_bytes,
        context_bytes=card.context_bytes,
        library_bytes=card.library_bytes,
        quirks=None if seed is None else drawn_quirks(f"{name}:{seed}"),
    )


def simulated_card(accelerator: str) -> SimulatedCard:
    """Read a card off a workload's accelerator.

    Args:
        accelerator: `sim:<card>` or `sim:<card>:<seed>`.

    Raises:
        InvalidWorkload: `card_unknown`, or the seed is no number.
    """
    _, _, rest = accelerator.partition(":")
    name, _, seed = rest.partition(":")
    if seed and not seed.isdecimal():
        raise InvalidWorkload(f"The seed of a simulated card is a number, not {seed!r}.")
    return simulated(name, int(seed) if seed else None)


def is_simulated(accelerator: str) -> bool:
    """Whether an accelerator names a simulated card."""
    return accelerator.partition(":")[0] == ACCELERATOR


def measure_simulated(request: Request, places: Places) -> MemoryMeasurement:
    """Run a memory trial on the simulated card that its workload names.

    Args:
        request: The trial.
        places: Where files and own code may lie.

    Returns:
        What it took.

    Raises:
        InvalidWorkload: There is no such card, it cannot be traced what the workload does, or
            the request is another one: a card that computes nothing has no times and no losses.
    """
    if not isinstance(request, MemoryTrial):
        raise InvalidWorkload(
            f"A simulated card runs memory trials, not {type(request).__name__}.",
            code="accelerator_unavailable",
            pointer="/hardware/accelerator",
        )
    card = simulated_card(request.workload.accelerator)
    try:
        tracer = Tracer(request.workload, places, card.model)
        events = tracer.trace(request.micro_batch_size, request.accumulation).events
    except NotTraceable as error:
        raise InvalidWorkload(
            f"A simulated card runs what can be traced, and this cannot: {error}"
        ) from error
    result = card.measure(events, request)
    if result.out_of_memory:
        return result
    recording = card.recording(events, result)
    return replace(result, recording=save(places.artifacts, recording))
