"""The schema: made from nothing, kept in step with the tables, copied before it changes."""

import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect
from sqlalchemy.exc import OperationalError

from service.store import migrate as migrations
from service.store.database import Database
from service.store.migrate import current_revision, migrate
from service.store.tables import Table


def open_database(tmp_path: Path) -> Database:
    """A database in a file that does not exist yet."""
    return Database(f"sqlite:///{tmp_path / 'store.sqlite3'}")


def test_the_migrations_make_the_tables(tmp_path: Path) -> None:
    """From an empty file they lead to exactly what the code describes."""
    database = open_database(tmp_path)
    head = migrate(database, lock_file=tmp_path / "lock")
    assert current_revision(database) == head
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Table.metadata) == []
    database.close()


def test_constraints_are_the_same_either_way(tmp_path: Path) -> None:
    """Checks and partial indexes, which the comparison above cannot see, agree as well."""
    migrated, created = open_database(tmp_path), Database(f"sqlite:///{tmp_path / 'other.sqlite3'}")
    migrate(migrated, lock_file=tmp_path / "lock")
    Table.metadata.create_all(created.engine)
    assert parts_of(tmp_path / "store.sqlite3") == parts_of(tmp_path / "other.sqlite3")
    migrated.close()
    created.close()


def parts_of(file: Path) -> dict[str, list[str]]:
    """What each table and index says, part by part and in no order."""
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute(
            "SELECT name, sql FROM sqlite_master "
            "WHERE sql IS NOT NULL AND name != 'alembic_version'"
        ).fetchall()
    return {name: sorted(at_the_commas(sql)) for name, sql in rows}


def at_the_commas(sql: str) -> list[str]:
    """Split the inside of the first parentheses at commas that stand in no others."""
    head, _, inside = sql.partition("(")
    parts, depth = [""], 1
    for letter in inside:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 1:
            parts.append("")
        elif depth:
            parts[-1] += letter
    return [" ".join(part.split()) for part in (head, *parts)]


def test_an_existing_file_is_copied_before_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that was committed under the old schema is kept beside the migrated file."""
    database = open_database(tmp_path)
    head = migrate(database, lock_file=tmp_path / "lock")
    with database.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO device VALUES ('kept', '{}')")
    monkeypatch.setattr(migrations, "FOLDER", with_one_more(tmp_path / "newer", head))
    assert migrate(database, lock_file=tmp_path / "lock") == "next"
    copy = tmp_path / f"store.sqlite3.before-{head}"
    with closing(sqlite3.connect(copy)) as old:
        assert old.execute("SELECT id FROM device").fetchall() == [("kept",)]
        assert old.execute("SELECT version_num FROM alembic_version").fetchall() == [(head,)]
    database.close()


def with_one_more(folder: Path, head: str) -> Path:
    """The migrations of this version and one that comes after them."""
    shutil.copytree(migrations.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "next.py").write_text(
        f"from alembic import op\nrevision, down_revision = 'next', {head!r}\n"
        "def upgrade():\n    op.execute('CREATE TABLE later (id INTEGER)')\n"
    )
    return folder


def test_a_migration_that_fails_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A schema is changed as a whole or not at all."""
    database = open_database(tmp_path)
    head = migrate(database, lock_file=tmp_path / "lock")
    newer = with_one_more(tmp_path / "newer", head)
    script = newer / "versions" / "next.py"
    script.write_text(script.read_text() + "    op.execute('no such statement')\n")
    monkeypatch.setattr(migrations, "FOLDER", newer)
    with pytest.raises(OperationalError):
        migrate(database, lock_file=tmp_path / "lock")
    assert current_revision(database) == head
    with database.engine.connect() as connection:
        assert not inspect(connection).has_table("later")
    database.close()


def test_two_processes_may_migrate_at_once(tmp_path: Path) -> None:
    """They take turns, and both find the newest schema."""
    found: list[str] = []

    def go() -> None:
        database = open_database(tmp_path)
        found.append(migrate(database, lock_file=tmp_path / "lock"))
        database.close()

    threads = [threading.Thread(target=go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 4
