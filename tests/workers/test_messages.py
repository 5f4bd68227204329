"""Frames between session and child."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tuner.errors import IncompatibleRecord, Problem
from tuner.places import Places
from tuner.records import (
    CurvePoint,
    Inspect,
    Outcome,
    StepTiming,
    TrainingResult,
    Workload,
)
from workers import messages
from workers.messages import (
    LENGTH,
    Configure,
    Done,
    Fault,
    Measure,
    Message,
    Ping,
    Pong,
    ProtocolError,
    Ready,
    TightenRun,
    pack,
    unpack,
)

WORKLOAD = Workload(
    model={"kind": "builtin", "options": {"hidden": [1, 2]}},
    dataset={},
    training={},
    metric="accuracy",
    accelerator="cpu",
    data_seed=3,
)
RESULT = TrainingResult(
    outcome=Outcome.DIVERGED,
    steps=5,
    crossing_steps=None,
    curve=(CurvePoint(step=1, value=math.inf), CurvePoint(step=2, value=0.5)),
    limit_applied=7,
)
MESSAGES: list[Message] = [
    Configure(places=Places(artifacts=Path("/a"))),
    Configure(
        places=Places(
            artifacts=Path("/a"),
            file_roots=(Path("/b"), Path("/c d")),
            code_root=Path("/é"),
            entrypoint_prefixes=("mine.", "yours"),
        )
    ),
    Measure(request=Inspect(id="i", workload=WORKLOAD)),
    Measure(request=StepTiming(id="t", workload=WORKLOAD, micro_batch_sizes=(1, 2))),
    TightenRun(request_id="r", max_steps=9),
    Ping(number=1),
    Pong(number=1),
    Ready(versions={"python": "3.12"}),
    Done(request_id="r", result=RESULT),
    Fault(
        request_id="r", problem=Problem(code="x", detail="y", facts={"a": 1}), device_seconds=2.0
    ),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_every_message_survives_the_pipe(message: Message) -> None:
    """What was packed is read back equal, and its length is stated before it."""
    frame = pack(message)
    assert LENGTH.unpack_from(frame)[0] == len(frame) - LENGTH.size
    assert unpack(frame[LENGTH.size :]) == message


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"\xff", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "version None"),
        (b'{"version":2,"kind":"ping","number":1}', "version 2, not 1"),
        (b'{"version":1,"kind":"pickle"}', "unknown kind 'pickle'"),
        (b'{"version":1}', "unknown kind None"),
        (b'{"version":1,"kind":"ping"}', "ping frame cannot be read"),
        (b'{"version":1,"kind":"ping","number":"one"}', "ping frame cannot be read"),
        (b'{"version":1,"kind":"measure","request":7}', "measure frame cannot be read"),
    ],
)
def test_a_frame_that_is_not_understood_is_refused(body: bytes, complaint: str) -> None:
    """A foreign version, kind or shape raises an error that names it."""
    with pytest.raises(ProtocolError, match=complaint):
        unpack(body)


def test_an_unknown_record_is_refused() -> None:
    """A request that this version does not know is an incompatible record."""
    body = {"version": 1, "kind": "measure", "request": {"record": "Dream", "version": 1}}
    with pytest.raises(IncompatibleRecord, match="Dream"):
        unpack(json.dumps(body).encode())


def test_a_frame_over_the_limit_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packing a message that is too long raises, and says how long it is."""
    monkeypatch.setattr(messages, "MAX_FRAME_BYTES", 100)
    assert pack(Ping(number=1))
    with pytest.raises(ProtocolError, match="over 100"):
        pack(Ready(versions={"python": "3" * 100}))
