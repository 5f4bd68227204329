"""What is asked of a device, and what it answered: frozen, JSON-able, versioned records.

Everything that crosses a process or is stored is one of these. They need the standard
library alone, so that a bare GPU image can read and write them.

A *request* carries all that its measurement needs: a worker never calls back to learn when
to stop. A *result* states the facts, never a verdict: whether something fits, is fast or is
good is decided elsewhere, purely, from results.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final, Union

from tuner.errors import IncompatibleRecord, Problem

RECORD_VERSION: Final = 1
"""Raised whenever a stored record could no longer be read by the code before it."""


# ----------------------------------------------------------------------------- requests


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


Request = (
    Inspect
    | MemoryTrial
    | MemoryTrace
    | MemoryReplay
    | StepTiming
    | TrainingRun
    | StackTiming
    | StackedRuns
)


# ------------------------------------------------------------------------------ results


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The device a measurement ran on.

    Args:
        kind: `cpu` or `cuda:<name of the card>`; step times never mix kinds.
        name: What people call it.
        memory_bytes: All of its memory.
        limit_bytes: What a run may use: the user's cap or the device's own default,
            margin not yet taken off.
        torch_version: Version of torch that measured.
    """

    kind: str
    name: str
    memory_bytes: int
    limit_bytes: int
    torch_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What the real data and model are.

    Args:
        num_train: Training samples.
        num_validation: Validation samples.
        input_shape: Shape of one sample, without the batch axis.
        input_dtype: For example `float32` or `int64`.
        output_size: Classes, regression outputs, or vocabulary size.
        tokens_per_sample: For causal language models, else None.
        parameter_count: Trainable parameters.
        parameter_bytes: Bytes of all parameters.
        batch_dependent_layers: Names of layers whose output depends on the other samples
            of the micro-batch (BatchNorm and the like); empty for most models.
        synthetic: Whether the labels are invented, so that learning means nothing.
        data_digest: `sha256:` of the data as loaded.
        code_digest: `sha256:` of the code that builds model and data.
        initial_loss: Validation loss of a freshly initialised model.
        device: Where this was seen.
        device_seconds: Wall seconds spent.
        warnings: Sentences worth telling the user.
    """

    num_train: int
    num_validation: int
    input_shape: tuple[int, ...]
    input_dtype: str
    output_size: int
    tokens_per_sample: int | None
    parameter_count: int
    parameter_bytes: int
    batch_dependent_layers: tuple[str, ...]
    synthetic: bool
    data_digest: str
    code_digest: str
    initial_loss: float
    device: Device
    device_seconds: float
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryMeasurement:
    """Peak memory of one micro-batch size, phase by phase.

    Args:
        micro_batch_size: What was run.
        out_of_memory: The limit was hit; peaks are then what was seen before it.
        forward_backward_bytes: Peak of forward and backward passes.
        optimizer_bytes: Peak of the optimizer step.
        evaluation_bytes: Peak of the evaluation.
        reserved_bytes: Peak that the allocator held (equal to the peak on CPU).
        allocation_retries: Allocator retries after warm-up; more than 0 is not feasible.
        steps: Whole optimizer steps that were run.
        recording: Name of the artifact that holds what the allocator was asked for; None after
            out of memory, and where the device has no such history.
        device_seconds: Wall seconds spent.
    """

    micro_batch_size: int
    out_of_memory: bool
    forward_backward_bytes: int
    optimizer_bytes: int
    evaluation_bytes: int
    reserved_bytes: int
    allocation_retries: int
    steps: int
    recording: str | None = None
    device_seconds: float

    @property
    def live_bytes(self) -> int:
        """The highest peak of live bytes of any phase."""
        return max(self.forward_backward_bytes, self.optimizer_bytes, self.evaluation_bytes)

    @property
    def peak_bytes(self) -> int:
        """The highest peak of any phase, as the allocator held it."""
        return max(
            self.forward_backward_bytes,
            self.optimizer_bytes,
            self.evaluation_bytes,
            self.reserved_bytes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryReplayed:
    """What recorded requests promise.

    Args:
        micro_batch_size: The largest size that the allocator would serve; the request's
            `above` where no larger one is, None where the recordings are missing or unlike.
        device_seconds: Wall seconds spent.
    """

    micro_batch_size: int | None
    device_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedPeak:
    """Predicted peaks of one micro-batch size, phase by phase.

    Args:
        micro_batch_size: Samples per pass.
        forward_backward_bytes: Peak of live bytes in forward and backward passes.
        optimizer_bytes: Peak of live bytes in the optimizer step.
        evaluation_bytes: Peak of live bytes in the evaluation.
        reserved_bytes: Peak that torch's allocator holds of the device.
        needed_bytes: The least limit at which that allocator serves the steps without a retry
            after warm-up; never below the live bytes.
        total_bytes: What the device has given away at the peak: reserved bytes, context and
            libraries.
    """

    micro_batch_size: int
    forward_backward_bytes: int
    optimizer_bytes: int
    evaluation_bytes: int
    reserved_bytes: int
    needed_bytes: int
    total_bytes: int

    @property
    def live_bytes(self) -> int:
        """The highest peak of live bytes of any phase."""
        return max(self.forward_backward_bytes, self.optimizer_bytes, self.evaluation_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPrediction:
    """What training steps would take on a device, from a trace that computed nothing.

    Where the workload could not be traced, there are no points and all bytes are 0.

    Args:
        points: One for each micro-batch size, in the order asked for.
        parameter_bytes: All parameters.
        gradient_bytes: Gradients of the trained ones.
        optimizer_state_bytes: State that the optimizer keeps on the device.
        buffer_bytes: The model's buffers.
        data_bytes: Data that lie on the device.
        activation_bytes_per_sample: By what the forward and backward peak grows per sample,
            between the two largest sizes; over all of the one size, if there is one.
        traced: Whether the workload could be traced.
        reason: Why not, for people; None if it was.
        device_seconds: Wall seconds spent.
    """

    points: tuple[PredictedPeak, ...]
    parameter_bytes: int
    gradient_bytes: int
    optimizer_state_bytes: int
    buffer_bytes: int
    data_bytes: int
    activation_bytes_per_sample: float
    traced: bool
    reason: str | None = None
    device_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PassTiming:
    """Steady-state seconds at one micro-batch size.

    Args:
        micro_batch_size: Samples per pass.
        pass_seconds: Median over windows of one forward and backward pass, input included.
        optimizer_seconds: Median of what an optimizer step adds (clipping included).
        input_seconds: Median of fetching one micro-batch alone (part of `pass_seconds`).
        spread: Relative half-range of the windows' whole step times.
        windows: Whole-step seconds of each window (one pass and one optimizer step).
    """

    micro_batch_size: int
    pass_seconds: float
    optimizer_seconds: float
    input_seconds: float
    spread: float
    windows: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimingMeasurement:
    """Step times of several micro-batch sizes, and of one evaluation."""

    passes: tuple[PassTiming, ...]
    evaluation_seconds: float
    device_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One evaluation: the metric, unsmoothed, after `step` optimizer steps."""

    step: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseWindow:
    """Squared gradient norms of one optimizer step that was split.

    Args:
        step: Optimizer step of the window.
        small_batch_size: Samples per split.
        splits: Number of splits, K.
        small: Mean over splits of the squared norm of the split's mean gradient.
        big: Squared norm of the mean gradient over all splits.
    """

    step: int
    small_batch_size: int
    splits: int
    small: float
    big: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharpness:
    """Three measures of the minimum; None where one could not be measured.

    Args:
        asam: m-sharpness under the element-wise adaptive perturbation (Kwon et al. 2021,
            arXiv:2102.11600): mean rise of the loss.
        keskar: phi of Keskar et al. 2016, arXiv:1609.04836: per cent rise in the box.
        hessian_top_eigenvalue: Of the loss on the sharpness set.
        num_samples: Size of that fixed set.
    """

    asam: float | None
    keskar: float | None
    hessian_top_eigenvalue: float | None
    num_samples: int


