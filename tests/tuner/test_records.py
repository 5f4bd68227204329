"""Records survive JSON, and what cannot be read is refused."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuner import records
from tuner.errors import IncompatibleRecord, Problem

from .world import World

TEXT = st.text(max_size=8)
REAL = st.floats(allow_nan=False)
WORKLOAD = st.builds(
    records.Workload,
    model=st.dictionaries(TEXT, st.one_of(TEXT, st.booleans(), st.none())),
    dataset=st.just({}),
    training=st.just({"optimizer": {"betas": [0.9, 0.99]}}),
    metric=TEXT,
    accelerator=TEXT,
    data_seed=st.integers(),
    memory_limit_bytes=st.one_of(st.none(), st.integers()),
)
MAYBE_REAL = st.one_of(st.none(), REAL)
PROBLEM = st.builds(Problem, facts=st.one_of(st.none(), st.dictionaries(TEXT, st.integers())))
RUN = st.builds(
    records.TrainingRun,
    workload=WORKLOAD,
    learning_rate=REAL,
    target=MAYBE_REAL,
    deadline_seconds=MAYBE_REAL,
)
TIMING = st.builds(
    records.StepTiming,
    workload=WORKLOAD,
    micro_batch_sizes=st.lists(st.integers()).map(tuple),
    window_seconds=REAL,
)
STACK_TIMING = st.builds(
    records.StackTiming,
    runs=st.lists(RUN, min_size=1, max_size=2).map(tuple),
    widths=st.lists(st.integers(), max_size=3).map(tuple),
    allowance_seconds=REAL,
)
STACK = st.builds(records.StackedRuns, runs=st.lists(RUN, min_size=1, max_size=3).map(tuple))
POINT = st.builds(records.CurvePoint, value=REAL)
TRAINED = st.builds(
    records.TrainingResult,
    crossing_steps=MAYBE_REAL,
    curve=st.lists(POINT, max_size=3).map(tuple),
    noise=st.just(()),
    sharpness=st.none(),
    train_seconds=REAL,
    evaluation_seconds=REAL,
    device_seconds=REAL,
)
STACKED = st.builds(
    records.StackedResults,
    results=st.lists(TRAINED, max_size=3).map(tuple),
    device_seconds=REAL,
)
PACES = st.builds(
    records.StackPaces,
    lone_step_seconds=REAL,
    paces=st.lists(
        st.builds(records.StackPace, step_seconds=MAYBE_REAL, begin_seconds=REAL), max_size=3
    ).map(tuple),
    device_seconds=REAL,
)
KNOWLEDGE = st.builds(
    records.Knowledge,
    learning_rate=REAL,
    steps=REAL,
    target=MAYBE_REAL,
    critical_batch_size=MAYBE_REAL,
    critical_batch_size_low=MAYBE_REAL,
    critical_batch_size_high=MAYBE_REAL,
    trials=st.lists(
        st.builds(records.KnownTrial, learning_rate=REAL, score=MAYBE_REAL), max_size=3
    ).map(tuple),
    cautions=st.lists(st.builds(records.KnownCaution), max_size=2).map(tuple),
)
EVENTS = st.one_of(
    st.builds(
        records.Started,
        request=st.one_of(
            st.builds(records.Inspect, id=TEXT, workload=WORKLOAD), RUN, TIMING, STACK_TIMING, STACK
        ),
    ),
    st.builds(records.Result, result=st.one_of(TRAINED, STACKED, PACES)),
    st.builds(records.Failed, problem=PROBLEM, device_seconds=REAL),
    st.builds(records.AttemptLost, device_seconds=REAL),
    st.builds(records.Stop),
    st.builds(records.Recalled, knowledge=KNOWLEDGE),
    st.builds(
        records.Answered,
        past=st.builds(
            records.PastAnswer, answer=st.dictionaries(TEXT, st.one_of(TEXT, st.booleans()))
        ),
    ),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(event=EVENTS)
def test_events_survive_json(event: records.Event) -> None:
    """Encoding, writing, reading and decoding gives an equal record, infinities included."""
    text = json.dumps(records.encode(event), allow_nan=False)
    assert records.decode(json.loads(text)) == event


def test_not_a_number_survives() -> None:
    """A curve that became NaN is stored as such, in valid JSON."""
    result = records.TrainingResult(
        outcome=records.Outcome.DIVERGED,
        steps=1,
        crossing_steps=None,
        curve=(records.CurvePoint(step=1, value=math.nan),),
        limit_applied=1,
    )
    text = json.dumps(records.encode(result), allow_nan=False)
    assert math.isnan(records.decode(json.loads(text)).curve[0].value)


@pytest.mark.parametrize(
    "change",
    [{"version": 999}, {"record": "Nonsense"}, {"unknown_field": 1}],
)
def test_what_cannot_be_read_is_refused(change: dict[str, object]) -> None:
    """Another version, another type or an unknown field is an incompatible record."""
    plain = records.encode(World()._inspect()) | change
    with pytest.raises(IncompatibleRecord):
        records.decode(plain)


def test_a_missing_field_is_refused() -> None:
    """A record without one of its fields is not completed by a guess."""
    plain = records.encode(World()._inspect())
    del plain["num_train"]
    with pytest.raises(IncompatibleRecord):
        records.decode(plain)
