"""What is known of a workload's memory: the predicted curve, the measured one, the maximum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tuner.deciding.feasibility import fits
from tuner.deciding.predicted import live_bytes
from tuner.recommendation import Caution, MemoryPoint
from tuner.records import MemoryMeasurement, PredictedPeak


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryCurve:
    """What was predicted and measured of memory.

    Args:
        max_micro_batch_size: The largest size that was run and fitted.
        limited: Whether memory, not the search space, ended the search.
        limit_bytes: What a run may use, margin taken off.
        predicted: The predicted curve, by size; empty where there is none.
        not_predicted: Why there is none, for people; None if there is one.
        trials: Every measurement, in order.
    """

    max_micro_batch_size: int
    limited: bool
    limit_bytes: int
    predicted: tuple[PredictedPeak, ...]
    not_predicted: str | None
    trials: tuple[MemoryMeasurement, ...]

    def peak_bytes(self, micro_batch_size: int) -> int | None:
        """Return the measured peak at a size, or None if it was not run."""
        for trial in self.trials:
            if trial.micro_batch_size == micro_batch_size and fits(trial, self.limit_bytes):
                return trial.live_bytes
        return None

    def next_peak_bytes(self, micro_batch_size: int) -> int:
        """Return the measured peak at a size, or at the next larger one that was run."""
        larger = [
            trial
            for trial in self.trials
            if micro_batch_size <= trial.micro_batch_size <= self.max_micro_batch_size
        ]
        return min(larger, key=lambda trial: trial.micro_batch_size).live_bytes

    def points(self, more: Sequence[MemoryMeasurement] = ()) -> list[MemoryPoint]:
        """Lay the whole curve out as evidence.

        Args:
            more: Trials that were run after this stage.

        Returns:
            One point for each size that was traced or run, by size.
        """
        measured = {trial.micro_batch_size: trial for trial in (*self.trials, *more)}
        traced = {point.micro_batch_size for point in self.predicted}
        return [self._point(size, measured.get(size)) for size in sorted(traced | set(measured))]

    @property
    def warnings(self) -> tuple[Caution, ...]:
        """Sentences for the user."""
        if self.not_predicted is None:
            return ()
        return (
            Caution(
                code="memory_not_predicted",
                detail="Memory could not be predicted, so the micro-batch was grown by "
                f"measurements alone: {self.not_predicted}",
            ),
        )

    def _point(self, size: int, trial: MemoryMeasurement | None) -> MemoryPoint:
        ran = trial is not None and not trial.out_of_memory
        return MemoryPoint(
            micro_batch_size=size,
            predicted_bytes=round(live_bytes(self.predicted, size)) if self.predicted else None,
            measured_bytes=trial.live_bytes if trial is not None and ran else None,
            out_of_memory=trial.out_of_memory if trial is not None else None,
        )
