"""Memory against the micro-batch size, predicted for a device that is not here."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tuner.errors import InvalidWorkload
from tuner.measuring.allocating.allocator import CachingAllocator
from tuner.measuring.allocating.events import Phase, requested_peaks
from tuner.measuring.allocating.needed import needed_bytes
from tuner.measuring.tracing.trace import NotTraceable, Trace, Tracer
from tuner.places import Places
from tuner.records import CardModel, MemoryPrediction, PredictedPeak, Workload


def predict(
    workload: Workload,
    places: Places,
    micro_batch_sizes: Sequence[int],
    accumulation: int,
    card: CardModel,
) -> MemoryPrediction:
    """Trace training steps at several micro-batch sizes and feed an allocator with them.

    Args:
        workload: Its accelerator need not be here.
        places: Where files and own code may lie.
        micro_batch_sizes: Samples per pass, each at least 1.
        accumulation: Passes per optimizer step.
        card: The device that the prediction is for.

    Returns:
        The prediction; without points and with a reason where the workload cannot be traced.

    Raises:
        InvalidWorkload: There is no size or one below 1, the data cannot be read, or the model
            is not accepted or too large.
    """
    began = time.perf_counter()
    if not micro_batch_sizes or min(accumulation, *micro_batch_sizes) < 1:
        raise InvalidWorkload("Give micro-batch sizes and an accumulation of at least 1.")
    tracer = Tracer(workload, places, card)
    try:
        traces = [tracer.trace(size, accumulation) for size in micro_batch_sizes]
    except NotTraceable as error:
        return _untraced(str(error), time.perf_counter() - began)
    points = tuple(predicted_peak(trace, card) for trace in traces)
    first = traces[0]
    return MemoryPrediction(
        points=points,
        parameter_bytes=first.parameter_bytes,
        gradient_bytes=first.gradient_bytes,
        optimizer_state_bytes=first.optimizer_state_bytes,
        buffer_bytes=first.buffer_bytes,
        data_bytes=first.data_bytes,
        activation_bytes_per_sample=_activation_bytes(points, first),
        traced=True,
        device_seconds=time.perf_counter() - began,
    )


def predicted_peak(trace: Trace, card: CardModel) -> PredictedPeak:
    """Say what one trace takes of a card.

    Args:
        trace: Of one micro-batch size.
        card: On `cuda` blocks are rounded and cached; on `cpu` tensors take what they need.

    Returns:
        Peaks by phase.
    """
    if card.device_type == "cuda":
        replay = CachingAllocator().replay(trace.events)
        live = {phase: peaks.live_bytes for phase, peaks in replay.peaks.items()}
        reserved, needed = replay.reserved_bytes, needed_bytes(trace.events)
    else:
        live = requested_peaks(trace.events)
        reserved = needed = max(live.values())
    return PredictedPeak(
        micro_batch_size=trace.micro_batch_size,
        forward_backward_bytes=live[Phase.FORWARD_BACKWARD],
        optimizer_bytes=live[Phase.OPTIMIZER],
        evaluation_bytes=live[Phase.EVALUATION],
        reserved_bytes=reserved,
        needed_bytes=needed,
        total_bytes=reserved + card.context_bytes + card.library_bytes,
    )


def _activation_bytes(points: Sequence[PredictedPeak], trace: Trace) -> float:
    by_size = sorted({point.micro_batch_size: point for point in points}.items())
    high_size, high = by_size[-1]
    if len(by_size) == 1:
        kept = trace.parameter_bytes + trace.gradient_bytes + trace.optimizer_state_bytes
        kept += trace.buffer_bytes + trace.data_bytes
        return max(0.0, (high.forward_backward_bytes - kept) / high_size)
    low_size, low = by_size[-2]
    grown = high.forward_backward_bytes - low.forward_backward_bytes
    return grown / (high_size - low_size)


def _untraced(reason: str, seconds: float) -> MemoryPrediction:
    return MemoryPrediction(
        points=(),
        parameter_bytes=0,
        gradient_bytes=0,
        optimizer_state_bytes=0,
        buffer_bytes=0,
        data_bytes=0,
        activation_bytes_per_sample=0.0,
        traced=False,
        reason=reason,
        device_seconds=seconds,
    )
