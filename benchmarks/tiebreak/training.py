"""Trains every candidate on every seed, and looks at the test part with what it ended with."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.search.grid import load
from benchmarks.search.record import GRIDS
from benchmarks.search.workloads import BY_NAME
from benchmarks.tiebreak.setting import Setting, job_of, settle
from benchmarks.tiebreak.splits import BUILD, ThreeWay, places_of, three_way
from tuner.deciding.job import Job
from tuner.deciding.limits import CONFIRM_LIMIT
from tuner.deciding.runs import throughput_of, training_run
from tuner.measuring.batches import Batches
from tuner.measuring.dispatch import Measuring
from tuner.measuring.evaluation import evaluate
from tuner.measuring.workbench import Workbench, set_up
from tuner.records import Measure, TrainingResult, TrainingRun, decode, encode

SEEDS: Final = 8
SAMPLES_PER_PASS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """One run of a candidate.

    Args:
        candidate: Position of the candidate.
        seed: Replicate.
        request: What was asked.
        result: What it showed, sharpness where it ended included.
        test_loss: Mean loss on the test part; None of a run that diverged.
        test_accuracy: Share predicted right there; None where nothing is right or wrong.
    """

    candidate: int
    seed: int
    request: TrainingRun
    result: TrainingResult
    test_loss: float | None
    test_accuracy: float | None


def setting_path(name: str) -> Path:
    """Say where the setting of a workload is kept."""
    return BUILD / "settings" / f"{name}.json"


def rows_path(name: str) -> Path:
    """Say where the runs of a workload are kept."""
    return BUILD / "rows" / f"{name}.jsonl"


def train_workload(name: str, until: float) -> bool:
    """Train what is missing of a workload.

    Args:
        name: Of the workload.
        until: `time.time()` at which no further run is begun.

    Returns:
        Whether every run is there.
    """
    torch.set_num_threads(1)
    split = three_way(BY_NAME[name])
    measuring = Measuring(places_of())
    if not setting_path(name).exists():
        _keep(setting_path(name), settle(split, load(GRIDS / f"{name}.npz"), measuring))
    setting = Setting.read(setting_path(name))
    job = job_of(split, setting)
    bench = set_up(job.workload, places_of())
    done = {(one.candidate, one.seed) for one in kept(name)}
    for seed in range(SEEDS):
        for candidate in range(len(setting.candidates)):
            if (candidate, seed) in done:
                continue
            if time.time() >= until:
                return False
            request = request_of(job, setting, candidate, seed)
            result, loss, accuracy = _train(measuring, bench, split, request)
            one = Trained(
                candidate=candidate,
                seed=seed,
                request=request,
                result=result,
                test_loss=loss,
                test_accuracy=accuracy,
            )
            _append(rows_path(name), one)
    return True


def kept(name: str) -> list[Trained]:
    """Read the runs of a workload that are there."""
    return list(_read(rows_path(name)))


def _train(
    measuring: Measuring, bench: Workbench, split: ThreeWay, request: TrainingRun
) -> tuple[TrainingResult, float | None, float | None]:
    """Train once: the result, then loss and accuracy on the test part."""
    result = measuring.measure(request, tightened=lambda: None)
    assert isinstance(result, TrainingResult)  # noqa: S101  (what a training run gives)
    if result.checkpoint is None:
        return result, None, None
    path = measuring.places.artifacts / result.checkpoint
    loss, accuracy = tested(bench, split, path, request.seed)
    path.unlink()
    return result, loss, accuracy


def request_of(job: Job, setting: Setting, candidate: int, seed: int) -> TrainingRun:
    """Ask for a run as a confirmation does: same cut, same cadence, sharpness at the crossing."""
    one = setting.candidates[candidate]
    seconds = CONFIRM_LIMIT * math.exp(setting.candidates[0].believed)
    return training_run(
        job,
        f"confirm-{candidate}-{seed}",
        global_batch_size=one.global_batch_size,
        learning_rate=one.learning_rate,
        seed=job.training_seed("confirm", seed),
        max_steps=math.ceil(seconds / throughput_of(job).step_seconds[one.global_batch_size]),
        cadence_seconds=setting.cadence_seconds,
        target=setting.target,
        measure=Measure(sharpness=True),
        checkpoint=True,
    )


def tested(bench: Workbench, split: ThreeWay, path: Path, seed: int) -> tuple[float, float | None]:
    """Load what a run ended with, and look at the test part.

    Args:
        bench: The workload as it was trained.
        split: Holds the test part.
        path: The run's checkpoint.
        seed: The run's.

    Returns:
        Mean loss, and the share predicted right where the task has one.
    """
    model = bench.model(seed)
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"])
    test = Batches(split.test, bench.criterion.counts(split.test), bench.device)

    def seen(metric: str) -> float:
        asked = dataclasses.replace(bench.workload, metric=metric)
        unseen = dataclasses.replace(bench, validation=test, workload=asked)
        return evaluate(unseen, model, samples_per_pass=SAMPLES_PER_PASS).value

    loss = seen("validation_loss")
    return loss, None if bench.workload.training["task"] == "regression" else seen("accuracy")


def _keep(path: Path, setting: Setting) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}")
    part.write_text(json.dumps(setting.plain()))
    part.rename(path)


def _append(path: Path, one: Trained) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    row: dict[str, Any] = {
        field.name: getattr(one, field.name) for field in dataclasses.fields(one)
    }
    row |= {"request": encode(one.request), "result": encode(one.result)}
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")


def _read(path: Path) -> Iterator[Trained]:
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        row = json.loads(line)
        request, result = decode(row.pop("request")), decode(row.pop("result"))
        assert isinstance(request, TrainingRun)  # noqa: S101  (written by `_append`)
        assert isinstance(result, TrainingResult)  # noqa: S101
        yield Trained(request=request, result=result, **row)
