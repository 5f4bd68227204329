"""Seeded decisions that a refactor must reproduce, to the request.

    python -m tests.golden.test_decisions     writes them anew, after a change that is meant

A diff in `decisions.json` is then part of the review: what moved, and why.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tuner.driver import make_spec
from tests.tuner.world import World
from tuner.records import Event, Started, TrainingRun
from tuner.tune import tune

GOLDEN = Path(__file__).with_name("decisions.json")

JOBS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "sgd-to-target": ({}, {"scatter": 0.1}),
    "adam-automatic-target": (
        {
            "training": {"task": "classification", "optimizer": {"kind": "adam"}},
            "objective": {"kind": "time_to_target", "horizon_samples": 40_000},
        },
        {"scatter": 0.1, "best_rate": 2e-3},
    ),
    "tight-budget": ({"budget": {"timeout_seconds": 60.0}}, {"steps_minimum": 3000.0}),
    "small-memory": ({}, {"limit_bytes": 11_000_000, "bytes_fixed": 5_000_000, "critical": 2000.0}),
}


def decisions(name: str) -> list[list[object]]:
    """Run one job on its world: every request in order, and the answer."""
    spec, world = JOBS[name]
    rows: list[list[object]] = []

    def note(_: object, event: Event) -> None:
        if not isinstance(event, Started):
            return
        request = event.request
        row: list[object] = [request.id]
        if isinstance(request, TrainingRun):
            rate = float(f"{request.learning_rate:.6g}")
            row += [request.plan.global_batch_size, rate, request.max_steps]
        rows.append(row)

    answer = tune(make_spec(**spec), measure=World(**world).measure, on_event=note)
    rate = None if answer.learning_rate is None else float(f"{answer.learning_rate:.6g}")
    plan = [answer.micro_batch_size, answer.gradient_accumulation_steps]
    rows.append(["answer", *plan, rate, answer.evidence, answer.limited_by])
    return rows


@pytest.mark.parametrize("name", sorted(JOBS))
def test_decisions_are_reproduced(name: str) -> None:
    """The same spec, seed and measurements lead to the same requests and the same answer."""
    assert decisions(name) == json.loads(GOLDEN.read_text())[name]


if __name__ == "__main__":
    rows = {name: decisions(name) for name in sorted(JOBS)}
    body = ",\n".join(
        f' "{name}": [\n  ' + ",\n  ".join(json.dumps(row) for row in lines) + "\n ]"
        for name, lines in rows.items()
    )
    GOLDEN.write_text("{\n" + body + "\n}\n")
