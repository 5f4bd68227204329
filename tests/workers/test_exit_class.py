"""What the end of a child means."""

from __future__ import annotations

import signal

import pytest

from tuner.records import (
    GradientProbe,
    Inspect,
    LandscapeProbe,
    LineProbe,
    MemoryTrial,
    MinimumProbe,
    StackedRuns,
    StepTiming,
)
from workers.exit_class import (
    PROBE_LIMIT_SECONDS,
    REQUEST_LIMIT_SECONDS,
    STUCK_GRACE_SECONDS,
    Exit,
    ExitClass,
    classify,
    describe,
    killed_for_memory,
    limit_seconds,
)

from .conftest import study_run, training_run, workload

TRIAL = MemoryTrial(
    id="m", workload=workload(), micro_batch_size=4, accumulation=2, limit_bytes=100
)
OTHERS = [
    Inspect(id="i", workload=workload()),
    StepTiming(id="t", workload=workload(), micro_batch_sizes=(1,)),
    training_run(),
    StackedRuns(id="s", runs=(training_run(),)),
    study_run(),
]
PROBES = [
    MinimumProbe(id="p", workload=workload(), minimiser="a"),
    GradientProbe(
        id="p", workload=workload(), minimiser=None, seed=0, batch_sizes=(1, 2), draws=4,
        samples_per_pass=2,
    ),
    LineProbe(id="p", workload=workload(), first="a", second="b", alphas=(0.0, 1.0)),
    LandscapeProbe(
        id="p", workload=workload(), minimiser="a", seed=0, dimensions=2, points=5, radius=1.0
    ),
]  # fmt: skip
CODES = [0, 1, 70, 137, -signal.SIGKILL, -signal.SIGSEGV, -signal.SIGTERM, -64, None]


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("request_", [TRIAL, *OTHERS], ids=lambda r: type(r).__name__)
def test_a_cancelled_attempt_is_withdrawn_however_its_child_ended(request_, code) -> None:
    """Cancelling decides, whatever the exit looks like."""
    assert classify(request_, Exit(code=code, withdrawn=True)) is ExitClass.WITHDRAWN


@pytest.mark.parametrize("code", [-signal.SIGKILL, 137])
def test_a_killed_memory_trial_is_out_of_memory(code: int) -> None:
    """SIGKILL during a memory trial is the kernel's answer to it."""
    assert classify(TRIAL, Exit(code=code)) is ExitClass.OUT_OF_MEMORY


@pytest.mark.parametrize("code", [c for c in CODES if c not in {137, -signal.SIGKILL}])
def test_a_memory_trial_that_ends_otherwise_has_crashed(code) -> None:
    """Only SIGKILL says anything about memory."""
    assert classify(TRIAL, Exit(code=code)) is ExitClass.CRASHED


def test_our_own_kill_of_a_stuck_trial_says_nothing_of_memory() -> None:
    """A trial that was ended because it took too long has crashed."""
    assert classify(TRIAL, Exit(code=-signal.SIGKILL, overdue=True)) is ExitClass.CRASHED


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("request_", OTHERS, ids=lambda r: type(r).__name__)
def test_every_other_exit_is_a_crash(request_, code) -> None:
    """An exit without an answer is a crash, exit code 0 included."""
    assert classify(request_, Exit(code=code)) is ExitClass.CRASHED


def test_a_run_may_take_its_deadline_and_a_grace() -> None:
    """Deadlines of training runs hold with a grace; other requests have the hard limit."""
    assert limit_seconds(training_run(deadline_seconds=5.0)) == 5.0 + STUCK_GRACE_SECONDS
    assert limit_seconds(training_run()) is None
    assert limit_seconds(study_run(deadline_seconds=5.0)) == 5.0 + STUCK_GRACE_SECONDS
    assert limit_seconds(study_run()) is None
    for run in (training_run(), training_run(deadline_seconds=5.0)):
        assert limit_seconds(StackedRuns(id="s", runs=(run, run))) == limit_seconds(run)
    assert limit_seconds(TRIAL) == REQUEST_LIMIT_SECONDS


@pytest.mark.parametrize("probe", PROBES, ids=lambda r: type(r).__name__)
def test_a_look_at_a_minimiser_may_take_longer(probe) -> None:
    """It ends by itself, as training does, and has no deadline of its own: its limit is wide."""
    assert limit_seconds(probe) == PROBE_LIMIT_SECONDS > REQUEST_LIMIT_SECONDS
    assert classify(probe, Exit(code=-signal.SIGKILL)) is ExitClass.CRASHED


def test_a_killed_trial_claims_no_peaks() -> None:
    """The result of a killed trial names its size and nothing that was not seen."""
    result = killed_for_memory(TRIAL, 1.5)
    assert (result.micro_batch_size, result.out_of_memory) == (4, True)
    assert (result.peak_bytes, result.steps, result.device_seconds) == (0, 0, 1.5)


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (Exit(code=3), "exit code 3"),
        (Exit(code=-signal.SIGSEGV), "SIGSEGV"),
        (Exit(code=-64), "SIGRTMAX"),
        (Exit(code=-99), "signal 99"),
        (Exit(code=None), "keeper"),
        (Exit(code=None, started=False), "did not start"),
        (Exit(code=-9, overdue=True), "too long"),
    ],
)
def test_an_exit_is_told_in_words(ended: Exit, words: str) -> None:
    """The sentence names what ended the child."""
    assert words in describe(ended)
