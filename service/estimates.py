"""Memory estimates: admission, a small cache, and a child that traces."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import metadata
from typing import Any, Final, Protocol

from service.admission import admit_estimate
from service.problems import ProblemError
from service.schemas import CardEstimate, MemoryEstimate, MemorySplit, VerdictBands
from service.settings import Settings
from tuner.cards import Card
from tuner.deciding import estimate as deciding
from tuner.deciding.estimate import Question
from tuner.deciding.probing import ACCUMULATION
from tuner.estimate_spec import MemoryEstimateSpec
from tuner.headers import resolve_under
from tuner.records import MemoryPrediction, MemoryTrace, Workload
from tuner.spec import MAX_BATCH_SIZE, FilesDataset, digest
from workers.tracing_child import Busy, ChildDied, TookTooLong

CACHED_ANSWERS: Final = 256
"""Answers that are kept, the latest used ones."""

RETRY_SECONDS: Final = 10
"""When a caller that found others waiting may come back."""

VERSIONED: Final = ("batchscout", "torch", "transformers")
"""Packages on whose versions a prediction depends."""


class Tracing(Protocol):
    """Traces for one caller at a time, as `workers.tracing_child` does."""

    def turn(
        self, *, keep: bool
    ) -> AbstractContextManager[Callable[[MemoryTrace], MemoryPrediction]]:
        """Take it for some traces."""


class Estimates:
    """Answers memory estimates. Its method may be called from any thread.

    Args:
        settings: File roots and allowed entry points.
        tracing: Makes the traces, in another process.
    """

    def __init__(self, settings: Settings, tracing: Tracing) -> None:
        self._settings = settings
        self._tracing = tracing
        self._answers: OrderedDict[str, MemoryEstimate] = OrderedDict()
        self._guard = threading.Lock()

    def answer(self, body: Any) -> MemoryEstimate:
        """Answer one request, from the cache or by traces.

        Args:
            body: Plain JSON values, as the user wrote them.

        Returns:
            The estimate.

        Raises:
            ProblemError: The body does not fit the schema, others are being served, the
                traces took too long, or their process died.
            InvalidWorkload: The workload cannot be used, or cannot be traced.
        """
        spec, cards, train_samples = admit_estimate(body, settings=self._settings)
        key = self._fingerprint(spec, cards)
        known = self._look_up(key)
        if known is not None:
            return known
        try:
            with self._tracing.turn(keep=key is not None) as trace:
                # Whoever was served before may have asked the same.
                known = self._look_up(key)
                if known is not None:
                    return known
                answer = _estimated(trace, spec, cards, train_samples)
        except Busy as error:
            raise ProblemError(
                "estimates_busy",
                f"Memory is estimated for one request at a time. {error} Come back later.",
                headers={"Retry-After": str(RETRY_SECONDS)},
            ) from error
        except TookTooLong as error:
            raise ProblemError(
                "estimate_timed_out",
                f"{error} Ask for fewer cards, or have the operator raise "
                "BATCHSCOUT_ESTIMATE_TIMEOUT_SECONDS.",
            ) from error
        except ChildDied as error:
            detail = f"The process that predicts ended without an answer. {error}"
            raise ProblemError("estimate_lost", detail) from error
        self._keep(key, answer)
        return answer

    def _fingerprint(self, spec: MemoryEstimateSpec, cards: tuple[Card, ...]) -> str | None:
        """Say what an answer depends on; None where code of the user is part of it."""
        if "entrypoint" in {spec.model.kind, spec.dataset.kind}:
            return None
        return digest(
            {
                "spec": spec.model_dump(mode="json"),
                "cards": [repr(card) for card in cards],
                "versions": [_version(name) for name in VERSIONED],
                "file": self._file_state(spec),
            }
        )

    def _file_state(self, spec: MemoryEstimateSpec) -> list[int]:
        if not isinstance(spec.dataset, FilesDataset):
            return []
        state = resolve_under(self._settings.file_roots, spec.dataset.path).stat()
        return [state.st_ino, state.st_size, state.st_mtime_ns]

    def _look_up(self, key: str | None) -> MemoryEstimate | None:
        with self._guard:
            found = self._answers.get(key) if key is not None else None
            if key is None or found is None:
                return None
            self._answers.move_to_end(key)
            return found.model_copy(update={"cached": True})

    def _keep(self, key: str | None, answer: MemoryEstimate) -> None:
        if key is None:
            return
        with self._guard:
            self._answers[key] = answer
            self._answers.move_to_end(key)
            while len(self._answers) > CACHED_ANSWERS:
                self._answers.popitem(last=False)


def _estimated(
    trace: Callable[[MemoryTrace], MemoryPrediction],
    spec: MemoryEstimateSpec,
    cards: tuple[Card, ...],
    train_samples: int | None,
) -> MemoryEstimate:
    numbers = itertools.count()
    spent: list[float] = []
    workload = _workload(spec)

    def predict(card: Card, sizes: tuple[int, ...]) -> MemoryPrediction:
        request = MemoryTrace(
            id=f"trace-{next(numbers)}",
            workload=workload,
            micro_batch_sizes=sizes,
            accumulation=min(spec.accumulation, ACCUMULATION),
            card=card.model(),
        )
        prediction = trace(request)
        spent.append(prediction.device_seconds)
        return prediction

    question = Question(
        micro_batch_size=spec.micro_batch_size,
        memory_margin=spec.memory_margin,
        memory_limit_bytes=spec.memory_limit_bytes,
        upper=min(MAX_BATCH_SIZE, max(1, train_samples or MAX_BATCH_SIZE)),
        limited_to_data=train_samples is not None,
    )
    found = deciding.estimate(predict, cards, question)
    return MemoryEstimate(
        verdict=deciding.worst([one.verdict for one in found]).value,
        micro_batch_size=spec.micro_batch_size,
        estimates=[_shown(one) for one in found],
        bands=VerdictBands(
            fits_share=deciding.FITS_SHARE,
            does_not_fit_share=deciding.DOES_NOT_FIT_SHARE,
            calibrated=deciding.CALIBRATED,
        ),
        device_seconds=sum(spent),
        cached=False,
    )


def _workload(spec: MemoryEstimateSpec) -> Workload:
    return Workload(
        model=spec.model.model_dump(mode="json"),
        dataset=spec.dataset.model_dump(mode="json"),
        training=spec.training.model_dump(mode="json"),
        metric="validation_loss",
        accelerator="cuda",
        data_seed=0,
        memory_limit_bytes=spec.memory_limit_bytes,
    )


def _shown(one: deciding.CardEstimate) -> CardEstimate:
    whole, peak = one.curve.whole, one.peak
    outside = one.card.context_bytes + one.card.library_bytes
    return CardEstimate(
        name=one.card.name,
        memory_bytes=one.card.memory_bytes,
        usable_bytes=one.limit_bytes,
        source=one.card.source,
        reserve_source=one.card.reserve_source,
        max_micro_batch_size=one.max_micro_batch_size,
        limited_by=one.limited_by,
        bytes_per_sample=round(deciding.bytes_per_sample(one.curve)),
        split=MemorySplit(
            parameter_bytes=whole.parameter_bytes,
            gradient_bytes=whole.gradient_bytes,
            optimizer_state_bytes=whole.optimizer_state_bytes,
            buffer_bytes=whole.buffer_bytes,
            data_bytes=whole.data_bytes,
            activation_bytes_per_sample=round(deciding.activation_bytes_per_sample(one.curve)),
            workspace_and_context_bytes=outside,
        ),
        micro_batch_size=peak.micro_batch_size,
        live_bytes=peak.live_bytes,
        reserved_bytes=peak.reserved_bytes,
        total_bytes=peak.reserved_bytes + outside,
        verdict=one.verdict.value,
    )


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
