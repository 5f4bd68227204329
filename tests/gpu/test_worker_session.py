"""A session on a real card: Python, torch, numpy and pytest are all it needs."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tuner.places import Places
from tuner.records import BatchPlan, Inspect, MemoryTrial, Outcome, Request, TrainingRun, Workload
from workers.devices import LocalDevice, discover
from workers.executor import AttemptId, Finished
from workers.processes import descendants
from workers.session import DeviceSession

CARDS = [device for device in discover() if device.accelerator == "cuda"]
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not CARDS, reason="nvidia-smi shows no card here"),
]
WIDE = Workload(
    model={"kind": "builtin", "name": "mlp", "options": {"hidden": [1024], "dropout": 0.0}},
    dataset={
        "kind": "synthetic",
        "inputs": {"shape": [1024], "dtype": "float32", "high": None},
        "num_samples": 4096,
        "num_outputs": 10,
        "validation_fraction": 0.2,
    },
    training={
        "task": "classification",
        "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 0.0},
        "schedule": {"kind": "constant"},
        "precision": "fp32",
        "gradient_clip_norm": None,
        "activation_checkpointing": False,
        "attention": "auto",
        "compile": False,
    },
    metric="validation_loss",
    accelerator="cuda",
    data_seed=0,
)
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceSession]:
    """A session on the first card, which is free again afterwards."""
    opened = DeviceSession(CARDS[0], lock_folder=tmp_path_factory.mktemp("locks"))
    assert opened.claim()
    yield opened
    opened.close()
    assert descendants(os.getpid()) == []


def _measure(session: DeviceSession, request: Request, folder: Path) -> Any:
    attempt = AttemptId(job_id="job", request_id=request.id, number=next(_NUMBERS))
    update = session.measure(attempt, request, Places(artifacts=folder))
    assert isinstance(update, Finished), update
    return update.result


def _trial(card: LocalDevice, limit_bytes: int | None = None) -> MemoryTrial:
    return MemoryTrial(
        id="memory",
        workload=WIDE,
        micro_batch_size=256,
        accumulation=2,
        limit_bytes=card.memory_bytes if limit_bytes is None else limit_bytes,
    )


def test_the_child_sees_its_card_by_the_driver_s_name(
    session: DeviceSession, tmp_path: Path
) -> None:
    """The kind that torch tells is the kind that was discovered without torch."""
    inspection = _measure(session, Inspect(id="inspect", workload=WIDE), tmp_path)
    assert inspection.device.kind == session.device.kind
    assert inspection.device.name == session.device.name


def test_children_are_forked_and_not_begun_anew(session: DeviceSession, tmp_path: Path) -> None:
    """Loading what measures opens no card in the keeper: a fresh child costs a fork."""
    _measure(session, Inspect(id="inspect", workload=WIDE), tmp_path)
    pid = session.slot().child_pid
    assert pid is not None
    assert b'"channel"' not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_card_is_usable_after_out_of_memory(session: DeviceSession, tmp_path: Path) -> None:
    """A trial over its limit, one that fits, and a run: each in a child that works."""
    assert _measure(session, _trial(CARDS[0], limit_bytes=2**20), tmp_path).out_of_memory
    fits = _measure(session, _trial(CARDS[0]), tmp_path)
    assert not fits.out_of_memory
    assert fits.peak_bytes > 0
    run = TrainingRun(
        id="run",
        workload=WIDE,
        plan=BatchPlan(micro_batch_size=256),
        learning_rate=0.01,
        seed=0,
        max_steps=20,
        evaluate_every_steps=10,
        target=None,
        device_kind=CARDS[0].kind,
    )
    result = _measure(session, run, tmp_path)
    assert (result.outcome, result.steps) == (Outcome.CENSORED, 20)
