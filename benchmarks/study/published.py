"""The published experiment, row by row: what was seen, and what it corresponds to in a study.

A VGG-like network on 23,262 photographs of cats and dogs by plain SGD; batches 32 and 256, at a
fixed rate of 0.01 and at the one that the linear rule gives to 256. `direction` is that of the
batch of 256 against the batch of 32, or of what is named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tuner.deciding.study import quantities
from tuner.deciding.study.quantities import Quantity

Compared = Literal["fixed", "scaled", "scaled_to_fixed"]
"""Which arms: the largest batch over the smallest at one rate; the scaled batch over the smallest;
or the scaled batch over the same batch at the fixed rate."""

Direction = Literal["rises", "falls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One published figure.

    Args:
        what: The quantity, for people.
        compared: Which arms.
        small: As published, of the batch of 32 (of the fixed rate in `scaled_to_fixed`).
        large: As published, of the batch of 256.
        direction: What the published figure does.
        quantity: The same of a run here.
    """

    what: str
    compared: Compared
    small: str
    large: str
    direction: Direction
    quantity: Quantity


ROWS: Final = (
    Row(
        what="minimum validation loss",
        compared="fixed",
        small="0.344",
        large="0.395",
        direction="rises",
        quantity=quantities.validation_loss,
    ),
    Row(
        what="epochs to it",
        compared="fixed",
        small="158",
        large="958",
        direction="rises",
        quantity=quantities.epochs,
    ),
    Row(
        what="seconds per epoch",
        compared="fixed",
        small="12.4",
        large="7.7",
        direction="falls",
        quantity=quantities.epoch_seconds,
    ),
    Row(
        what="seconds to the minimum",
        compared="fixed",
        small="1,915",
        large="about four times that",
        direction="rises",
        quantity=quantities.seconds,
    ),
    Row(
        what="distance moved per epoch",
        compared="fixed",
        small="0.15 to 0.4",
        large="0.02 to 0.04",
        direction="falls",
        quantity=quantities.distance_per_epoch,
    ),
    Row(
        what="distance from the initial weights",
        compared="fixed",
        small="no figure",
        large="closer",
        direction="falls",
        quantity=quantities.distance,
    ),
    Row(
        what="median norm of one update",
        compared="fixed",
        small="3.3e-3",
        large="1.5e-3",
        direction="falls",
        quantity=quantities.update_norm,
    ),
    Row(
        what="Keskar sharpness",
        compared="fixed",
        small="1.14",
        large="larger",
        direction="rises",
        quantity=quantities.keskar,
    ),
    Row(
        what="minimum validation loss",
        compared="scaled",
        small="0.345",
        large="0.352",
        direction="rises",
        quantity=quantities.validation_loss,
    ),
    Row(
        what="seconds to the minimum",
        compared="scaled",
        small="3,156",
        large="2,197",
        direction="falls",
        quantity=quantities.seconds,
    ),
    Row(
        what="Keskar sharpness",
        compared="scaled",
        small="1.14",
        large="4 to 7",
        direction="rises",
        quantity=quantities.keskar,
    ),
    Row(
        what="minimum validation loss",
        compared="scaled_to_fixed",
        small="0.395",
        large="0.352",
        direction="falls",
        quantity=quantities.validation_loss,
    ),
    Row(
        what="Keskar sharpness",
        compared="scaled_to_fixed",
        small="no figure",
        large="flatter",
        direction="falls",
        quantity=quantities.keskar,
    ),
)
"""What one device can repeat; the rows on four GPUs cannot."""
