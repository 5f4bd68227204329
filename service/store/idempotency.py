"""What is remembered of an `Idempotency-Key`: which request it came with, and which job it is."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from service.store.database import now
from service.store.tables import Idempotency

KEPT: Final = timedelta(days=7)
"""How long a key is remembered: longer than anybody repeats a request."""

PRUNED_AT_ONCE: Final = 100
"""How many keys one request forgets at most: more than it adds, and soon done."""


def forget_old_keys(session: Session) -> None:
    """Forget keys that are too old, the oldest first, within a transaction of the caller."""
    old = (
        select(Idempotency.owner, Idempotency.key)
        .where(Idempotency.created_at < now() - KEPT)
        .order_by(Idempotency.created_at)
        .limit(PRUNED_AT_ONCE)
    )
    for owner, key in session.execute(old).all():
        session.execute(
            delete(Idempotency).where(Idempotency.owner == owner, Idempotency.key == key)
        )
