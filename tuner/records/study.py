"""What a batch-size study asks of a device beside timing and memory, and what comes back.

A study trains each batch size to its minimum validation loss and keeps the weights there, the
*minimiser*, as an artifact of the job. Everything else is asked about minimisers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tuner.records.requests import Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRun:
    """Train until the validation loss has not improved for so many epochs.

    Args:
        id: Unique in its job.
        workload: What to build; its optimizer is the run's own.
        global_batch_size: Samples per optimizer step; all training samples for the full batch.
        micro_batch_size: Samples per pass at most; the last pass of a step may hold fewer.
        learning_rate: Per optimizer step.
        seed: Initial weights, data order and dropout follow from it alone, so that runs of
            every batch size and rate start at the same weights.
        max_epochs: Epochs at most.
        patience_epochs: Epochs without a new minimum of the validation loss after which the
            run has converged.
        device_kind: Kind of device whose step times calibrate the run.
        deadline_seconds: Wall seconds after which it stops; None for none.
        keep_minimiser: Leave the weights at the minimum as an artifact.
    """

    id: str
    workload: Workload
    global_batch_size: int
    micro_batch_size: int
    learning_rate: float
    seed: int
    max_epochs: int
    patience_epochs: int
    device_kind: str
    deadline_seconds: float | None = None
    keep_minimiser: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MinimumProbe:
    """Measure how sharp a minimiser is.

    Args:
        id: Unique in its job.
        workload: As the run's.
        minimiser: Name of the artifact.
        manifold_dimensions: Of the random manifold of Keskar's measure.
        eigenvalues: Top eigenvalues of the Hessian to find.
        trace_probes: Random vectors of the trace estimate.
    """

    id: str
    workload: Workload
    minimiser: str
    manifold_dimensions: int = 100
    eigenvalues: int = 5
    trace_probes: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientProbe:
    """Measure how gradients scatter at some weights, against the batch size.

    Args:
        id: Unique in its job.
        workload: What to build.
        minimiser: Name of the artifact; None: the initial weights of `seed`.
        seed: Of the initial weights, and of which samples are drawn.
        batch_sizes: Batches to look at, ascending.
        draws: Independent batches of each size, at least 4.
        samples_per_pass: Samples of one pass at most.
    """

    id: str
    workload: Workload
    minimiser: str | None
    seed: int
    batch_sizes: tuple[int, ...]
    draws: int
    samples_per_pass: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LineProbe:
    """Evaluate both losses on the straight line through two minimisers.

    Args:
        id: Unique in its job.
        workload: As the runs'.
        first: Name of the artifact at alpha 0.
        second: Name of the artifact at alpha 1.
        alphas: Where on the line, ascending.
    """

    id: str
    workload: Workload
    first: str
    second: str
    alphas: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LandscapeProbe:
    """Evaluate the training loss round a minimiser along filter-normalised directions.

    Args:
        id: Unique in its job.
        workload: As the run's.
        minimiser: Name of the artifact.
        seed: Of the directions, so that minimisers are cut along the same ones.
        dimensions: 1 or 2.
        points: Points per axis.
        radius: Half the width of an axis, in units of the normalised direction.
    """

    id: str
    workload: Workload
    minimiser: str
    seed: int
    dimensions: int
    points: int
    radius: float


class StudyOutcome(StrEnum):
    """How a study's run ended."""

    CONVERGED = "converged"
    """Its patience ran out: the minimum is behind it."""
    EXHAUSTED = "exhausted"
    """Its epochs or its deadline ran out first."""
    DIVERGED = "diverged"
    """The loss became NaN, infinite, or more than three times the initial one."""
    OUT_OF_MEMORY = "out_of_memory"
    """The device's limit was hit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochPoint:
    """The state of a run after an epoch; the first point is before any step.

    Args:
        epoch: Epochs passed; whole but where a batch does not divide the data.
        step: Optimizer steps taken.
        train_loss: Mean over the training split, in eval mode.
        validation_loss: Mean over the validation split.
        validation_metric: Accuracy for a classification, else None.
        distance: Euclidean distance of all trainable weights from the initial ones.
        epoch_distance: The same from the weights one epoch before; None at the first point.
        update_norm: Median norm of single updates of the epoch; None at the first point.
        gradient_norm: Median norm of its gradients; None at the first point.
    """

    epoch: float
    step: int
    train_loss: float
    validation_loss: float
    validation_metric: float | None
    distance: float
    epoch_distance: float | None
    update_norm: float | None
    gradient_norm: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerDistance:
    """How far one parameter tensor has moved.

    Args:
        name: Of the parameter, as the model calls it.
        distance: From its initial values.
        initial_norm: Of these.
    """

    name: str
    distance: float
    initial_norm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRunResult:
    """What a study's run showed.

    Args:
        outcome: How it ended.
        points: One an epoch; a run whose epoch is a single step has the same cadence.
        minimum: Index in `points` of the lowest validation loss; None if it has none.
        layers: Distances at the minimum, in the model's order.
        minimiser: Name of the artifact with the weights at the minimum, if kept.
        train_seconds: Wall seconds inside training steps.
        train_steps: Steps they paid for.
        evaluation_seconds: Wall seconds of everything that was looked at between epochs.
        device_seconds: Wall seconds altogether.
        resumed: Whether the state of an earlier attempt was used.
    """

    outcome: StudyOutcome
    points: tuple[EpochPoint, ...]
    minimum: int | None
    layers: tuple[LayerDistance, ...] = ()
    minimiser: str | None = None
    train_seconds: float = 0.0
    train_steps: int = 0
    evaluation_seconds: float = 0.0
    device_seconds: float = 0.0
    resumed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MinimumShape:
    """How sharp a minimiser is; None where a measure could not be taken.

    Args:
        keskar: phi over the whole space (arXiv:1609.04836, epsilon 1e-3), per cent.
        keskar_manifold: phi over a random manifold, per cent.
        asam: Mean rise of the loss (arXiv:2102.11600).
        eigenvalues: Largest ones of the Hessian, descending.
        trace: Of the Hessian, Hutchinson's estimate.
        trace_error: Its standard error.
        num_samples: Size of the fixed set that all of it is measured on.
        device_seconds: Wall seconds altogether.
    """

    keskar: float | None
    keskar_manifold: float | None
    asam: float | None
    eigenvalues: tuple[float, ...]
    trace: float | None
    trace_error: float | None
    num_samples: int
    device_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientScatter:
    """How gradients of one batch size scatter.

    Args:
        global_batch_size: Samples of each batch.
        variance: Trace of the covariance of the batch's mean gradient.
        mean_norm: Mean norm of the batch's mean gradient.
        cosine: Mean cosine between the gradients of two batches.
        draws: Batches that were drawn.
    """

    global_batch_size: int
    variance: float
    mean_norm: float
    cosine: float
    draws: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientScatters:
    """How gradients scatter against the batch size, and the gradient of all samples.

    Args:
        scatters: In the order asked for; none of sizes beyond the data.
        full_norm: Norm of the gradient of all training samples.
        population: Training samples N that batches are drawn from, without replacement: the
            variance of a batch B carries the factor (N - B) / (N - 1) besides 1 / B.
        device_seconds: Wall seconds altogether.
    """

    scatters: tuple[GradientScatter, ...]
    full_norm: float
    population: int = 0
    device_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePoint:
    """Both losses at one point of a line; None where they are not finite."""

    alpha: float
    train_loss: float | None
    validation_loss: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineProfile:
    """Both losses along a line.

    Args:
        points: In the order asked for; none where the minimisers have different shapes.
        statistics_recomputed: Whether running statistics of normalisation layers were taken
            anew at every point, since those of the ends mean nothing between them.
        refused: Why there is no line, for people; None if there is one.
        device_seconds: Wall seconds altogether.
    """

    points: tuple[LinePoint, ...]
    statistics_recomputed: bool = False
    refused: str | None = None
    device_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """The training loss round a minimiser.

    Args:
        axis: Coordinates of each axis, ascending.
        losses: Row by row (second axis slow, first axis fast); NaN where not finite. With one
            dimension a single row.
        fastest: Which way of computing it was measured to be the fastest: `loop` or `stacked`.
        statistics_recomputed: As of a line.
        device_seconds: Wall seconds altogether.
    """

    axis: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]
    fastest: str
    statistics_recomputed: bool = False
    device_seconds: float = 0.0
