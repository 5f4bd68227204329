"""The memory probe on a real card, which emulates smaller ones. JSON lines; goes on where it was.

    python benchmarks/memory/gpu.py [--limits 10 24] [--shard 0/1] [--out FILE.jsonl]
    python benchmarks/memory/gpu.py --collect FILE.jsonl ...

Needs Python, torch and transformers alone. torch's allocator is held to what a card of 10, 16,
24, 40 or 80 GB leaves it. For each case: what was predicted and what was measured, the probe's
trials, and the largest size that runs, by bisection. Six cases on two limits take at most nine
minutes; a case that is done is not done again, and none is begun after `--seconds`.

Without a card `--device sim` runs the same on simulated ones; its results say so.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine_facts  # noqa: E402 - found beside this file's folder
from benchmarks.memory.collected import collect  # noqa: E402
from benchmarks.memory.subjects import SUBJECTS, Subject  # noqa: E402
from tuner.cards import Card, card_named  # noqa: E402
from tuner.deciding.feasibility import Budget, ran_freely  # noqa: E402
from tuner.deciding.predicted import live_bytes  # noqa: E402
from tuner.deciding.probing import ACCUMULATION, Probe, probe  # noqa: E402
from tuner.deciding.replayed import Question  # noqa: E402
from tuner.errors import TunerError  # noqa: E402
from tuner.measuring.dispatch import Measuring  # noqa: E402
from tuner.measuring.replaying import replay_memory  # noqa: E402
from tuner.measuring.replaying.recording import save  # noqa: E402
from tuner.measuring.simulated import simulated  # noqa: E402
from tuner.measuring.tracing.prediction import predict, predicted_peak  # noqa: E402
from tuner.measuring.tracing.trace import Tracer  # noqa: E402
from tuner.places import Places  # noqa: E402
from tuner.records import (  # noqa: E402
    MemoryMeasurement,
    MemoryReplay,
    MemoryTrial,
    PredictedPeak,
    Workload,
)

RESULT: Final = ROOT / "benchmarks" / "results" / "memory-gpu.json"
LINES: Final = ROOT / "benchmarks" / "results" / "memory-gpu.jsonl"

CARDS: Final = {
    10: "RTX3080-10GB",
    16: "T4-16GB",
    24: "A10-24GB",
    40: "A100-40GB",
    80: "A100-80GB",
}
"""From a limit in GB to the card that is emulated."""

USUAL: Final = ("resnet50", "vit-b", "bert-base-bf16", "gpt2", "llama-bf16", "transformer")
MARGIN: Final = 0.03
SAMPLES: Final = 1024
"""Of every data set: what is measured is memory, and a larger set would take minutes to make."""

SECONDS: Final = 540.0
SIMULATED_SEED: Final = 0
BEYOND: Final = 1.05
"""Where the bisection looks for a size that fails, as a multiple of one that ran."""

Measure = Callable[[MemoryTrial], MemoryMeasurement]
Predict = Callable[[tuple[int, ...]], Sequence[PredictedPeak]]


def main() -> None:
    options = _options()
    if options.collect:
        collect(options.collect, options.result)
        return
    began = time.monotonic()
    done = _done(options.out)
    shard, shards = options.shard
    pairs = [(name, limit) for name in options.subjects for limit in options.limits]
    for index, (name, limit) in enumerate(pairs):
        case = f"{name} on {CARDS[limit]}"
        if index % shards != shard or case in done:
            continue
        if time.monotonic() - began > options.seconds:
            print(f"out of time; {case} and later ones are left for the next call")
            break
        row = run_case(name, CARDS[limit], options.device)
        with options.out.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")
        told = {k: row.get(k) for k in ("case", "answer", "maximum", "trials", "out_of_memory")}
        print(json.dumps(told), flush=True)


def run_case(name: str, card_name: str, device: str) -> dict[str, Any]:
    """Probe one subject under the limit of one card, and find the true maximum.

    Args:
        name: Of the subject.
        card_name: Of the card.
        device: `cuda` or `sim`.

    Returns:
        One row of results; with `problem` where the case could not be run.
    """
    began = time.monotonic()
    subject, card = smaller(SUBJECTS[name]), card_named(card_name)
    row: dict[str, Any] = {
        "case": f"{name} on {card_name}",
        "device": _device_name(device),
        "limit_bytes": card.usable_bytes,
        "machine": machine_facts(),
    }
    with tempfile.TemporaryDirectory() as folder:
        places = Places(artifacts=Path(folder), entrypoint_prefixes=("benchmarks",))
        make = _on_card if device == "cuda" else _on_simulated
        try:
            foresee, measure = make(subject.workload, card, places)
            row |= measured_case(subject, card, places, foresee, measure)
        except TunerError as error:
            row["problem"] = dataclasses.asdict(error.problem)
    return row | {"seconds": round(time.monotonic() - began, 1)}


def measured_case(
    subject: Subject, card: Card, places: Places, foresee: Predict, measure: Measure
) -> dict[str, Any]:
    """Run the probe and the bisection; return what they came to."""
    budget = Budget.of(card.usable_bytes, margin=MARGIN, upper=subject.upper)
    ran: dict[int, MemoryMeasurement] = {}

    def run(size: int) -> MemoryMeasurement:
        if size not in ran:
            ran[size] = measure(
                MemoryTrial(
                    id=f"size-{size}",
                    workload=subject.workload,
                    micro_batch_size=size,
                    accumulation=ACCUMULATION,
                    limit_bytes=budget.limit_bytes,
                )
            )
        return ran[size]

    def replay(asked: Question) -> int | None:
        request = MemoryReplay(
            id="replay",
            workload=subject.workload,
            recordings=asked.recordings,
            limit_bytes=budget.limit_bytes,
            goal_bytes=budget.goal_bytes,
            above=asked.above,
            up_to=asked.up_to,
            careful=asked.careful,
        )
        found = replay_memory(request, places)
        replays.append(dataclasses.asdict(asked) | dataclasses.asdict(found))
        return found.micro_batch_size

    began = time.monotonic()
    replays: list[dict[str, Any]] = []
    result = probe(foresee, run, replay, budget)
    probed = time.monotonic() - began
    maximum = bisected(run, result.max_micro_batch_size, subject.upper)
    return {
        "answer": result.max_micro_batch_size,
        "maximum": maximum,
        "trials": len(result.trials),
        "out_of_memory": sum(trial.out_of_memory for trial in result.trials),
        "probe_seconds": round(probed, 1),
        "predicted": [dataclasses.asdict(point) for point in result.points],
        "measured": [dataclasses.asdict(trial) for trial in result.trials],
        "replays": replays,
        "errors": errors(result),
    }


def bisected(run: Callable[[int], MemoryMeasurement], ran: int, upper: int) -> int:
    """Find the largest size that runs without a retry, between one that does and the bound."""
    low, high = ran, upper + 1
    step = max(1, int((BEYOND - 1.0) * ran))
    while low + step < high:
        if not ran_freely(run(low + step)):
            high = low + step
            break
        low, step = low + step, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if ran_freely(run(middle)) else (low, middle)
    return low


def errors(result: Probe) -> list[dict[str, Any]]:
    """Compare live and reserved bytes at every size that ran freely, relative to measured."""
    found = []
    for trial in result.trials:
        if not ran_freely(trial):
            continue
        size = trial.micro_batch_size
        live = live_bytes(result.points, size)
        exact = [point for point in result.points if point.micro_batch_size == size]
        reserved = exact[0].reserved_bytes / trial.reserved_bytes - 1.0 if exact else None
        found.append(
            {
                "micro_batch_size": size,
                "live": round(live / trial.live_bytes - 1.0, 5),
                "reserved": None if reserved is None else round(reserved, 5),
            }
        )
    return found


def smaller(subject: Subject) -> Subject:
    """Give a subject a data set that is made in a moment; only its length changes."""
    dataset = {**subject.workload.dataset, "num_samples": SAMPLES}
    workload = dataclasses.replace(subject.workload, dataset=dataset)
    return dataclasses.replace(subject, workload=workload)


def _on_card(workload: Workload, card: Card, places: Places) -> tuple[Predict, Measure]:
    measuring = Measuring(places)

    def measure(trial: MemoryTrial) -> MemoryMeasurement:
        result = measuring.measure(trial, tightened=lambda: None)
        if not isinstance(result, MemoryMeasurement):
            raise TypeError(type(result).__name__)
        return result

    def foresee(sizes: tuple[int, ...]) -> Sequence[PredictedPeak]:
        return predict(workload, places, sizes, ACCUMULATION, card.model()).points

    return foresee, measure


def _on_simulated(workload: Workload, card: Card, places: Places) -> tuple[Predict, Measure]:
    tracer = Tracer(workload, places, card.model())
    simulation = simulated(card.name, SIMULATED_SEED)

    def measure(trial: MemoryTrial) -> MemoryMeasurement:
        events = tracer.trace(trial.micro_batch_size, trial.accumulation).events
        result = simulation.measure(events, trial)
        if result.out_of_memory:
            return result
        name = save(places.artifacts, simulation.recording(events, result))
        return dataclasses.replace(result, recording=name)

    def foresee(sizes: tuple[int, ...]) -> Sequence[PredictedPeak]:
        return [predicted_peak(tracer.trace(m, ACCUMULATION), card.model()) for m in sizes]

    return foresee, measure


def _device_name(device: str) -> str:
    if device == "sim":
        return "simulated"
    import torch  # noqa: PLC0415 - its import takes seconds, and --help needs none

    return str(torch.cuda.get_device_name())


def _done(path: Path) -> set[str]:
    if not path.exists():
        return set()
    return {json.loads(line)["case"] for line in path.read_text(encoding="utf-8").splitlines()}


def _shard(text: str) -> tuple[int, int]:
    index, _, of = text.partition("/")
    shard = (int(index), int(of))
    if not 0 <= shard[0] < shard[1]:
        raise argparse.ArgumentTypeError(f"{text}: i/n with i from 0 to n - 1")
    return shard


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "sim"), default="cuda")
    parser.add_argument("--subjects", nargs="*", default=list(USUAL), choices=list(SUBJECTS))
    parser.add_argument("--limits", nargs="*", type=int, default=[10, 24], choices=list(CARDS))
    parser.add_argument("--shard", type=_shard, default=(0, 1))
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--out", type=Path, default=LINES)
    parser.add_argument("--collect", nargs="*", type=Path, default=None)
    parser.add_argument("--result", type=Path, default=RESULT)
    return parser.parse_args()


if __name__ == "__main__":
    main()