class Outcome(StrEnum):
    """How a training run ended: each one has told us something."""

    REACHED = "reached"
    """The smoothed metric crossed the target."""
    CENSORED = "censored"
    """It ended at a limit, or at its planned end, without crossing a target."""
    DIVERGED = "diverged"
    """The loss became NaN, infinite, or more than three times the initial one."""
    OUT_OF_MEMORY = "out_of_memory"
    """The device's limit was hit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingResult:
    """What one training run showed.

    Args:
        outcome: How it ended.
        steps: Optimizer steps taken, those before a resume included.
        crossing_steps: Steps at which the smoothed metric crossed the target,
            log-interpolated between evaluations; None if it did not.
        curve: Every evaluation, those before a resume included.
        noise: Split steps, those before a resume included.
        sharpness: At the end of the run, if asked for.
        train_seconds: Wall seconds inside training steps of this request, noise windows
            excluded.
        train_steps: Steps those seconds paid for.
        evaluation_seconds: Wall seconds of evaluation of this request.
        device_seconds: Wall seconds of this request altogether.
        limit_applied: The step limit that really held (a tightened one, perhaps).
        peak_bytes: Peak memory, where the device counts it for free; else None.
        checkpoint: Name of the checkpoint that was left, if any.
        resumed: Whether a checkpoint was found and used.
    """

    outcome: Outcome
    steps: int
    crossing_steps: float | None
    curve: tuple[CurvePoint, ...]
    noise: tuple[NoiseWindow, ...] = ()
    sharpness: Sharpness | None = None
    train_seconds: float = 0.0
    train_steps: int = 0
    evaluation_seconds: float = 0.0
    device_seconds: float = 0.0
    limit_applied: int
    peak_bytes: int | None = None
    checkpoint: str | None = None
    resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPace:
    """How fast so many runs are side by side.

    Args:
        runs: How many.
        step_seconds: Of one optimizer step of all of them together; None where memory does not
            hold them.
        begin_seconds: What a stack costs once, before its steps take so long.
    """

    runs: int
    step_seconds: float | None
    begin_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StackPaces:
    """What steps of stacks take.

    Args:
        lone_step_seconds: Of one optimizer step of one run alone; 0 where nothing was tried.
        paces: Of the widths that were tried, widest first.
        refused: Why these runs cannot be stacked, for people; None if they can.
        device_seconds: Wall seconds spent.
    """

    lone_step_seconds: float
    paces: tuple[StackPace, ...]
    refused: str | None = None
    device_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedResults:
    """What runs side by side showed.

    Args:
        results: Of each run, in their order, without `device_seconds`.
        device_seconds: Wall seconds of the request altogether.
    """

    results: tuple[TrainingResult, ...]
    device_seconds: float

    @property
    def shared(self) -> tuple[TrainingResult, ...]:
        """The results, each with an equal share of the seconds."""
        share = self.device_seconds / max(1, len(self.results))
        return tuple(dataclasses.replace(each, device_seconds=share) for each in self.results)


Measurement = (
    Inspection
    | MemoryMeasurement
    | MemoryPrediction
    | MemoryReplayed
    | TimingMeasurement
    | TrainingResult
    | StackPaces
    | StackedResults
)


# ------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A request was handed to a device. Stored, and adopted on replay as it stands."""

    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A request was measured."""

    request_id: str
    result: Measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A request can never be measured: the workload itself is at fault."""

    request_id: str
    problem: Problem
    device_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLost:
    """An attempt ended without a result, through no fault that is known.

    Args:
        request_id: Whose attempt it was.
        cause: `crashed` (signal, exit), `node_lost`, `withdrawn` or `restarted`
            (the controller came back and the attempt had died with it).
        device_seconds: What it had cost until then.
    """

    request_id: str
    cause: str
    device_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CapacityChanged:
    """How many measurements of this job may run at once, and on what.

    Args:
        accelerator: `cpu` or `cuda`.
        device_kind: Kind of device; the first one told stays the job's.
        slots: Measurements at once; 0 pauses the job.
    """

    accelerator: str
    device_kind: str
    slots: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Start nothing more: `cancelled` or `timeout`."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTrial:
    """One configuration that a past job trained, without anything of its device's speed.

    Args:
        global_batch_size: Samples per optimizer step.
        micro_batch_size: Samples per pass; matters where layers depend on the batch.
        learning_rate: Peak rate.
        evaluate_every_steps: Steps between its evaluations; smoothing delays a crossing by it.
        unseen: Whether it trained on a seed by which nothing had been chosen.
        kind: `complete`, `censored` or `diverged`, as the search saw it.
        score: For a target, ln of the optimizer steps to it (of those taken, where censored);
            for a training budget, ln of the loss or the error rate at its end. None of a
            diverged trial.
    """

    global_batch_size: int
    micro_batch_size: int
    learning_rate: float
    evaluate_every_steps: int
    unseen: bool
    kind: str
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownCaution:
    """A warning of a past job's race that holds as long as its knowledge is used."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What a past job found out about learning, on whatever device.

    Args:
        key: Digest of what it was found for: model, data, code, training and objective.
        job_id: Of the past job.
        answered_at: When it was answered, ISO 8601.
        device_kind: Kind of device it ran on.
        device_name: What people call that device.
        global_batch_size: B0, the batch of its race.
        learning_rate: The winner's rate at B0.
        steps: The winner's optimizer steps to the target, or of its budget, at B0.
        target: Value to reach; None where the objective has none.
        target_origin: `user`, `automatic` or `none`.
        critical_batch_size: By the gradient noise scale; None where unresolved.
        critical_batch_size_low: Lower end of its 95 % interval.
        critical_batch_size_high: Upper end, None if unbounded.
        noise_windows: Number of windows behind it.
        trials: Every configuration it trained, the confirming runs among them.
        cautions: What its race had to warn of.
    """

    key: str
    job_id: str
    answered_at: str
    device_kind: str
    device_name: str
    global_batch_size: int
    learning_rate: float
    steps: float
    target: float | None
    target_origin: str
    critical_batch_size: float | None
    critical_batch_size_low: float | None
    critical_batch_size_high: float | None
    noise_windows: int
    trials: tuple[KnownTrial, ...]
    cautions: tuple[KnownCaution, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """A past job knows this workload. It is verified before anything rests on it."""

    knowledge: Knowledge


Event = Started | Result | Failed | AttemptLost | CapacityChanged | Stop | Recalled


# ------------------------------------------------------------------------------ actions


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Have this measured."""

    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Tighten:
    """Let a running training run end earlier. Best effort: the result says what held."""

    request_id: str
    max_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """Give this running request up."""

    request_id: str


Action = Start | Tighten | Withdraw


# -------------------------------------------------------------------------------- codec

RECORDS: Final[Mapping[str, type]] = {
    record.__name__: record
    for record in (
        Inspect,
        MemoryTrial,
        MemoryTrace,
        MemoryReplay,
        StepTiming,
        TrainingRun,
        StackTiming,
        StackedRuns,
        Inspection,
        MemoryMeasurement,
        MemoryPrediction,
        MemoryReplayed,
        TimingMeasurement,
        TrainingResult,
        StackPaces,
        StackedResults,
        Problem,
        Started,
        Result,
        Failed,
        AttemptLost,
        CapacityChanged,
        Stop,
        Knowledge,
        Recalled,
    )
}


def encode(record: Any) -> dict[str, Any]:
    """Turn a record into plain JSON values that `decode` reads back.

    Args:
        record: An instance of one of `RECORDS`.

    Returns:
        A mapping with `record`, its type's name, and `version`. Numbers that JSON cannot
        hold (NaN, infinities) become the strings `nan`, `inf` and `-inf`.
    """
    if type(record).__name__ not in RECORDS:
        raise TypeError(f"{type(record).__name__} is not a record")
    plain: dict[str, Any] = _plain(record)
    return plain


def decode(plain: Mapping[str, Any]) -> Any:
    """Read back what `encode` made.

    Args:
        plain: Plain JSON values.

    Returns:
        The record, equal to the one that was encoded.

    Raises:
        IncompatibleRecord: The type or the version is not one this code knows, or a
            field is missing or unknown.
    """
    name, version = plain.get("record"), plain.get("version")
    record_type = RECORDS.get(str(name))
    if record_type is None or version != RECORD_VERSION:
        raise IncompatibleRecord(f"{name!r} of version {version!r}")
    fields = {key: value for key, value in plain.items() if key not in {"record", "version"}}
    try:
        return _rebuild(record_type, fields)
    except (TypeError, KeyError, ValueError) as error:
        raise IncompatibleRecord(f"{name} of version {version}: {error}") from error


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        name = type(value).__name__
        return {"record": name, "version": RECORD_VERSION} | plain if name in RECORDS else plain
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


@cache
def _hints(record_type: type) -> dict[str, Any]:
    return typing.get_type_hints(record_type)


def _rebuild(hint: Any, value: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in {Union, types.UnionType}:
        return _rebuild_union(typing.get_args(hint), value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = _hints(hint)
        fields = {k: v for k, v in value.items() if k not in {"record", "version"}}
        return hint(**{key: _rebuild(hints[key], item) for key, item in fields.items()})
    if origin is tuple:
        return tuple(_rebuild(typing.get_args(hint)[0], item) for item in value)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(value)
    return float(value) if hint is float else value


def _rebuild_union(options: tuple[Any, ...], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, Mapping) and "record" in value:
        return decode(value)
    some = [option for option in options if option is not type(None)]
    return _rebuild(some[0], value)
