"""A past answer to the very same request: taken right after the inspection, or not at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tuner.deciding.answered import is_lasting
from tuner.errors import IncompatibleRecord
from tuner.recommendation import Caution, Recommendation
from tuner.records import (
    Answered,
    CapacityChanged,
    Event,
    Inspection,
    PastAnswer,
    Recalled,
    Result,
    Started,
    Stop,
    decode,
    encode,
)
from tuner.tune import tune
from tuner.tuning import Tuning

from ..driver import make_spec, replay
from ..world import World

CPU = CapacityChanged(accelerator="cpu", device_kind="cpu", slots=1)


@pytest.fixture(scope="module")
def measured() -> Tuning:
    """A tuning that has measured its answer."""
    seen: list[Tuning] = []
    tune(make_spec(), measure=World().measure, on_event=lambda tuning, _: seen.append(tuning))
    return seen[-1]


@pytest.fixture
def past(measured: Tuning) -> PastAnswer:
    """Its answer as it is stored."""
    assert measured.answer is not None
    return PastAnswer(
        fingerprint=measured.answer.fingerprint,
        job_id="tj_past",
        measured_at="2026-01-01T00:00:00+00:00",
        answer=measured.answer.model_dump(mode="json"),
    )


def inspected(**parts: Any) -> tuple[Tuning, list[Event]]:
    """A tuning that has seen its data, and what it was told."""
    tuning = Tuning(make_spec(**parts), spec_digest="sha256:own")
    tuning.apply(CPU)
    request = tuning.actions()[0].request  # type: ignore[union-attr]
    events = [Started(request=request), Result(request_id=request.id, result=World()._inspect())]
    for event in events:
        tuning.apply(event)
    return tuning, [CPU, *events]


def test_a_tuning_ends_with_the_past_answer(measured: Tuning, past: PastAnswer) -> None:
    """All is as it was found, but the digest of the asker's own JSON and where it comes from."""
    tuning, _ = inspected()
    assert tuning.repeats == past.fingerprint
    tuning.apply(Answered(past=past))
    assert tuning.answer is not None
    assert tuning.answer.answered_from is not None
    assert tuning.answer.answered_from.job_id == "tj_past"
    assert tuning.answer.spec_digest == "sha256:own"
    own = {"spec_digest", "answered_from"}
    assert measured.answer is not None
    assert tuning.answer.model_dump(exclude=own) == measured.answer.model_dump(exclude=own)
    assert (tuning.stage, tuning.progress.fraction, tuning.actions()) == ("recommend", 1.0, ())
    assert tuning.learned(job_id="tj", answered_at="now") is None
    assert tuning.repeats is None
    assert tuning.question is None


def test_replay_leads_to_the_same_answer(past: PastAnswer) -> None:
    """What was answered is an event: stored and applied again, all is as it was."""
    tuning, events = inspected()
    tuning.apply(Answered(past=past))
    stored = [decode(encode(event)) for event in [*events, Answered(past=past)]]
    again = Tuning(make_spec(), spec_digest="sha256:own")
    for event in stored:
        again.apply(event)
    assert again.answer == tuning.answer
    assert again.progress == tuning.progress


def test_what_nobody_asked_for_changes_nothing(past: PastAnswer) -> None:
    """Before the inspection, of another fingerprint, too late, or twice: it is not taken."""
    early = Tuning(make_spec())
    early.apply(CPU)
    assert early.repeats is None
    early.apply(Answered(past=past))
    assert early.answer is None
    other, _ = inspected()
    other.apply(Answered(past=replace(past, fingerprint="sha256:other")))
    assert other.answer is None
    late, events = inspected()
    begun = Started(request=late.actions()[0].request)  # type: ignore[union-attr]
    late.apply(begun)
    assert late.repeats is None
    late.apply(Answered(past=past))
    assert late.answer is None
    twice = [*events, Answered(past=past), Answered(past=replace(past, job_id="tj_other"))]
    taken = replay(make_spec(), twice).answer
    assert taken is not None
    assert taken.answered_from is not None
    assert taken.answered_from.job_id == "tj_past"


def test_a_tuning_that_was_stopped_asks_nobody() -> None:
    """A cancel or a spent budget ends it, whatever may have been answered before."""
    for reason in ("cancelled", "timeout"):
        tuning, _ = inspected()
        tuning.apply(Stop(reason=reason))
        assert tuning.repeats is None


