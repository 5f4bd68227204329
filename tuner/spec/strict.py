"""What every part of a request has in common."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict

MAX_SEED: Final = 2**31 - 1
"""Seeds fit a signed 32-bit integer, so that every library takes them."""

MAX_RATES: Final = 1000
"""Learning rates that can be told apart by count, at most."""

MAX_BATCH_SIZE: Final = 2**20
"""Largest global batch that can be asked for, in samples."""

MAX_BYTES: Final = 2**53
"""Most memory that can be named; every reader of JSON holds integers up to here exactly."""

ENTRYPOINT: Final = r"^[A-Za-z_][\w]*(\.[A-Za-z_][\w]*)*:[A-Za-z_][\w]*$"


class Strict(BaseModel):
    """A part of a request: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
