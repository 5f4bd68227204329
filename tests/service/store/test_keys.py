"""Keys as they are stored."""

import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import update

from service.keys import digest_of
from service.store.database import Database, now
from service.store.keys import NOTED_EVERY, Keys
from service.store.tables import Key


@pytest.fixture
def keys(database: Database) -> Keys:
    """The keys of a fresh deployment."""
    return Keys(database)


def used_at(keys: Keys, key_id: str) -> object:
    """When it was last noted that a key was used."""
    row = keys.get(key_id)
    assert row is not None
    return row.used_at


def test_a_key_is_recognised_until_it_is_revoked(keys: Keys) -> None:
    """Revoking again changes nothing, not even the moment; other keys go on."""
    (row, key), (other, other_key) = keys.create("one"), keys.create("other")
    assert keys.find(digest_of(key)) == row.id
    first, second = keys.revoke(row.id), keys.revoke(row.id)
    assert first is not None
    assert second is not None
    assert first.revoked_at == second.revoked_at
    assert keys.find(digest_of(key)) is None
    assert (keys.is_valid(row.id), keys.is_valid(other.id)) == (False, True)
    assert keys.find(digest_of(other_key)) == other.id
    assert keys.find(digest_of("bs_unknown")) is None
    assert keys.revoke("ak_none") is None


def test_revoked_keys_stay_in_the_list(keys: Keys) -> None:
    """Lists are in the order in which the keys were made; only valid ones let anybody in."""
    assert not keys.exist()
    made = [keys.create(name)[0].id for name in "abc"]
    keys.revoke(made[1])
    assert [row.id for row in keys.all()] == made
    assert keys.exist()
    for key_id in made:
        keys.revoke(key_id)
    assert not keys.exist()


def test_the_database_does_not_hold_the_key(keys: Keys, database: Database) -> None:
    """Whoever reads the file finds digests, not keys."""
    _, key = keys.create("one")
    assert database.file is not None
    with closing(sqlite3.connect(database.file)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert key.encode() not in database.file.read_bytes()
    assert digest_of(key).encode() in database.file.read_bytes()


def test_use_is_noted_now_and_then(keys: Keys, database: Database) -> None:
    """The first use is noted, the next only when the last note is old."""
    row, key = keys.create("one")
    keys.find(digest_of(key))
    noted = used_at(keys, row.id)
    assert noted is not None
    keys.find(digest_of(key))
    assert used_at(keys, row.id) == noted
    long_ago = now() - NOTED_EVERY - timedelta(seconds=1)
    with database.write() as session:
        session.execute(update(Key).values(used_at=long_ago))
    keys.find(digest_of(key))
    assert used_at(keys, row.id) not in {noted, long_ago}


@pytest.mark.timeout(25)  # one that waits for the writer waits for 30 s
def test_a_key_is_recognised_while_someone_else_writes(keys: Keys, database: Database) -> None:
    """Noting its use is left for later; afterwards writers are as patient as before."""
    row, key = keys.create("one")
    assert database.file is not None
    with closing(sqlite3.connect(database.file, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert keys.find(digest_of(key)) == row.id
        assert used_at(keys, row.id) is None
        writer.execute("ROLLBACK")
    keys.find(digest_of(key))
    assert used_at(keys, row.id) is not None
    with database.read() as session:
        patience = session.connection().exec_driver_sql("PRAGMA busy_timeout").scalar()
    assert int(str(patience)) == 30_000