def test_results_that_come_after_the_end_change_nothing(measured: Tuning, past: PastAnswer) -> None:
    """A late result or recollection finds a tuning that has its answer."""
    tuning, events = inspected()
    tuning.apply(Answered(past=past))
    answer = tuning.answer
    tuning.apply(events[-1])
    knowledge = measured.learned(job_id="tj_past", answered_at="2026-01-01T00:00:00+00:00")
    assert knowledge is not None
    tuning.apply(Recalled(knowledge=knowledge))
    assert tuning.answer == answer
    assert tuning.failure is None


def test_an_answer_that_cannot_be_read_is_an_incompatible_record(past: PastAnswer) -> None:
    """Nothing is guessed about what another version wrote."""
    tuning, _ = inspected()
    with pytest.raises(IncompatibleRecord, match="tj_past"):
        tuning.apply(Answered(past=replace(past, answer={**past.answer, "runs": None})))
    assert tuning.answer is None


def test_the_fingerprint_is_over_what_the_answer_depends_on(past: PastAnswer) -> None:
    """Seed, budget, data, code, device, its name and torch's minor version; no patch level."""

    def of(result: Inspection | None = None, **parts: Any) -> str | None:
        tuning = Tuning(make_spec(**parts))
        assert tuning.fingerprint is None
        tuning.apply(CPU)
        request = tuning.actions()[0].request  # type: ignore[union-attr]
        tuning.apply(Started(request=request))
        tuning.apply(Result(request_id=request.id, result=result or seen))
        return tuning.fingerprint

    seen = World()._inspect()
    torch = f"{seen.device.torch_version}.post9"
    patched = replace(seen, device=replace(seen.device, torch_version=torch))
    assert of() == of(patched) == past.fingerprint
    others = [
        of(seed=1),
        of(budget={"timeout_seconds": 601, "max_trials": 6}),
        of(replace(seen, data_digest="sha256:e")),
        of(replace(seen, code_digest="sha256:e")),
        of(replace(seen, device=replace(seen.device, kind="cuda:e"))),
        of(replace(seen, device=replace(seen.device, name="e"))),
        of(replace(seen, device=replace(seen.device, memory_bytes=1))),
        of(replace(seen, device=replace(seen.device, torch_version="99.1"))),
    ]
    assert len({*others, past.fingerprint}) == len(others) + 1


def test_answers_that_suffered_do_not_last(measured: Tuning) -> None:
    """A budget that cut it, a machine that was busy, nothing confirmed: measure again."""
    answer = measured.answer
    assert answer is not None
    assert is_lasting(answer)
    assert not is_lasting(answer.model_copy(update={"limited_by": "budget"}))
    for code in ("timing_unsteady", "calibration_off", "not_confirmed"):
        warned = [*answer.warnings, Caution(code=code, detail="so it was")]
        assert not is_lasting(answer.model_copy(update={"warnings": warned}))
    told = [*answer.warnings, Caution(code="rivals_not_separated", detail="close")]
    assert is_lasting(answer.model_copy(update={"warnings": told}))


def test_real_shortcomings_are_seen_by_the_answer_alone() -> None:
    """A proxy and a stopped search do not last; the throughput of generated data does."""
    tight = tune(
        make_spec(budget={"timeout_seconds": 60.0}), measure=World(steps_minimum=3000.0).measure
    )
    assert tight.evidence == "proxy"
    assert not is_lasting(tight)
    generated = tune(make_spec(), measure=World(synthetic=True).measure)
    assert generated.evidence == "throughput_only"
    assert is_lasting(generated)
    assert not is_lasting(_stopped())


def _stopped() -> Recommendation:
    """The answer of a tuning whose time was over in the middle of its search."""
    over: list[Tuning] = []

    def note(tuning: Tuning, event: Event) -> None:
        if isinstance(event, Result) and event.request_id.startswith("search"):
            over.append(tuning)

    answer = tune(
        make_spec(),
        measure=World().measure,
        on_event=note,
        clock=lambda: 1e6 if over else 0.0,
    )
    assert "budget_exhausted" in {caution.code for caution in answer.warnings}
    return answer
