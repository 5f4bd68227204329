"""Cards that memory is estimated for without having them: names, bytes, and where they come from.

The capacity is what torch reports, which is less than the name says: drivers keep a part for
themselves, and error correction takes another. A run can use that without the context of the
driver and what libraries hold besides torch's tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from tuner.errors import InvalidWorkload
from tuner.records import CardModel

TABLE: Final = Path(__file__).with_name("cards.json")
GIB: Final = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card of the catalogue.

    Args:
        name: For example `A10-24GB`.
        memory_bytes: What torch reports as its total memory.
        context_bytes: What the driver's context takes.
        library_bytes: What libraries hold outside of torch's tensors.
        source: Where the capacity comes from.
        reserve_source: Where the bytes of context and libraries come from.
    """

    name: str
    memory_bytes: int
    context_bytes: int
    library_bytes: int
    source: str
    reserve_source: str = ""

    @property
    def usable_bytes(self) -> int:
        """What torch's allocator may hold."""
        return self.memory_bytes - self.context_bytes - self.library_bytes

    def model(self, *, attention_kernel: str = "auto") -> CardModel:
        """Say what a prediction has to know of it."""
        return CardModel(
            name=self.name,
            memory_bytes=self.memory_bytes,
            context_bytes=self.context_bytes,
            device_type="cuda",
            library_bytes=self.library_bytes,
            attention_kernel=attention_kernel,
        )


@cache
def cards() -> Mapping[str, Card]:
    """List the catalogue, by name, the smallest card first."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    found = [
        Card(
            name=row["name"],
            memory_bytes=int(row["capacity_gib"] * GIB),
            context_bytes=table["context_bytes"],
            library_bytes=table["library_bytes"],
            source=row["source"],
            reserve_source=table["reserve_source"],
        )
        for row in table["cards"]
    ]
    found.sort(key=lambda card: (card.memory_bytes, card.name))
    return MappingProxyType({card.name: card for card in found})


def card_named(name: str) -> Card:
    """Look a card up.

    Args:
        name: As the catalogue has it.

    Returns:
        The card.

    Raises:
        InvalidWorkload: `card_unknown`: it is not in the catalogue.
    """
    found = cards().get(name)
    if found is None:
        raise InvalidWorkload(
            f"There is no card {name!r} in the catalogue; it has {', '.join(cards())}.",
            code="card_unknown",
            facts={"cards": list(cards())},
        )
    return found
