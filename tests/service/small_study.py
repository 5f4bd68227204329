"""A small study: it speaks the protocol of machines, and its findings follow from two laws.

One inspection, then one training for each batch size and seed; the service drives it as it
drives a real one, in a fraction of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.tuner.world import World
from tuner.deciding.trials import TrialView
from tuner.errors import Problem
from tuner.recommendation import DeviceAnswer
from tuner.records import (
    Action,
    AttemptLost,
    CapacityChanged,
    EpochPoint,
    Event,
    Inspect,
    Inspection,
    Knowledge,
    Measurement,
    Request,
    Result,
    Start,
    Started,
    Stop,
    StudyOutcome,
    StudyRun,
    StudyRunResult,
    Workload,
)
from tuner.spec import StudySpec, TuningSpec, digest
from tuner.staged import Progress
from tuner.study_findings import (
    Arm,
    ArmSummary,
    ClaimFound,
    HeatCell,
    MinimumFound,
    Spread,
    StudyFindings,
    StudyPoint,
    StudyRunFound,
)
from tuner.tuning import Tuning

STUDY: Mapping[str, Any] = {
    "model": {"kind": "builtin", "name": "mlp"},
    "dataset": {"kind": "sklearn", "name": "digits"},
    "training": {"task": "classification", "optimizer": {"kind": "sgd"}},
    "batch_sizes": [8, 64],
    "learning_rate": {"kind": "fixed", "learning_rate": 0.1},
    "seeds": 2,
    "budget": {"timeout_seconds": 600},
}
"""A small request that it answers."""

EPOCHS = 4
STEP_SECONDS = 0.01


class StudyWorld(World):
    """A world in which a larger batch ends at a higher loss."""

    def measure(self, request: Request) -> Measurement:
        """Measure one request by the laws."""
        if not isinstance(request, StudyRun):
            return super().measure(request)
        self.measured.append(request.id)
        steps = max(1, self.num_train // request.global_batch_size)
        floor = 0.1 * request.global_batch_size**0.1
        losses = [floor + 2.2 * 0.5**epoch for epoch in range(EPOCHS)]
        return StudyRunResult(
            outcome=StudyOutcome.CONVERGED,
            points=tuple(_point(epoch, steps, loss) for epoch, loss in enumerate(losses)),
            minimum=EPOCHS - 1,
            minimiser=f"weights-{request.id}",
            device_seconds=1.0,
        )


def _point(epoch: int, steps: int, loss: float) -> EpochPoint:
    return EpochPoint(
        epoch=float(epoch),
        step=epoch * steps,
        train_loss=loss,
        validation_loss=loss,
        validation_metric=None,
        distance=float(epoch),
        epoch_distance=None,
        update_norm=None,
        gradient_norm=None,
    )


class SmallStudy:
    """A study that asks for an inspection and its runs, one after another.

    Args:
        spec: What was asked.
        spec_digest: Over the user's own JSON.
    """

    question: str | None = None
    repeats: str | None = None

    def __init__(self, spec: StudySpec, *, spec_digest: str) -> None:
        self._spec = spec
        self._digest = spec_digest
        self._capacity: CapacityChanged | None = None
        self._open: dict[str, Request] = {}
        self._begun: dict[str, Request] = {}
        self._results: dict[str, Measurement] = {}
        self._stopped: str | None = None

    def apply(self, event: Event) -> None:
        """Take in what happened."""
        match event:
            case CapacityChanged():
                self._capacity = event
            case Started(request=request):
                self._open[request.id] = self._begun[request.id] = request
            case Result(request_id=request_id, result=result):
                self._results[request_id] = result
                self._open.pop(request_id, None)
            case AttemptLost(request_id=request_id):
                self._open.pop(request_id, None)
            case Stop(reason=reason):
                self._stopped = reason
            case _:
                raise AssertionError(event)

    def actions(self) -> tuple[Action, ...]:
        """Offer the first request that is neither open nor answered."""
        if self.finished or self._capacity is None or len(self._open) >= self._capacity.slots:
            return ()
        missing = [one for one in self._requests() if one.id not in {*self._open, *self._results}]
        return (Start(request=missing[0]),) if missing else ()

    def trials(self) -> tuple[TrialView, ...]:
        """Show every training that was begun."""
        runs = [one for one in self._begun.values() if isinstance(one, StudyRun)]
        return tuple(self._shown(number, run) for number, run in enumerate(runs))

    def learned(self, *, job_id: str, answered_at: str) -> Knowledge | None:
        """Leave nothing."""
        del job_id, answered_at

    @property
    def fingerprint(self) -> str | None:
        """Known once there was an inspection."""
        return digest({"study": self._digest}) if "inspect" in self._results else None

    @property
    def progress(self) -> Progress:
        """How many of the requests are answered."""
        done, needed = len(self._results), 1 + len(self._spec.batch_sizes) * self._spec.seeds
        stage = "findings" if done == needed else "train" if done else "inspect"
        return Progress(
            stage=stage,
            fraction=done / needed,
            best=None,
            device_seconds=float(done),
            predicted_device_seconds=float(needed),
        )

    @property
    def answer(self) -> StudyFindings | None:
        """The findings, once every run has ended."""
        inspected = self._results.get("inspect")
        if not isinstance(inspected, Inspection) or self.progress.stage != "findings":
            return None
        arms = tuple(self._arm(batch) for batch in self._spec.batch_sizes)
        return StudyFindings(
            arms=arms,
            gradients=(),
            lines=(),
            landscapes=(),
            heat_map=tuple(_cell(arm) for arm in arms),
            claims=(_claim(self._spec.seeds),),
            num_train=inspected.num_train,
            num_validation=inspected.num_validation,
            parameter_count=inspected.parameter_count,
            device=DeviceAnswer(kind="cpu", name="world", memory_bytes=1),
            device_seconds=self.progress.device_seconds,
            device_seconds_by_stage={"train": self.progress.device_seconds},
            warnings=(),
            spec_digest=self._digest,
            fingerprint=str(self.fingerprint),
        )

    @property
    def failure(self) -> Problem | None:
        """A study that was stopped has too little."""
        if self._stopped in {None, "cancelled"} or self.answer is not None:
            return None
        return Problem(code="budget_exhausted", detail="Too little was measured.")

    @property
    def finished(self) -> bool:
        """Whether there is an answer, a failure, or a cancellation."""
        return self._stopped is not None or self.answer is not None

    def _requests(self) -> list[Request]:
        workload = self._workload()
        runs = [
            StudyRun(
                id=f"train-b{batch}-s{seed}",
                workload=workload,
                global_batch_size=batch,
                micro_batch_size=batch,
                learning_rate=self._spec.rates(batch)[0],
                seed=seed,
                max_epochs=self._spec.max_epochs,
                patience_epochs=self._spec.patience_epochs,
                device_kind="cpu",
            )
            for seed in range(self._spec.seeds)
            for batch in self._spec.batch_sizes
        ]
        inspected = "inspect" in self._results
        return [*runs] if inspected else [Inspect(id="inspect", workload=workload)]

    def _workload(self) -> Workload:
        plain = self._spec.model_dump(mode="json")
        return Workload(
            model=plain["model"],
            dataset=plain["dataset"],
            training=plain["training"],
            metric="validation_loss",
            accelerator="cpu",
            data_seed=self._spec.seed,
        )

    def _shown(self, number: int, run: StudyRun) -> TrialView:
        result = self._results.get(run.id)
        ended = result.points[-1] if isinstance(result, StudyRunResult) else None
        return TrialView(
            number=number,
            request_id=run.id,
            stage="train",
            global_batch_size=run.global_batch_size,
            micro_batch_size=run.micro_batch_size,
            gradient_accumulation_steps=1,
            learning_rate=run.learning_rate,
            seed=run.seed,
            state="complete" if ended else "running",
            steps=float(ended.step) if ended else None,
            calibrated_seconds=ended.step * STEP_SECONDS if ended else None,
            metric=ended.validation_loss if ended else None,
        )

    def _arm(self, batch: int) -> Arm:
        ids = [f"train-b{batch}-s{seed}" for seed in range(self._spec.seeds)]
        results = [self._results[request_id] for request_id in ids]
        runs = tuple(
            _run(request_id, seed, result)
            for seed, (request_id, result) in enumerate(zip(ids, results, strict=True))
            if isinstance(result, StudyRunResult)
        )
        losses = [run.minimum.validation_loss for run in runs if run.minimum]
        nothing = dict.fromkeys(ArmSummary.model_fields)
        mean = sum(losses) / len(losses)
        spread = Spread(mean=mean, low=mean - 0.01, high=mean + 0.01, seeds=len(losses))
        return Arm(
            batch_size=batch,
            micro_batch_size=batch,
            learning_rate=self._spec.rates(batch)[0],
            rule="optimizer",
            step_seconds=STEP_SECONDS,
            seconds_per_epoch=STEP_SECONDS * 100,
            runs_converged=len(runs),
            runs=runs,
            summary=ArmSummary.model_validate({**nothing, "minimum_validation_loss": spread}),
        )


def _run(request_id: str, seed: int, result: StudyRunResult) -> StudyRunFound:
    points = tuple(
        StudyPoint(
            epoch=point.epoch,
            step=point.step,
            calibrated_seconds=point.step * STEP_SECONDS,
            train_loss=point.train_loss,
            validation_loss=point.validation_loss,
            accuracy=None,
            distance=point.distance,
            epoch_distance=None,
            update_norm=None,
            gradient_norm=None,
        )
        for point in result.points
    )
    lowest = result.points[-1]
    minimum = MinimumFound(
        epoch=lowest.epoch,
        step=lowest.step,
        calibrated_seconds=lowest.step * STEP_SECONDS,
        validation_loss=lowest.validation_loss,
        train_loss=lowest.train_loss,
        generalisation_gap=0.0,
        accuracy=None,
        distance=lowest.distance,
        layers=(),
        keskar=None,
        keskar_manifold=None,
        asam=None,
        hessian_eigenvalues=(),
        hessian_trace=None,
        hessian_trace_error=None,
    )
    return StudyRunFound(
        request_id=request_id, seed=seed, state="converged", points=points, minimum=minimum
    )


def _cell(arm: Arm) -> HeatCell:
    spread = arm.summary.minimum_validation_loss
    return HeatCell(
        batch_size=arm.batch_size,
        learning_rate=arm.learning_rate,
        minimum_validation_loss=spread.mean if spread else None,
        seconds_to_minimum=None,
        runs_converged=arm.runs_converged,
        runs=len(arm.runs),
    )


def _claim(seeds: int) -> ClaimFound:
    return ClaimFound(
        code="higher_minimum_loss",
        statement="The larger the batch, the higher the minimum validation loss.",
        verdict="cannot_be_told",
        measure="log ratio of the largest to the smallest batch",
        effect=0.2,
        low=0.1,
        high=0.3,
        confidence=0.95,
        smallest_effect=0.05,
        seeds=seeds,
        figure="minimum_loss",
        why="Fewer than five seeds.",
    )


def make_small(spec: Any, *, spec_digest: str) -> Any:
    """Make the machine of a job of either kind."""
    if isinstance(spec, TuningSpec):
        return Tuning(spec, spec_digest=spec_digest)
    return SmallStudy(spec, spec_digest=spec_digest)
