"""Keys as they are stored: made, listed, revoked, and recognised when someone asks."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import or_, select, update
from sqlalchemy.exc import OperationalError

from service.keys import digest_of, make_key, shown_part
from service.store.database import Database, now
from service.store.tables import Key

NOTED_EVERY: Final = timedelta(minutes=1)
"""How closely it is noted when a key was last used: not every request shall write."""


class Keys:
    """The keys of one deployment.

    Args:
        database: Where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, name: str) -> tuple[Key, str]:
        """Make a key; it is committed when this returns.

        Args:
            name: Whose it is or what for; 120 characters at most.

        Returns:
            What is stored, and the key itself, which cannot be read again.
        """
        key = make_key()
        row = Key(
            id=f"ak_{secrets.token_hex(6)}",
            name=name,
            digest=digest_of(key),
            prefix=shown_part(key),
            created_at=now(),
            used_at=None,
            revoked_at=None,
        )
        with self._database.write() as session:
            session.add(row)
        return row, key

    def all(self) -> Sequence[Key]:
        """Read all keys, revoked ones too, in the order in which they were made."""
        with self._database.read() as session:
            return session.scalars(select(Key).order_by(Key.created_at, Key.id)).all()

    def get(self, key_id: str) -> Key | None:
        """Read one key; None if there is none of that id."""
        with self._database.read() as session:
            return session.get(Key, key_id)

    def revoke(self, key_id: str) -> Key | None:
        """Take a key's power away, at once and for good. Doing so again changes nothing.

        Args:
            key_id: Which key.

        Returns:
            The key; None if there is none of that id.
        """
        with self._database.write() as session:
            row = session.get(Key, key_id)
            if row is not None and row.revoked_at is None:
                row.revoked_at = now()
        return row

    def find(self, digest: str) -> str | None:
        """Recognise a key, and note now and then that it is used.

        Args:
            digest: Of the key that was sent.

        Returns:
            The key's id; None if there is no such key, or none any more.
        """
        query = select(Key.id, Key.used_at).where(Key.digest == digest, Key.revoked_at.is_(None))
        with self._database.read() as session:
            row = session.execute(query).one_or_none()
        if row is None:
            return None
        if row.used_at is None or now() - row.used_at >= NOTED_EVERY:
            self._note_use(row.id)
        key_id: str = row.id
        return key_id

    def is_valid(self, key_id: str) -> bool:
        """Whether a key that was recognised before still is one."""
        query = select(Key.id).where(Key.id == key_id, Key.revoked_at.is_(None))
        with self._database.read() as session:
            return session.scalar(query) is not None

    def exist(self) -> bool:
        """Whether there is any key that has not been revoked."""
        with self._database.read() as session:
            query = select(Key.id).where(Key.revoked_at.is_(None)).limit(1)
            return session.scalar(query) is not None

    def _note_use(self, key_id: str) -> None:
        moment = now()
        stale = or_(Key.used_at.is_(None), Key.used_at <= moment - NOTED_EVERY)
        try:
            with self._database.write(patient=False) as session:
                query = update(Key).where(Key.id == key_id, stale).values(used_at=moment)
                session.execute(query.execution_options(synchronize_session=False))
        except OperationalError:
            # Someone else writes, or the disk is full: the next request notes it. Reading must
            # not wait, let alone fail, for this.
            return
