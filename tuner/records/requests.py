"""Requests: what is asked of a device.

A request carries all that its measurement needs: a worker never calls back to learn when to stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The part of a spec that a device has to build: model, data and how they train.

    Args:
        model: The `model` of the spec, as plain JSON.
        dataset: The `dataset` of the spec, as plain JSON.
        training: The `training` of the spec, as plain JSON, defaults filled in.
        metric: `validation_loss` or `accuracy`.
        accelerator: `cpu` or `cuda`; never `auto`, that is settled before.
        data_seed: Seed of the validation split and of generated data.
        memory_limit_bytes: The user's cap, or None for the device's own.
    """

    model: Mapping[str, Any]
    dataset: Mapping[str, Any]
    training: Mapping[str, Any]
    metric: str
    accelerator: str
    data_seed: int
    memory_limit_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlan:
    """How one optimizer step is cut into passes.

    Args:
        micro_batch_size: Samples per forward and backward pass.
        gradient_accumulation_steps: Passes per optimizer step.
    """

    micro_batch_size: int
    gradient_accumulation_steps: int = 1

    @property
    def global_batch_size(self) -> int:
        """Samples per optimizer step."""
        return self.micro_batch_size * self.gradient_accumulation_steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspect:
    """Build the data and the model once and say what they are."""

    id: str
    workload: Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTrial:
    """Run real optimizer steps and an evaluation at one micro-batch size.

    Args:
        id: Unique in its job.
        workload: What to build.
        micro_batch_size: Samples per pass.
        accumulation: Passes per optimizer step; 2 shows the held gradient copy.
        limit_bytes: Bytes beyond which this counts as out of memory.
    """

    id: str
    workload: Workload
    micro_batch_size: int
    accumulation: int
    limit_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTiming:
    """Time steady-state training passes at several micro-batch sizes, input included.

    Args:
        id: Unique in its job.
        workload: What to build.
        micro_batch_sizes: Sizes to time, each known to fit.
        window_seconds: Steady state to spend on each size in all, at least.
        rounds: Rounds over the sizes; interleaving them evens out a drifting machine.
    """

    id: str
    workload: Workload
    micro_batch_sizes: tuple[int, ...]
    window_seconds: float = 2.0
    rounds: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What a training run measures besides its loss.

    Args:
        noise_windows: How many steps at most are split for the gradient noise scale,
            evenly spaced after the first 5 % of the run; 0 for none.
        noise_splits: Micro-gradients per window, at least 4.
        sharpness: Measure sharpness where the run ends (the target crossing).
    """

    noise_windows: int = 0
    noise_splits: int = 8
    sharpness: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """Train one configuration until it reaches the target, its limit, or its end.

    Args:
        id: Unique in its job.
        workload: What to build.
        plan: Micro-batch and accumulation, run exactly as given.
        learning_rate: Peak learning rate, per optimizer step.
        seed: Initial weights, data order and dropout follow from it alone.
        max_steps: Optimizer steps at most.
        evaluate_every_steps: Cadence of evaluation, in optimizer steps.
        target: Smoothed metric at which the run has reached its end; None: run to max_steps.
        device_kind: Kind of device whose step times calibrate this run.
        deadline_seconds: Wall seconds after which the run stops, censored; None for none.
        measure: What else to measure.
        checkpoint: Leave a checkpoint at the end, so that a later request can go on.
        resume_from: Name of a checkpoint; if it is missing the run starts at step 0 with
            the same result.
    """

    id: str
    workload: Workload
    plan: BatchPlan
    learning_rate: float
    seed: int
    max_steps: int
    evaluate_every_steps: int
    target: float | None
    device_kind: str
    deadline_seconds: float | None = None
    measure: Measure = Measure()
    checkpoint: bool = False
    resume_from: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardModel:
    """What a prediction has to know of a device that is not there.

    Args:
        name: What people call it, for example `A10-24GB`.
        memory_bytes: All of its memory.
        context_bytes: What the driver's context takes before the first tensor.
        device_type: `cuda`, or `cpu` for plain tensors without an allocator's cache.
        library_bytes: What libraries such as cuBLAS hold outside of torch's tensors.
        attention_kernel: What fused attention runs: `flash`, `efficient`, `math`, or `auto`
            for what torch would take, given dtype, mask and head size.
    """

    name: str
    memory_bytes: int
    context_bytes: int
    device_type: str
    library_bytes: int = 0
    attention_kernel: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTrace:
    """Predict the memory of training steps without the device: no tensor holds any values.

    Args:
        id: Unique in its job.
        workload: What to build; its accelerator need not be here.
        micro_batch_sizes: Samples per pass, each traced.
        accumulation: Passes per optimizer step; 2 shows the held gradient copy.
        card: The device that the prediction is for.
    """

    id: str
    workload: Workload
    micro_batch_sizes: tuple[int, ...]
    accumulation: int
    card: CardModel


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryReplay:
    """Find the largest size whose requests the allocator would serve, from sizes that ran.

    Args:
        id: Unique in its job.
        workload: Whose trials were recorded.
        recordings: Names of two recordings among the artifacts, of different sizes.
        limit_bytes: What the allocator may hold.
        goal_bytes: What may be alive.
        above: Sizes up to this one are not looked at.
        up_to: No larger one is.
        careful: Whether to leave room for what the recordings do not show.
    """

    id: str
    workload: Workload
    recordings: tuple[str, ...]
    limit_bytes: int
    goal_bytes: int
    above: int
    up_to: int
    careful: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StackTiming:
    """Time a step of several runs side by side, their weights stacked, and of one alone.

    Args:
        id: Unique in its job.
        runs: Runs of one workload and plan; none of them is begun.
        widths: How many of them to try side by side, widest first; the first of `runs` go.
        allowance_seconds: Once this has been spent, nothing more is tried.
    """

    id: str
    runs: tuple[TrainingRun, ...]
    widths: tuple[int, ...]
    allowance_seconds: float

    @property
    def workload(self) -> Workload:
        """What to build."""
        return self.runs[0].workload


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedRuns:
    """Train several runs side by side; each ends as it would have ended alone.

    Args:
        id: Unique in its job, as are those of the runs.
        runs: Runs of one workload that differ in learning rate, seed and checkpoint alone.
    """

    id: str
    runs: tuple[TrainingRun, ...]

    @property
    def workload(self) -> Workload:
        """What to build."""
        return self.runs[0].workload

    @property
    def device_kind(self) -> str:
        """Kind of device whose step times calibrate the runs."""
        return self.runs[0].device_kind

    @property
    def deadline_seconds(self) -> float | None:
        """Wall seconds after which all that are left stop, censored; None for none."""
        return self.runs[0].deadline_seconds
