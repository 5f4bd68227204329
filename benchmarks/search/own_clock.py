"""The replay on this machine's own clock: what a live search timed, a replay is told again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.search.card import Card
from benchmarks.search.grid import Cell, Grid
from benchmarks.search.world import GridWorld
from tuner.deciding.timing import Throughput, step_seconds, throughput
from tuner.measuring.dispatch import Measuring
from tuner.records import (
    BatchPlan,
    Measurement,
    Request,
    StepTiming,
    TimingMeasurement,
    TrainingRun,
    Workload,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedCard(Card):
    """A card whose step times were measured; `knee` and the base of a pass are not used.

    Args:
        timed: Passes and the best plans.
    """

    timed: Throughput

    def pass_seconds(self, micro_batch_size: int) -> float:
        """Seconds of a pass of the nearest size that was timed."""
        nearest = min(self.timed.passes, key=lambda size: abs(size - micro_batch_size))
        return self.timed.passes[nearest].pass_seconds

    def plan(self, global_batch_size: int) -> BatchPlan:
        """Return the fastest plan."""
        return self.timed.plans[global_batch_size]

    def plan_seconds(self, plan: BatchPlan) -> float:
        """Seconds of one optimizer step of a plan whose passes were timed."""
        return step_seconds(plan, self.timed.passes)


def timed_card(batches: Sequence[int], timing: TimingMeasurement) -> TimedCard:
    """Make a card of what was timed; what is not training is not charged."""
    return TimedCard(
        name="own-clock",
        knee=float("inf"),
        largest_micro_batch_size=max(one.micro_batch_size for one in timing.passes),
        start_seconds=0.0,
        evaluation_seconds=timing.evaluation_seconds,
        timed=throughput(batches, timing),
    )


def time_passes(
    measuring: Measuring, workload: Workload, batches: Sequence[int]
) -> TimingMeasurement:
    """Time a pass of each batch size on this machine."""
    request = StepTiming(id="clock", workload=workload, micro_batch_sizes=tuple(batches))
    timing = measuring.measure(request, tightened=lambda: None)
    if not isinstance(timing, TimingMeasurement):
        raise TypeError(f"a timing gave {type(timing).__name__}")
    return timing


def run_seconds(measuring: Measuring, workload: Workload, grid: Grid, cell: Cell) -> float:
    """Train a cell once to its target on this machine.

    Returns:
        Wall seconds, evaluations and set-up included.
    """
    batch = grid.batch(cell)
    request = TrainingRun(
        id="oracle",
        workload=workload,
        plan=BatchPlan(micro_batch_size=batch),
        learning_rate=grid.rate(cell),
        seed=int(grid.seeds[0]),
        max_steps=int(grid.steps[cell.batch_index].max()),
        evaluate_every_steps=int(grid.steps[cell.batch_index, 0]),
        target=grid.target,
        device_kind="cpu",
    )
    return measuring.measure(request, tightened=lambda: None).device_seconds


@dataclass(slots=True, kw_only=True)
class ToldWorld(GridWorld):
    """The replay, but what came before the training is told as a live search has seen it.

    Args:
        told: Answers by request.
    """

    told: Mapping[str, Measurement]

    def measure(self, request: Request) -> Measurement:
        """Answer one request.

        Raises:
            KeyError: The live search did not ask this.
        """
        if request.id in self.told:
            return self.told[request.id]
        return GridWorld.measure(self, request)
