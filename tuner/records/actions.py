"""Actions: what a tuning wants done."""

from __future__ import annotations

from dataclasses import dataclass

from tuner.records.unions import (
    Request,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Have this measured."""

    request: Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Tighten:
    """Let a running training run end earlier. Best effort: the result says what held."""

    request_id: str
    max_steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """Give this running request up."""

    request_id: str


Action = Start | Tighten | Withdraw
