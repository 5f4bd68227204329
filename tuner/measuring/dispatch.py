"""The door to everything that measures: one request in, one measurement out."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from tuner.errors import InvalidWorkload, NoFeasibleBatch, TunerError
from tuner.measuring.device import describe_device
from tuner.measuring.inspect import inspect
from tuner.measuring.memory import measure_memory
from tuner.measuring.meters import limited
from tuner.measuring.out_of_memory import forget, is_out_of_memory, release
from tuner.measuring.replaying import replay_memory
from tuner.measuring.simulated import is_simulated, measure_simulated
from tuner.measuring.stacking import measure_paces, train_stacked
from tuner.measuring.study import (
    measure_gradients,
    measure_landscape,
    measure_line,
    measure_minimum,
    run_to_minimum,
)
from tuner.measuring.timing import measure_timing
from tuner.measuring.tracing import predict
from tuner.measuring.train import Tightened, train
from tuner.measuring.workbench import Workbench, set_up
from tuner.places import Places
from tuner.records import (
    GradientProbe,
    Inspect,
    LandscapeProbe,
    LineProbe,
    Measurement,
    MemoryReplay,
    MemoryTrace,
    MemoryTrial,
    MinimumProbe,
    Request,
    StackedResults,
    StackedRuns,
    StackTiming,
    StepTiming,
    StudyRun,
    TrainingRun,
    Workload,
)
from tuner.workloads.build import device_of

DETAIL_CHARACTERS: Final = 1000
"""A longer message loses its end."""

TRACEBACK_CHARACTERS: Final = 16_384
"""A longer traceback loses its beginning."""


class Measuring:
    """Measures requests one after the other and keeps the last workload warm.

    Args:
        places: Where files, own code and checkpoints lie.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self._bench: Workbench | None = None

    def measure(self, request: Request, *, tightened: Tightened) -> Measurement:
        """Measure one request.

        Out of memory is an outcome of a memory trial, a timing, a training and a study's run.

        Args:
            request: What to measure.
            tightened: The lowest step limit told since the request began, or None; called at
                evaluations and every 0.2 s of a training run.

        Returns:
            The measurement that belongs to the request's type.

        Raises:
            NoFeasibleBatch: Not even an inspection fits in memory.
            InvalidWorkload: The workload cannot be built or trained; `workload_raised` with
                its traceback where code of the model or the data raised.
        """
        began = time.perf_counter()
        if isinstance(request, MemoryTrace | MemoryReplay) or is_simulated(
            request.workload.accelerator
        ):
            return self._without_device(request)
        device = None
        try:
            device = device_of(request.workload)
            with limited(device, _limit_bytes(request)):
                measured = MEASURES[type(request)](self, request, tightened, began)
            return replace(measured, device_seconds=time.perf_counter() - began)
        except TunerError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                forget(error)
                raise _too_large(request, error) from None
            raise _raised(error) from error
        finally:
            # The cache of a card goes back, so that the next request finds all of it.
            if device is not None and device.type == "cuda":
                release(device)

    def _without_device(self, request: Request) -> Measurement:
        """Predict memory, replay or simulate a trial; this touches no device, so needs none."""
        try:
            if isinstance(request, MemoryReplay):
                return replay_memory(request, self.places)
            if not isinstance(request, MemoryTrace):
                return measure_simulated(request, self.places)
            return predict(
                request.workload,
                self.places,
                request.micro_batch_sizes,
                request.accumulation,
                request.card,
            )
        except TunerError:
            raise
        except Exception as error:
            raise _raised(error) from error

    def bench(self, workload: Workload, limit_bytes: int | None) -> Workbench:
        """Return the workload's bench, set up anew only if the last request had another."""
        if self._bench is None or self._bench.workload != workload:
            self._bench = None
            release(device_of(workload))
            self._bench = set_up(workload, self.places, limit_bytes=limit_bytes)
        return self._bench


