"""How fast a tuning thinks: replay of 1,000 results, and the time between two measurements.

Measures, on the known world of the tests:

- seconds to replay a recorded sequence with 1,000 results (asked: at most 0.5);
- seconds from a result to the next request (apply + actions), median and largest, which is
  what a device waits for.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks.machine import machine_facts  # noqa: E402
from tests.tuner.driver import make_spec  # noqa: E402
from tests.tuner.world import World  # noqa: E402
from tuner.deciding import sampler  # noqa: E402
from tuner.records import (  # noqa: E402
    CapacityChanged,
    Event,
    Result,
    Start,
    Started,
)
from tuner.tuning import Tuning  # noqa: E402

TRIALS = 960
ROUNDS = 5
RNG = random.Random(0)  # noqa: S311


def record(trials: int) -> tuple[list[Event], list[float]]:
    """Drive one job to its end; return its sequence and the seconds of every decision."""
    spec = make_spec(budget={"timeout_seconds": 10**6, "max_trials": trials})
    tuning, world = Tuning(spec), World(scatter=0.1)
    sequence: list[Event] = []
    thinking: list[float] = []

    def apply(event: Event) -> None:
        sequence.append(event)
        tuning.apply(event)

    apply(CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1))
    while not tuning.finished:
        began = time.perf_counter()
        action = tuning.actions()[0]
        thinking.append(time.perf_counter() - began)
        assert isinstance(action, Start)  # noqa: S101
        apply(Started(request=action.request))
        result = Result(request_id=action.request.id, result=world.measure(action.request))
        began = time.perf_counter()
        apply(result)
        thinking[-1] += time.perf_counter() - began
    return sequence, thinking


def at_random(question: sampler.Question, _name: str) -> tuple[int, float]:
    """Stand in for TPE while a long sequence is recorded: a replay adopts what was stored."""
    share, space = RNG.random(), question.space
    rate = space.low * (space.high / space.low) ** share
    return RNG.choice(space.batches), rate


def replay_seconds(sequence: list[Event]) -> float:
    """Replay a sequence into a fresh tuning, its actions included."""
    spec = make_spec(budget={"timeout_seconds": 10**6, "max_trials": TRIALS})
    began = time.perf_counter()
    tuning = Tuning(spec)
    for event in sequence[:-1]:
        tuning.apply(event)
    tuning.actions()
    return time.perf_counter() - began


def main() -> None:
    asked, sampler.suggest = sampler.suggest, at_random
    sequence, _ = record(TRIALS)
    sampler.suggest = asked
    results = sum(isinstance(event, Result) for event in sequence)
    replays = [replay_seconds(sequence) for _ in range(ROUNDS)]
    _, thinking = record(24)
    report = {
        "bench": "tuning",
        "command": "python benchmarks/tuning/bench.py",
        "machine": machine_facts(),
        "results_replayed": results,
        "replay_seconds_median": statistics.median(replays),
        "decision_seconds_median": statistics.median(thinking),
        "decision_seconds_max": max(thinking),
        "asked": {"replay_seconds": 0.5},
    }
    path = ROOT / "benchmarks" / "results" / "tuning.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
