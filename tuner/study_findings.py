"""What a batch-size study found: every arm with its runs, what minimisers look like, the claims.

An *arm* is one batch size at one learning rate, trained once for each seed. A field that was
not measured is null, never invented; what the budget left out is said in `warnings`.
"""

from __future__ import annotations

from typing import Literal

from tuner.recommendation import Caution, DeviceAnswer, Part


class Spread(Part):
    """Mean over the seeds with its Student t interval; without one below two seeds."""

    mean: float
    low: float | None
    high: float | None
    confidence: float = 0.95
    seeds: int


class StudyPoint(Part):
    """A run after an epoch; the first point is before any step."""

    epoch: float
    step: int
    calibrated_seconds: float
    train_loss: float | None
    validation_loss: float | None
    accuracy: float | None
    distance: float | None
    epoch_distance: float | None
    update_norm: float | None
    gradient_norm: float | None


class LayerTravel(Part):
    """How far one parameter tensor is from its initial values at the minimum."""

    name: str
    distance: float
    initial_norm: float


class MinimumFound(Part):
    """Where a run's validation loss was lowest, and what that minimiser looks like."""

    epoch: float
    step: int
    calibrated_seconds: float
    validation_loss: float
    train_loss: float
    generalisation_gap: float
    accuracy: float | None
    distance: float
    layers: tuple[LayerTravel, ...]
    keskar: float | None
    keskar_manifold: float | None
    asam: float | None
    hessian_eigenvalues: tuple[float, ...]
    hessian_trace: float | None
    hessian_trace_error: float | None


class StudyRunFound(Part):
    """One training of an arm."""

    request_id: str
    seed: int
    state: Literal["running", "converged", "exhausted", "diverged", "out_of_memory", "failed"]
    points: tuple[StudyPoint, ...]
    minimum: MinimumFound | None


class ArmSummary(Part):
    """Over the seeds of an arm; a quantity is null where fewer than one run tells it."""

    minimum_validation_loss: Spread | None
    epochs_to_minimum: Spread | None
    seconds_to_minimum: Spread | None
    generalisation_gap: Spread | None
    distance: Spread | None
    distance_per_epoch: Spread | None
    update_norm: Spread | None
    gradient_norm: Spread | None
    keskar: Spread | None
    keskar_manifold: Spread | None
    asam: Spread | None
    hessian_top_eigenvalue: Spread | None
    hessian_trace: Spread | None


class ArmBase(Part):
    """What can be said of an arm without its single runs."""

    batch_size: int
    micro_batch_size: int
    learning_rate: float
    rule: Literal["optimizer", "rprop"]
    step_seconds: float
    seconds_per_epoch: float
    runs_converged: int
    summary: ArmSummary


class Arm(ArmBase):
    """One batch size at one learning rate."""

    runs: tuple[StudyRunFound, ...]


class GradientPoint(Part):
    """Scatter of gradients of one batch size, mean over the seeds."""

    batch_size: int
    variance: float
    mean_norm: float
    cosine: float


class GradientNoise(Part):
    """Gradient variance against the batch, variance ~ B ** exponent."""

    at: Literal["initial_weights", "minimum"]
    points: tuple[GradientPoint, ...]
    exponent: Spread | None
    full_gradient_norm: float | None


class LineSample(Part):
    """Both losses at one point between two minimisers, mean over the seeds."""

    alpha: float
    train_loss: float | None
    validation_loss: float | None


class MinimiserLine(Part):
    """The line from the small-batch minimiser (alpha 0) to the large-batch one (alpha 1)."""

    small_batch_size: int
    large_batch_size: int
    seed: int
    points: tuple[LineSample, ...]
    statistics_recomputed: bool
    refused: str | None


class LandscapeFound(Part):
    """Training loss round a minimiser along filter-normalised directions (arXiv:1712.09913)."""

    batch_size: int
    learning_rate: float
    seed: int
    dimensions: Literal[1, 2]
    axis: tuple[float, ...]
    losses: tuple[tuple[float | None, ...], ...]
    statistics_recomputed: bool


class HeatCell(Part):
    """One cell of the rate x batch map."""

    batch_size: int
    learning_rate: float
    minimum_validation_loss: float | None
    seconds_to_minimum: float | None
    runs_converged: int
    runs: int


class ClaimFound(Part):
    """One claim of the literature, held against this workload.

    `effect` and its interval are in the unit that `measure` names. The claim holds where the
    interval, widened for the number of claims that were tested, lies beyond `smallest_effect` in
    the claimed direction; it does not hold where the interval lies inside or on the other side.
    """

    code: str
    statement: str
    verdict: Literal["holds", "does_not_hold", "cannot_be_told"]
    measure: str
    effect: float | None
    low: float | None
    high: float | None
    confidence: float
    smallest_effect: float
    seeds: int
    figure: str
    why: str


class StudyShared(Part):
    """What a summary says just as the whole does."""

    claims: tuple[ClaimFound, ...]
    num_train: int
    num_validation: int
    parameter_count: int
    device: DeviceAnswer
    device_seconds: float
    device_seconds_by_stage: dict[str, float]
    warnings: tuple[Caution, ...]
    spec_digest: str
    fingerprint: str


class StudyFindings(StudyShared):
    """All that a study found."""

    arms: tuple[Arm, ...]
    gradients: tuple[GradientNoise, ...]
    lines: tuple[MinimiserLine, ...]
    landscapes: tuple[LandscapeFound, ...]
    heat_map: tuple[HeatCell, ...]
