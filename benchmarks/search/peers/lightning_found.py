"""What Lightning's finders found, as `lightning_finders.py` has written it down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.search.card import Card

RESULTS: Final = Path(__file__).resolve().parents[2] / "results" / "search-lightning.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the two finders said with one seed.

    Args:
        batch: What `scale_batch_size` returned.
        learning_rate: What `lr_find` suggested at that batch; None if it could not.
        steps: Optimizer steps of each batch size, both finders together.
        out_of_memory: How often they ran out of memory.
    """

    batch: int
    learning_rate: float | None
    steps: dict[int, int]
    out_of_memory: int

    def seconds(self, card: Card) -> float:
        """What they cost on a card."""
        return sum(
            steps * card.step_seconds(batch)
            for batch, steps in self.steps.items()
            if batch <= card.largest_micro_batch_size
        )


def recorded(workload: str, card: Card) -> list[Found]:
    """Read what was found on one workload and card, one for each seed in order.

    Returns:
        Nothing where it was not run.
    """
    if not RESULTS.exists():
        return []
    found = json.loads(RESULTS.read_text())["found"].get(workload, {}).get(card.name, [])
    return [_read(one) for one in found]


def _read(plain: Mapping[str, Any]) -> Found:
    steps = {int(size): count for size, count in plain["steps"].items()}
    return Found(**{**plain, "steps": steps})
