"""The runner beside a bare loop, and step times beside the run that they predict."""

from __future__ import annotations

import statistics
import time
from typing import Any

from benchmarks.runner.subjects import Subject, run_bare, run_ours
from tuner.measuring.timing import measure_timing
from tuner.measuring.train import train
from tuner.measuring.workbench import Workbench
from tuner.records import StepTiming


def compare(bench: Workbench, subject: Subject, *, rounds: int) -> dict[str, Any]:
    """Train in turn by the runner and by hand; the first of each is not counted.

    Returns:
        Median samples per second of both, and the median over rounds of their ratio.
    """
    ours, bare, losses = [], [], {}
    for number in range(rounds + 1):
        pair = [("ours", run_ours), ("bare", run_bare)]
        for name, run in pair if number % 2 else reversed(pair):
            seconds, losses[name] = run(bench, subject)
            if number:
                (ours if name == "ours" else bare).append(seconds)
    samples = subject.steps * subject.batch
    ratios = [theirs / mine for mine, theirs in zip(ours, bare, strict=True)]
    return {
        "subject": subject.name,
        "batch": subject.batch,
        "steps": subject.steps,
        "evaluate_every_steps": subject.every,
        "rounds": rounds,
        "runner_samples_per_second": round(samples / statistics.median(ours), 1),
        "bare_samples_per_second": round(samples / statistics.median(bare), 1),
        "ratio": round(statistics.median(ratios), 4),
        "ratios": [round(ratio, 4) for ratio in ratios],
        "runner_last_loss": losses["ours"],
        "bare_last_loss": losses["bare"],
    }


def calibrate(bench: Workbench, subject: Subject, *, rounds: int) -> dict[str, Any]:
    """Time steps, train, and hold the calibrated time of the run against its wall clock.

    Returns:
        The median over rounds of real seconds per step over calibrated ones.
    """
    ratios, spreads = [], []
    for _ in range(rounds):
        request = StepTiming(
            id="timing", workload=subject.workload, micro_batch_sizes=(subject.batch,)
        )
        (one,) = measure_timing(lambda: bench, request).passes
        began = time.perf_counter()
        run = train(lambda: bench, subject.request(), tightened=lambda: None, began=began)
        calibrated = one.pass_seconds + one.optimizer_seconds
        ratios.append(run.train_seconds / run.train_steps / calibrated)
        spreads.append(one.spread)
    return {
        "subject": subject.name,
        "real_over_calibrated": round(statistics.median(ratios), 4),
        "ratios": [round(ratio, 4) for ratio in ratios],
        "spread": round(statistics.median(spreads), 4),
    }
