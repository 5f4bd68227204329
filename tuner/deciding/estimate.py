"""Whether training fits a card that is not here, and with which micro-batch at most.

The predicted curve is read as the memory stage of a tuning job reads it; what that stage then
runs for real has no counterpart here. So a verdict has three values: between what surely fits
and what surely does not lies a band, as wide as what a trace cannot see (workspaces of
libraries, fragmentation) may be. The band is not yet calibrated on a card.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from tuner.cards import Card
from tuner.deciding.feasibility import Budget
from tuner.deciding.predicted import PHASES, demand_bytes, largest_within
from tuner.deciding.probing import merged
from tuner.errors import InvalidWorkload
from tuner.records import MemoryPrediction, PredictedPeak

FITS_SHARE: Final = 0.90
"""It fits where context, libraries and what the allocator reserves take this share at most."""

DOES_NOT_FIT_SHARE: Final = 1.05
"""It does not fit where live tensors alone take more than this share."""

CALIBRATED: Final = False
"""Whether the two shares come from errors that were measured on a card; they do not yet."""

LARGE_SIZES: Final = (64, 128)
"""Sizes that lie beyond the last kink of most curves, and so give the slope."""

MAX_TRACES: Final = 3
"""Traces of one curve at most: a first look, the solutions, and these once more."""

SIZES_PER_TRACE: Final = 3
"""Solutions that one trace looks at, at most; the cards between them are read off the curve."""

NEAR: Final = 0.02
"""A size within this relative distance of a traced one needs no trace of its own."""


class Verdict(StrEnum):
    """Whether a size fits a card."""

    FITS = "fits"
    UNSURE = "unsure"
    DOES_NOT_FIT = "does_not_fit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of every card.

    Args:
        micro_batch_size: The size that the verdict is about; None asks about one sample.
        memory_margin: Share of what a run may use that is left free.
        memory_limit_bytes: The user's cap on what torch may hold; None for the card's own.
        upper: No size above this is of use.
        limited_to_data: Whether the number of training samples sets the upper bound.
    """

    micro_batch_size: int | None
    memory_margin: float
    memory_limit_bytes: int | None
    upper: int
    limited_to_data: bool = False

    def budget(self, card: Card) -> Budget:
        """Say what a run on a card has to keep to."""
        limit = min(card.usable_bytes, self.memory_limit_bytes or card.usable_bytes)
        return Budget.of(limit, margin=self.memory_margin, upper=self.upper)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A predicted curve and what it is made of.

    Args:
        points: By size, one sample among them.
        whole: The prediction that tells parameters, gradients, state, buffers and data.
    """

    points: tuple[PredictedPeak, ...]
    whole: MemoryPrediction

    @property
    def lasting_bytes(self) -> int:
        """What is alive at every optimizer step, whatever the size; counted, not estimated."""
        parts = self.whole
        kept = parts.parameter_bytes + parts.gradient_bytes + parts.optimizer_state_bytes
        return kept + parts.buffer_bytes

    def slope(self, phases: Sequence[Callable[[PredictedPeak], int]]) -> float:
        """Say by what the peak of some phases grows per sample, between the two largest sizes."""
        high = self.points[-1]
        peak = max(phase(high) for phase in phases)
        if len(self.points) == 1:
            return max(0.0, (peak - self.lasting_bytes - self.whole.data_bytes))
        low = self.points[-2]
        grown = peak - max(phase(low) for phase in phases)
        return max(0.0, grown / (high.micro_batch_size - low.micro_batch_size))


@dataclass(frozen=True, slots=True, kw_only=True)
class CardEstimate:
    """What is predicted for one card.

    Args:
        card: From the catalogue.
        limit_bytes: What torch's allocator may hold: the card's own or the user's cap.
        curve: What was predicted.
        max_micro_batch_size: The largest size that keeps to the margin; 0 if none does.
        limited_by: `memory`, `dataset`, or `bound` for the largest size that can be asked for.
        peak: The prediction at the size that was asked about.
        verdict: Whether that size fits.
    """

    card: Card
    limit_bytes: int
    curve: Curve
    max_micro_batch_size: int
    limited_by: Literal["memory", "dataset", "bound"]
    peak: PredictedPeak
    verdict: Verdict


def estimate(
    predict: Callable[[Card, tuple[int, ...]], MemoryPrediction],
    cards: Sequence[Card],
    question: Question,
) -> tuple[CardEstimate, ...]:
    """Predict for each card.

    A prediction depends on the card only in whether the data lie on it. Where they lie on one
    card they lie on every larger one, which then shares its curve.

    Args:
        predict: Traces some sizes for a card.
        cards: At least one.
        question: What is asked.

    Returns:
        One estimate a card, in their order.

    Raises:
        InvalidWorkload: `model_not_traceable`, with the reason; or what `predict` raises.
    """
    found: dict[str, CardEstimate] = {}
    waiting = sorted(cards, key=lambda card: card.memory_bytes)
    while waiting:
        curve, number = _curve(predict, waiting, question)
        for card in waiting[:number]:
            found[card.name] = _of_card(card, curve, question)
        waiting = waiting[number:]
    return tuple(found[card.name] for card in cards)


def judge(peak: PredictedPeak, curve: Curve, card: Card, question: Question) -> Verdict:
    """Say whether a size fits a card.

    Args:
        peak: The prediction at that size.
        curve: What it belongs to.
        card: From the catalogue.
        question: Margin and limit.

    Returns:
        The verdict; `unsure` within the band.
    """
    budget = question.budget(card)
    capacity = min(card.memory_bytes, question.memory_limit_bytes or card.memory_bytes)
    if curve.lasting_bytes > budget.limit_bytes:
        return Verdict.DOES_NOT_FIT
    if peak.live_bytes > DOES_NOT_FIT_SHARE * capacity:
        return Verdict.DOES_NOT_FIT
    outside = card.context_bytes + card.library_bytes
    fits = (
        peak.reserved_bytes + outside <= FITS_SHARE * card.memory_bytes
        and peak.reserved_bytes <= FITS_SHARE * capacity
        and peak.live_bytes <= budget.goal_bytes
    )
    return Verdict.FITS if fits else Verdict.UNSURE


def worst(verdicts: Sequence[Verdict]) -> Verdict:
    """Return the worst of some verdicts, at least one."""
    order = list(Verdict)
    return max(verdicts, key=order.index)


def largest(curve: Curve, budget: Budget) -> int:
    """Search the largest size that a curve allows; 0 if not even one sample is within it."""
    return largest_within(
        lambda size: demand_bytes(curve.points, size, budget), budget.goal_bytes, budget.upper
    )


def _curve(
    predict: Callable[[Card, tuple[int, ...]], MemoryPrediction],
    cards: Sequence[Card],
    question: Question,
) -> tuple[Curve, int]:
    """Trace the curve of the first card, and say for how many of the cards it holds."""
    first = _traced(predict(cards[0], _first_sizes(question)))
    curve = Curve(points=merged((), first.points), whole=first)
    number = len(cards) if first.data_bytes > 0 else 1
    budgets = [question.budget(card) for card in cards[:number]]
    for _ in range(MAX_TRACES - 1):
        sizes = _unseen_solutions(curve, budgets)
        if not sizes:
            break
        more = _traced(predict(cards[0], sizes))
        curve = Curve(points=merged(curve.points, more.points), whole=first)
    return curve, number


def _traced(prediction: MemoryPrediction) -> MemoryPrediction:
    if prediction.traced:
        return prediction
    raise InvalidWorkload(
        "The training step cannot be followed without its values, so its memory cannot be "
        f"predicted; a tuning job measures it instead. {prediction.reason or ''}".rstrip(),
        code="model_not_traceable",
        pointer="/model",
    )


def _first_sizes(question: Question) -> tuple[int, ...]:
    middle, large = LARGE_SIZES
    asked = question.micro_batch_size
    bounded = {min(middle if asked is None else large, question.upper), min(large, question.upper)}
    return tuple(sorted({1, *bounded, *(() if asked is None else (asked,))}))


def _unseen_solutions(curve: Curve, budgets: Sequence[Budget]) -> tuple[int, ...]:
    solutions = sorted({max(1, largest(curve, budget)) for budget in budgets})
    unseen = [size for size in solutions if not _is_traced(curve.points, size)]
    if len(unseen) <= SIZES_PER_TRACE:
        return tuple(unseen)
    return (unseen[0], unseen[len(unseen) // 2], unseen[-1])


def _is_traced(points: Sequence[PredictedPeak], size: int) -> bool:
    return any(abs(point.micro_batch_size - size) <= NEAR * size for point in points)


def _of_card(card: Card, curve: Curve, question: Question) -> CardEstimate:
    budget = question.budget(card)
    size = largest(curve, budget)
    asked = question.micro_batch_size or 1
    peak = next(point for point in curve.points if point.micro_batch_size == asked)
    bound: Literal["dataset", "bound"] = "dataset" if question.limited_to_data else "bound"
    return CardEstimate(
        card=card,
        limit_bytes=budget.limit_bytes,
        curve=curve,
        max_micro_batch_size=size,
        limited_by="memory" if size < question.upper else bound,
        peak=peak,
        verdict=judge(peak, curve, card, question),
    )


def bytes_per_sample(curve: Curve) -> float:
    """Say by what the highest peak grows per sample, between the two largest sizes."""
    return curve.slope(PHASES)


def activation_bytes_per_sample(curve: Curve) -> float:
    """Say by what the peak of forward and backward passes grows per sample."""
    return curve.slope(PHASES[:1])
