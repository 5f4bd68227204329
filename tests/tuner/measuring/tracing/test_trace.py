"""Predicted bytes against the bytes that real tensors took on the CPU."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tuner.measuring.tracing.cases import ARCHITECTURES, CASES
from tests.tuner.measuring.tracing.subjects import HOST, builtin, places_of, workload_of
from tuner.measuring.memory import measure_memory
from tuner.measuring.tracing import predict
from tuner.measuring.tracing.trace import Tracer
from tuner.measuring.workbench import set_up
from tuner.records import MemoryTrial

TOLERANCE = 1e-3
MICRO_BATCH_SIZE = 6


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Places that allow the entry points of the tests."""
    return places_of(tmp_path_factory.mktemp("artifacts"))


def measured(workload, places, size, accumulation):
    """Run a real trial."""
    request = MemoryTrial(
        id="trial",
        workload=workload,
        micro_batch_size=size,
        accumulation=accumulation,
        limit_bytes=2**40,
    )
    return measure_memory(lambda: set_up(workload, places), request)


def phases(peaks):
    """List the peaks of a prediction or of a trial."""
    return [peaks.forward_backward_bytes, peaks.optimizer_bytes, peaks.evaluation_bytes]


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable.*:FutureWarning")
@pytest.mark.parametrize("name", CASES)
def test_predicted_bytes_are_the_real_ones(name, places):
    """Phase by phase, a trace on fake tensors tells what real ones take, within 0.1 %."""
    workload = CASES[name]
    predicted = predict(workload, places, [MICRO_BATCH_SIZE], 2, HOST)
    assert predicted.traced, predicted.reason
    trial = measured(workload, places, MICRO_BATCH_SIZE, 2)
    assert phases(predicted.points[0]) == pytest.approx(phases(trial), rel=TOLERANCE)
    assert predicted.points[0].live_bytes == pytest.approx(trial.live_bytes, rel=TOLERANCE)


@pytest.mark.parametrize("size", [1, 3, 64])
@pytest.mark.parametrize("accumulation", [1, 3])
def test_every_size_is_predicted(size, accumulation, places):
    """One sample, and more samples than the data hold, with and without accumulation."""
    workload = ARCHITECTURES["cnn"]
    predicted = predict(workload, places, [size], accumulation, HOST).points[0]
    assert phases(predicted) == phases(measured(workload, places, size, accumulation))


@pytest.mark.parametrize("kind", ["sgd", "adam", "rmsprop"])
def test_every_optimizer_is_predicted(kind, places):
    """State and temporaries are those of the optimizer that trains."""
    workload = workload_of(
        builtin("mlp", hidden=[128]), [20], optimizer={"kind": kind, "momentum": 0.9}
    )
    predicted = predict(workload, places, [4], 1, HOST)
    assert phases(predicted.points[0]) == phases(measured(workload, places, 4, 1))
    copies = {"sgd": 1, "adam": 2, "rmsprop": 2}[kind]
    kept = predicted.optimizer_state_bytes - copies * predicted.parameter_bytes
    assert 0 <= kept < 100  # the step counters


def test_accuracy_is_evaluated_too(places):
    """A second look at the validation set, for the metric, is part of the evaluation."""
    workload = replace(ARCHITECTURES["mlp"], metric="accuracy")
    predicted = predict(workload, places, [8], 1, HOST).points[0]
    assert phases(predicted) == phases(measured(workload, places, 8, 1))


def test_padded_text_takes_its_mask_along(places):
    """Padding makes masks: they are seen in the data, and they are counted."""
    whole = ARCHITECTURES["gpt2"]
    padded = replace(
        whole,
        dataset={
            "kind": "entrypoint",
            "target": "tests.tuner.measuring.tracing.subjects:ragged",
            "kwargs": {"num_samples": 40, "length": 16, "high": 64},
            "validation_fraction": 0.4,
        },
    )
    predicted = predict(padded, places, [8], 1, HOST)
    assert predicted.traced, predicted.reason
    trial = measured(padded, places, 8, 1)
    assert phases(predicted.points[0]) == pytest.approx(phases(trial), rel=TOLERANCE)
    assert trial.live_bytes > measured(whole, places, 8, 1).live_bytes


def test_generated_data_of_any_size_are_counted_but_not_generated(places):
    """Data of terabytes are traced like small ones and weigh what they would weigh."""
    small = ARCHITECTURES["transformer"]
    large = replace(small, dataset={**small.dataset, "num_samples": 10**8})
    few = predict(small, places, [4], 1, HOST)
    many = predict(large, places, [4], 1, HOST)
    row_bytes = 32 * 8
    assert few.data_bytes == 40 * row_bytes
    assert many.data_bytes == 10**8 * row_bytes
    # The counts of each sample's items lie beside them.
    grown = many.points[0].live_bytes - few.points[0].live_bytes
    assert grown == (10**8 - 40) * (row_bytes + 8)


def test_a_trace_repeats_itself(places):
    """Two traces of the same size are the same sequence, event by event."""
    tracer = Tracer(ARCHITECTURES["cnn_batch_norm"], places, HOST)
    assert tracer.trace(4, 2) == tracer.trace(4, 2)
