"""Results: what a device answered. Facts, never a verdict."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum


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
