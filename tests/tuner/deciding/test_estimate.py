"""Estimates for cards that are not here, on memory laws with known answers."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tuner.deciding.memory_laws import Law
from tuner.cards import Card
from tuner.deciding.estimate import (
    MAX_TRACES,
    Question,
    Verdict,
    activation_bytes_per_sample,
    bytes_per_sample,
    estimate,
    worst,
)
from tuner.errors import InvalidWorkload
from tuner.records import MemoryPrediction

GIB = 2**30


def card(gib: float, name: str = "card") -> Card:
    """A card whose context and libraries take a gibibyte."""
    return Card(
        name=name,
        memory_bytes=int(gib * GIB),
        context_bytes=GIB // 2,
        library_bytes=GIB // 2,
        source="a test",
    )


@dataclass
class Tracer:
    """Predicts by a law, and keeps what it was asked."""

    law: Law
    parameter_bytes: int = 0
    data_bytes: int = 1
    data_fit_from_bytes: int = 0
    asked: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)

    def __call__(self, card: Card, sizes: tuple[int, ...]) -> MemoryPrediction:
        """Predict some sizes."""
        self.asked.append((card.name, sizes))
        on_card = card.memory_bytes >= self.data_fit_from_bytes
        return MemoryPrediction(
            points=tuple(self.law.predicted(size) for size in sizes),
            parameter_bytes=self.parameter_bytes,
            gradient_bytes=0,
            optimizer_state_bytes=0,
            buffer_bytes=0,
            data_bytes=self.data_bytes if on_card else 0,
            activation_bytes_per_sample=0.0,
            traced=True,
            device_seconds=1.0,
        )


def question(size: int | None = None, **fields: float | None) -> Question:
    """Ask with a margin of 3 % and at most a million samples."""
    usual: dict[str, int | float | None] = {
        "memory_margin": 0.03,
        "memory_limit_bytes": None,
        "upper": 2**20,
    }
    return Question(micro_batch_size=size, **(usual | fields))  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    law=st.builds(
        Law,
        fixed=st.integers(GIB // 100, 4 * GIB),
        slope=st.integers(GIB // 1000, GIB // 4),
        optimizer=st.integers(0, 5 * GIB),
        share=st.floats(0.2, 1.0),
        steeper=st.floats(1.0, 5.0),
    ),
    gib=st.floats(8.0, 80.0),
)
def test_the_largest_size_is_that_of_the_curve(law: Law, gib: float) -> None:
    """It keeps to the margin, and is at most 2 % below the largest that does."""
    one = card(gib)
    tracer = Tracer(law)
    (found,) = estimate(tracer, [one], question())
    goal = question().budget(one).goal_bytes
    size = found.max_micro_batch_size
    assert law.peak(max(size, 1)) <= goal
    assert law.peak(int(size * 1.03) + 2) > goal
    assert len(tracer.asked) <= MAX_TRACES


@pytest.mark.parametrize(
    ("gib", "verdict"),
    [
        (10.0, Verdict.FITS),  # 8 GiB with the context are 80 % of it
        (8.8, Verdict.UNSURE),  # 91 %
        (6.8, Verdict.UNSURE),  # live tensors are 103 %
        (6.6, Verdict.DOES_NOT_FIT),  # 106 %
    ],
)
def test_the_bands_of_the_verdict(gib: float, verdict: Verdict) -> None:
    """Seven gibibytes of tensors, and one outside of them, against cards of several sizes."""
    law = Law(fixed=0, slope=7 * GIB)
    (found,) = estimate(Tracer(law), [card(gib)], question(1))
    assert found.verdict is verdict


def test_parameters_alone_beyond_the_card() -> None:
    """What is counted needs no band: it does not fit, and not one sample is promised."""
    law = Law(fixed=int(9.5 * GIB), slope=1)
    tracer = Tracer(law, parameter_bytes=int(9.5 * GIB))
    (found,) = estimate(tracer, [card(10.0)], question())
    assert (found.verdict, found.max_micro_batch_size) == (Verdict.DOES_NOT_FIT, 0)


def test_a_limit_of_the_user_holds() -> None:
    """What fits the card does not fit a limit below it."""
    law = Law(fixed=0, slope=GIB)
    free = estimate(Tracer(law), [card(40.0)], question(8))[0]
    capped = estimate(Tracer(law), [card(40.0)], question(8, memory_limit_bytes=4 * GIB))[0]
    assert (free.verdict, free.max_micro_batch_size) == (Verdict.FITS, 37)
    assert (capped.verdict, capped.max_micro_batch_size) == (Verdict.DOES_NOT_FIT, 3)
    assert capped.limit_bytes == 4 * GIB


def test_a_wide_margin_never_promises_more_than_the_largest_size() -> None:
    """A size that takes more than the margin leaves is not said to fit."""
    law = Law(fixed=0, slope=GIB)
    (found,) = estimate(Tracer(law), [card(40.0)], question(25, memory_margin=0.5))
    assert (found.verdict, found.max_micro_batch_size) == (Verdict.UNSURE, 19)


def test_cards_share_a_curve_and_keep_their_order() -> None:
    """One curve serves every card that holds the data; answers come as they were asked for."""
    tracer = Tracer(Law(fixed=GIB, slope=GIB // 64))
    cards = [card(80.0, "large"), card(12.0, "small"), card(24.0, "middle")]
    found = estimate(tracer, cards, question())
    assert [one.card.name for one in found] == ["large", "small", "middle"]
    assert {name for name, _ in tracer.asked} == {"small"}
    assert found[0].max_micro_batch_size > found[2].max_micro_batch_size


def test_a_card_without_room_for_the_data_has_its_own_curve() -> None:
    """Data that stay on the host of a small card lie on a large one."""
    tracer = Tracer(Law(fixed=GIB, slope=GIB // 64), data_fit_from_bytes=20 * GIB)
    found = estimate(tracer, [card(12.0, "small"), card(24.0, "large")], question())
    assert [one.curve.whole.data_bytes for one in found] == [0, 1]
    assert {name for name, _ in tracer.asked} == {"small", "large"}


def test_the_data_set_bounds_the_search() -> None:
    """No more than all samples are ever asked for, and that is said."""
    small = question(upper=100, limited_to_data=True)
    (found,) = estimate(Tracer(Law(fixed=0, slope=1000)), [card(10.0)], small)
    assert (found.max_micro_batch_size, found.limited_by) == (100, "dataset")


def test_the_slopes_are_those_of_the_large_sizes() -> None:
    """A sample costs what it costs beyond the kink."""
    law = Law(fixed=GIB, slope=GIB // 64, share=0.5, steeper=2.0)
    (found,) = estimate(Tracer(law), [card(10.0)], question())
    assert activation_bytes_per_sample(found.curve) == pytest.approx(2 * law.slope, rel=1e-6)
    assert bytes_per_sample(found.curve) == pytest.approx(2 * law.slope, rel=1e-6)


def test_what_cannot_be_traced_is_refused_with_the_reason() -> None:
    """The reason of the tracer reaches the user."""
    nothing = MemoryPrediction(
        points=(),
        parameter_bytes=0,
        gradient_bytes=0,
        optimizer_state_bytes=0,
        buffer_bytes=0,
        data_bytes=0,
        activation_bytes_per_sample=0.0,
        traced=False,
        reason="it asks for a value",
        device_seconds=0.0,
    )
    with pytest.raises(InvalidWorkload, match="it asks for a value") as caught:
        estimate(lambda _card, _sizes: nothing, [card(10.0)], question())
    assert caught.value.problem_code == "model_not_traceable"


def test_the_worst_verdict_counts() -> None:
    """One card that does not fit outweighs the others."""
    assert worst([Verdict.FITS, Verdict.UNSURE]) is Verdict.UNSURE
    assert worst([Verdict.UNSURE, Verdict.DOES_NOT_FIT, Verdict.FITS]) is Verdict.DOES_NOT_FIT