def _limit_bytes(request: Request) -> int | None:
    if isinstance(request, MemoryTrial):
        return request.limit_bytes
    return request.workload.memory_limit_bytes


def _too_large(request: Request, error: Exception) -> TunerError:
    facts = {"bytes_available": describe_device(request.workload).limit_bytes}
    return NoFeasibleBatch(
        f"Model and data do not fit in memory: {error}. Use a smaller model, or a device with "
        "more memory.",
        pointer="/model",
        facts=facts,
    )


def _raised(error: Exception) -> InvalidWorkload:
    text = "".join(traceback.format_exception(error))
    return InvalidWorkload(
        f"The workload raised {type(error).__name__}: {str(error)[:DETAIL_CHARACTERS]}",
        code="workload_raised",
        traceback=text[-TRACEBACK_CHARACTERS:],
    )


def _inspect(
    measuring: Measuring, request: Inspect, _tightened: Tightened, _began: float
) -> Measurement:
    return inspect(request, measuring.places)


def _memory(
    measuring: Measuring, request: MemoryTrial, _tightened: Tightened, _began: float
) -> Measurement:
    return measure_memory(lambda: measuring.bench(request.workload, request.limit_bytes), request)


def _timing(
    measuring: Measuring, request: StepTiming, _tightened: Tightened, _began: float
) -> Measurement:
    workload = request.workload
    return measure_timing(lambda: measuring.bench(workload, workload.memory_limit_bytes), request)


def _train(
    measuring: Measuring, request: TrainingRun, tightened: Tightened, began: float
) -> Measurement:
    workload = request.workload
    return train(
        lambda: measuring.bench(workload, workload.memory_limit_bytes),
        request,
        tightened=tightened,
        began=began,
    )


def _paces(
    measuring: Measuring, request: StackTiming, _tightened: Tightened, _began: float
) -> Measurement:
    workload = request.workload
    return measure_paces(lambda: measuring.bench(workload, workload.memory_limit_bytes), request)


def _train_stacked(
    measuring: Measuring, request: StackedRuns, tightened: Tightened, began: float
) -> Measurement:
    workload = request.workload
    results = train_stacked(
        measuring.bench(workload, workload.memory_limit_bytes),
        request.runs,
        tightened=lambda _id: tightened(),
        began=began,
    )
    return StackedResults(
        results=tuple(replace(each, device_seconds=0.0) for each in results), device_seconds=0.0
    )


def _study_run(
    measuring: Measuring, request: StudyRun, tightened: Tightened, began: float
) -> Measurement:
    workload = request.workload
    return run_to_minimum(
        lambda: measuring.bench(workload, workload.memory_limit_bytes),
        request,
        tightened=tightened,
        began=began,
    )


Probe = MinimumProbe | GradientProbe | LineProbe | LandscapeProbe
"""What is asked about minimisers of a study."""


def _probing(
    measure: Callable[[Callable[[], Workbench], Any], Measurement],
) -> Callable[[Measuring, Any, Tightened, float], Measurement]:
    """Measure a probe on the workload's bench."""

    def probe(
        measuring: Measuring, request: Probe, _tightened: Tightened, _began: float
    ) -> Measurement:
        workload = request.workload
        return measure(lambda: measuring.bench(workload, workload.memory_limit_bytes), request)

    return probe


MEASURES: Mapping[type, Callable[[Measuring, Any, Tightened, float], Measurement]] = (
    MappingProxyType(
        {
            Inspect: _inspect,
            MemoryTrial: _memory,
            StepTiming: _timing,
            TrainingRun: _train,
            StackTiming: _paces,
            StackedRuns: _train_stacked,
            StudyRun: _study_run,
            MinimumProbe: _probing(measure_minimum),
            GradientProbe: _probing(measure_gradients),
            LineProbe: _probing(measure_line),
            LandscapeProbe: _probing(measure_landscape),
        }
    )
)
"""From the type of a request to what measures it."""
