"""The door: what is kept warm, and what becomes of the errors of a workload."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from tests.tuner.measuring.study.subjects import study_run
from tests.tuner.measuring.subjects import digits, nobody, run_of
from tuner.errors import InvalidWorkload, NoFeasibleBatch
from tuner.measuring import workbench
from tuner.measuring.dispatch import MEASURES, Measuring
from tuner.measuring.out_of_memory import is_out_of_memory
from tuner.places import Places
from tuner.records import (
    GradientProbe,
    GradientScatters,
    Inspect,
    Inspection,
    Landscape,
    LandscapeProbe,
    LineProbe,
    LineProfile,
    MemoryMeasurement,
    MemoryTrial,
    MinimumProbe,
    MinimumShape,
    Outcome,
    StackedResults,
    StackedRuns,
    StackPaces,
    StackTiming,
    StepTiming,
    StudyRunResult,
    TimingMeasurement,
    TrainingResult,
    decode,
    encode,
)


@pytest.fixture
def measuring(tmp_path):
    """A door with artifacts of its own."""
    return Measuring(Places(artifacts=tmp_path))


def requests_for(workload, minimiser="none"):
    """One request of each type, with the type of its answer."""
    return [
        (Inspect(id="inspect", workload=workload), Inspection),
        (
            MemoryTrial(
                id="memory",
                workload=workload,
                micro_batch_size=4,
                accumulation=2,
                limit_bytes=2**30,
            ),
            MemoryMeasurement,
        ),
        (
            StepTiming(id="timing", workload=workload, micro_batch_sizes=(4,), window_seconds=0.01),
            TimingMeasurement,
        ),
        (run_of(workload, max_steps=5), TrainingResult),
        (
            StackTiming(
                id="stack timing",
                runs=runs_of(workload),
                widths=(2,),
                allowance_seconds=0.01,
            ),
            StackPaces,
        ),
        (StackedRuns(id="stack", runs=runs_of(workload)), StackedResults),
        (study_run(workload, max_epochs=1), StudyRunResult),
        *probes_of(workload, minimiser),
    ]


def probes_of(workload, minimiser):
    """One request of each type about a minimiser, with the type of its answer."""
    common = {"workload": workload, "minimiser": minimiser}
    return [
        (MinimumProbe(id="minimum", **common, eigenvalues=1, trace_probes=2), MinimumShape),
        (
            GradientProbe(
                id="gradients", **common, seed=0, batch_sizes=(4,), draws=4, samples_per_pass=64
            ),
            GradientScatters,
        ),
        (
            LineProbe(
                id="line", workload=workload, first=minimiser, second=minimiser, alphas=(0.0, 1.0)
            ),
            LineProfile,
        ),
        (
            LandscapeProbe(id="landscape", **common, seed=0, dimensions=1, points=3, radius=1.0),
            Landscape,
        ),
    ]


def runs_of(workload):
    """Two runs that differ in their learning rate."""
    return tuple(
        run_of(workload, id=f"run-{rate}", learning_rate=rate, max_steps=5) for rate in (0.01, 0.02)
    )


def spoil(monkeypatch, error):
    """Let every model that is built raise in its forward pass."""
    sound = workbench.build_model

    def build(*args, **kwargs):
        model = sound(*args, **kwargs)

        def fail(*_):
            raise error

        model.register_forward_pre_hook(fail)
        return model

    monkeypatch.setattr(workbench, "build_model", build)


def test_every_request_has_its_measurement(measuring):
    """Each request gives the record of its type, timed, and it survives being stored."""
    left = measuring.measure(study_run(digits(), max_epochs=1), tightened=nobody)
    requests = requests_for(digits(), left.minimiser)
    assert {type(request) for request, _ in requests} == set(MEASURES)
    for request, answer in requests:
        result = measuring.measure(request, tightened=nobody)
        assert type(result) is answer
        assert result.device_seconds > 0.0
        assert decode(encode(result)) == result


def test_data_stay_warm_until_the_workload_changes(measuring, monkeypatch):
    """Requests of one workload share its data; another workload takes their place."""
    loaded = []
    sound = workbench.load_data

    def load(workload, places):
        loaded.append(workload)
        return sound(workload, places)

    monkeypatch.setattr(workbench, "load_data", load)
    first, second = digits(), digits(hidden=8)
    for workload in (first, first, digits(), second, second, first):
        measuring.measure(run_of(workload, max_steps=1), tightened=nobody)
    assert loaded == [first, second, first]


def test_what_a_model_raises_is_the_workloads_fault(measuring, monkeypatch):
    """An exception of the model names itself, with the traceback that its author needs."""
    with monkeypatch.context() as patched:
        spoil(patched, ZeroDivisionError("by my own model"))
        with pytest.raises(InvalidWorkload) as raised:
            measuring.measure(run_of(digits()), tightened=nobody)
    problem = raised.value.problem
    assert problem.code == "workload_raised"
    assert "by my own model" in problem.detail
    assert "in fail" in problem.traceback
    measuring.measure(run_of(digits(), max_steps=1), tightened=nobody)


def test_what_is_already_a_problem_passes(measuring):
    """A workload that cannot be built keeps its own code."""
    workload = digits()
    broken = dataclasses.replace(workload, dataset={**workload.dataset, "kind": "files"})
    with pytest.raises(InvalidWorkload) as raised:
        measuring.measure(run_of(broken), tightened=nobody)
    assert raised.value.problem.code


def test_out_of_memory_is_an_outcome_and_the_next_run_is_normal(measuring):
    """A trial over its limit says so, and training goes on in the same process."""
    trial = MemoryTrial(
        id="trial", workload=digits(), micro_batch_size=64, accumulation=1, limit_bytes=10_000
    )
    assert measuring.measure(trial, tightened=nobody).out_of_memory
    result = measuring.measure(run_of(digits()), tightened=nobody)
    assert result.outcome is Outcome.CENSORED
    assert result.steps == 40


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        MemoryError(),
    ],
)
def test_every_way_to_run_out_of_memory_is_seen(measuring, monkeypatch, error):
    """Types and texts of all allocators end a run as out of memory, before its first step."""
    spoil(monkeypatch, error)
    result = measuring.measure(run_of(digits()), tightened=nobody)
    assert result.outcome is Outcome.OUT_OF_MEMORY
    assert (result.steps, result.curve, result.limit_applied) == (0, (), 40)


def test_real_allocators_are_recognised():
    """What torch and NumPy raise on this machine is known for what it is."""
    with pytest.raises(RuntimeError) as torch_error:
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(MemoryError) as numpy_error:
        np.empty(2**60, dtype=np.uint8)
    assert is_out_of_memory(torch_error.value)
    assert is_out_of_memory(numpy_error.value)
    wrapped = ValueError("the model")
    wrapped.__cause__ = numpy_error.value
    assert is_out_of_memory(wrapped)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_timing_without_room_is_no_feasible_batch(measuring, monkeypatch):
    """Where not even the model fits there is nothing to time, and the problem says so."""

    def build(*_args, **_kwargs):
        raise torch.OutOfMemoryError("the weights alone")

    monkeypatch.setattr(workbench, "build_model", build)
    with pytest.raises(NoFeasibleBatch) as raised:
        measuring.measure(requests_for(digits())[2][0], tightened=nobody)
    assert raised.value.problem.facts["bytes_available"] > 0


def test_an_interrupt_is_nobodys_fault(measuring, monkeypatch):
    """What is not an error of the workload is not turned into one."""
    spoil(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        measuring.measure(run_of(digits()), tightened=nobody)
