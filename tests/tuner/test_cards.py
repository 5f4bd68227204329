"""The catalogue of cards."""

from __future__ import annotations

import pytest

from tuner.cards import card_named, cards
from tuner.errors import InvalidWorkload


@pytest.mark.parametrize("name", sorted(cards()))
def test_a_card_holds_less_than_its_name_says(name: str) -> None:
    """What torch reports is 2 to 10 % below the name, and the context comes off that."""
    card = card_named(name)
    nominal = int(name.rsplit("-", 1)[1].removesuffix("GB")) * 2**30
    assert 0.9 * nominal < card.memory_bytes < nominal
    assert 0 < card.usable_bytes < card.memory_bytes - 2**29 + 1
    assert card.source


def test_the_catalogue_is_ordered_by_memory() -> None:
    """The smallest card comes first, so that a list of fits reads from small to large."""
    sizes = [card.memory_bytes for card in cards().values()]
    assert sizes == sorted(sizes)


def test_a_prediction_is_told_what_is_not_for_tensors() -> None:
    """The record for a prediction carries context and libraries beside the whole memory."""
    card = card_named("A10-24GB")
    model = card.model(attention_kernel="flash")
    assert model.memory_bytes - model.context_bytes - model.library_bytes == card.usable_bytes
    assert (model.name, model.device_type, model.attention_kernel) == ("A10-24GB", "cuda", "flash")


def test_an_unknown_card_is_refused_with_the_list() -> None:
    """The problem names what there is to choose from."""
    with pytest.raises(InvalidWorkload) as caught:
        card_named("A10")
    assert caught.value.problem.code == "card_unknown"
    assert "A10-24GB" in caught.value.problem.facts["cards"]
