"""A small world in which every claim has a known truth, in place of a device.

All laws are powers of the batch and of the rate, times what a seed adds. So the effect of a
claim is known exactly, and a study takes milliseconds.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from typing import Any

from tests.tuner import world as tuning_world
from tuner.records import (
    EpochPoint,
    GradientProbe,
    GradientScatter,
    GradientScatters,
    Inspect,
    Inspection,
    Landscape,
    LandscapeProbe,
    LayerDistance,
    LinePoint,
    LineProbe,
    LineProfile,
    Measurement,
    MemoryTrial,
    MinimumProbe,
    MinimumShape,
    Request,
    StepTiming,
    StudyOutcome,
    StudyRun,
    StudyRunResult,
)
from tuner.spec import StudySpec

INITIAL_LOSS = 2.3


def make_study(**parts: Any) -> StudySpec:
    """A small study; keyword arguments replace whole parts."""
    spec: dict[str, Any] = {
        "model": {"kind": "builtin", "name": "mlp"},
        "dataset": {"kind": "sklearn", "name": "digits"},
        "training": {"task": "classification", "optimizer": {"kind": "sgd"}},
        "batch_sizes": [16, 64, 256],
        "learning_rate": {"kind": "fixed", "learning_rate": 0.1},
        "patience_epochs": 5,
    }
    return StudySpec.model_validate(spec | parts)


@dataclass(slots=True, kw_only=True)
class StudyWorld:
    """The laws of one workload on one device.

    A configuration is as noisy as B / rate is small: it is `heat` = (16 / B) * (rate / 0.1).
    Scaling the rate with the batch keeps the heat.

    Args:
        loss_power: Minimum validation loss ~ heat ** -loss_power.
        epochs_power: Epochs to the minimum ~ heat ** -epochs_power.
        distance_power: Distance from the start ~ heat ** distance_power.
        update_power: Norm of an update ~ heat ** update_power.
        sharpness_power: Sharpness ~ heat ** -sharpness_power.
        accuracy_power: Error rate ~ heat ** -accuracy_power.
        variance_exponent: Of the gradient variance in the batch.
        scatter: Standard deviation of ln of everything between runs of one configuration.
        seed_scatter: The same between seeds, shared by all configurations.
        never_converges: Batches up to this one are exhausted.
        diverges_above: Rates above this one diverge.
        hottest: Heats above this one diverge.
        full_loss: Minimum validation loss of the full batch by Rprop.
        refuses_line: Why minimisers cannot be joined; None if they can.
    """

    device: tuning_world.World = field(
        default_factory=lambda: tuning_world.World(num_train=1024, limit_bytes=10**12)
    )
    loss: float = 0.3
    epochs: float = 12.0
    loss_power: float = 0.0
    epochs_power: float = 0.0
    distance_power: float = 0.0
    update_power: float = 0.0
    sharpness_power: float = 0.0
    accuracy_power: float = 0.0
    variance_exponent: float = -1.0
    scatter: float = 0.0
    seed_scatter: float = 0.0
    never_converges: int = 0
    diverges_above: float = math.inf
    hottest: float = math.inf
    full_loss: float = 0.3
    refuses_line: str | None = None
    measured: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    heats: dict[str, float] = field(default_factory=dict)

    def measure(self, request: Request) -> Measurement:
        """Measure one request by the laws."""
        self.measured.append(request.id)
        self.requests.append(request)
        match request:
            case StudyRun():
                return self._train(request)
            case MinimumProbe():
                return self._shape(request)
            case GradientProbe():
                return self._scatters(request)
            case LineProbe():
                return self._line(request)
            case LandscapeProbe():
                return self._landscape(request)
            case Inspect() | MemoryTrial() | StepTiming():
                return self._device(request)
        raise AssertionError(request)

    def step_seconds(self, request: StudyRun) -> float:
        """Seconds of one optimizer step, the uneven last pass included."""
        whole, rest = divmod(request.global_batch_size, request.micro_batch_size)
        one = self.device.step_seconds(request.micro_batch_size, whole)
        each = self.device.pass_fixed_seconds + self.device.pass_seconds_per_sample * rest
        return one + (each if rest else 0.0)

    def luck(self, *parts: object) -> float:
        """A factor about 1 that one measurement of one configuration has to itself."""
        return math.exp(random.Random(":".join(map(str, parts))).gauss(0.0, self.scatter))

    def shared(self, what: str, seed: int) -> float:
        """A factor about 1 that all configurations of a seed share."""
        return math.exp(random.Random(f"{what} {seed}").gauss(0.0, self.seed_scatter))

    def _device(self, request: Inspect | MemoryTrial | StepTiming) -> Measurement:
        measured = self.device.measure(request)
        return (
            replace(measured, num_validation=256) if isinstance(measured, Inspection) else measured
        )

    def _train(self, request: StudyRun) -> StudyRunResult:
        whole = request.workload.training["optimizer"]["kind"] == "rprop"
        heat = 1.0 if whole else (16 / request.global_batch_size) * request.learning_rate / 0.1
        if request.learning_rate > self.diverges_above or heat > self.hottest:
            return self._diverged()
        name = f"{request.global_batch_size} {request.learning_rate:.6g} {request.seed}"
        minimiser = f"sha256:{name}"
        self.heats[minimiser] = heat
        fails = request.global_batch_size <= self.never_converges
        points = self._points(request, heat, name, whole=whole)
        points = points[: len(points) - request.patience_epochs] if fails else points
        least = min(range(len(points)), key=lambda index: points[index].validation_loss)
        steps = points[-1].step
        seconds = steps * self.step_seconds(request) * self.luck("time", name)
        return StudyRunResult(
            outcome=StudyOutcome.EXHAUSTED if fails else StudyOutcome.CONVERGED,
            points=points,
            minimum=least,
            layers=tuple(
                LayerDistance(
                    name=f"layer{index}",
                    distance=points[least].distance / math.sqrt(3),
                    initial_norm=1.0,
                )
                for index in range(3)
            ),
            minimiser=minimiser if request.keep_minimiser else None,
            train_seconds=seconds,
            train_steps=steps,
            device_seconds=seconds * 1.2,
        )

    def _points(
        self, request: StudyRun, heat: float, name: str, *, whole: bool
    ) -> tuple[EpochPoint, ...]:
        seed, per_epoch = request.seed, self.device.num_train / request.global_batch_size
        wanted = self.epochs * heat**-self.epochs_power * self.shared("epochs", seed)
        best = max(2, round(wanted * self.luck("epochs", name)))
        if request.global_batch_size <= self.never_converges:
            best = request.max_epochs
        lowest = self.full_loss if whole else self.loss * heat**-self.loss_power
        lowest *= self.shared("loss", seed) * self.luck("loss", name)
        errors = 0.1 * heat**-self.accuracy_power * self.luck("accuracy", name)
        reach = 3.0 * heat**self.distance_power * self.luck("distance", name)
        update = 0.01 * heat**self.update_power * self.luck("update", name)
        points = []
        for epoch in range(best + request.patience_epochs + 1):
            share = min(1.0, epoch / best)
            fallen = INITIAL_LOSS * (0.8 * lowest / INITIAL_LOSS) ** share
            points.append(
                EpochPoint(
                    epoch=float(epoch),
                    step=round(epoch * per_epoch),
                    train_loss=fallen,
                    validation_loss=INITIAL_LOSS * (lowest / INITIAL_LOSS) ** share
                    + 0.01 * max(0, epoch - best),
                    validation_metric=0.1 + (0.9 - errors) * share,
                    distance=reach * share,
                    epoch_distance=reach / best if epoch else None,
                    update_norm=update if epoch else None,
                    gradient_norm=2.0 * update if epoch else None,
                )
            )
        return tuple(points)

    @staticmethod
    def _diverged() -> StudyRunResult:
        points = tuple(
            EpochPoint(
                epoch=float(epoch),
                step=epoch,
                train_loss=loss,
                validation_loss=loss,
                validation_metric=0.1,
                distance=float(epoch),
                epoch_distance=None,
                update_norm=None,
                gradient_norm=None,
            )
            for epoch, loss in enumerate((INITIAL_LOSS, math.nan))
        )
        return StudyRunResult(
            outcome=StudyOutcome.DIVERGED, points=points, minimum=0, device_seconds=0.01
        )

    def _shape(self, request: MinimumProbe) -> MinimumShape:
        heat = self.heats[request.minimiser]

        def sharp(what: str) -> float:
            return heat**-self.sharpness_power * self.luck(what, request.minimiser)

        return MinimumShape(
            keskar=2.0 * sharp("keskar"),
            keskar_manifold=sharp("manifold"),
            asam=0.02 * sharp("asam"),
            eigenvalues=(10.0 * sharp("eigenvalue"), 5.0),
            trace=40.0 * sharp("trace"),
            trace_error=1.0,
            num_samples=256,
            device_seconds=0.2,
        )

    def _scatters(self, request: GradientProbe) -> GradientScatters:
        full = 1.5
        scatters = []
        for batch in request.batch_sizes:
            luck = self.luck("variance", batch, request.seed, request.minimiser)
            share = (self.device.num_train - batch) / (self.device.num_train - 1)
            variance = 64.0 * batch**self.variance_exponent * share * luck
            scatters.append(
                GradientScatter(
                    global_batch_size=batch,
                    variance=variance,
                    mean_norm=math.sqrt(full**2 + variance),
                    cosine=full**2 / (full**2 + variance),
                    draws=request.draws,
                )
            )
        return GradientScatters(scatters=tuple(scatters), full_norm=full, device_seconds=0.1)

    def _line(self, request: LineProbe) -> LineProfile:
        if self.refuses_line is not None:
            return LineProfile(points=(), refused=self.refuses_line, device_seconds=0.1)
        ends = [self.heats[end] ** -self.sharpness_power for end in (request.first, request.second)]

        def loss(alpha: float) -> float:
            return min(ends[0] * alpha**2, ends[1] * (alpha - 1.0) ** 2) + 0.1

        return LineProfile(
            points=tuple(
                LinePoint(alpha=a, train_loss=loss(a), validation_loss=loss(a) + 0.1)
                for a in request.alphas
            ),
            device_seconds=0.1,
        )

    @staticmethod
    def _landscape(request: LandscapeProbe) -> Landscape:
        half = (request.points - 1) / 2
        axis = tuple(request.radius * (i - half) / half for i in range(request.points))
        rows = axis if request.dimensions == 2 else (0.0,)
        return Landscape(
            axis=axis,
            losses=tuple(tuple(x**2 + y**2 for x in axis) for y in rows),
            fastest="loop",
            device_seconds=0.3,
        )
