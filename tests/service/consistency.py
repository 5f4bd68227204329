"""What must hold of a stored job at any moment, whatever has died before."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select

from service.kept import kept, plain
from service.machine import MakeMachine
from service.make_machine import make_machine
from service.reconcile import read_spec, replay
from service.store import tables
from service.store.database import Database
from service.store.ledger import Ledger
from service.store.tables import Attempt, Job, Record, ResultRow


def assert_consistent(
    database: Database, job_id: str, make_machine: MakeMachine = make_machine
) -> None:
    """The recorded sequence leads to what is shown, and nothing was measured twice."""
    with database.read() as session:
        row = session.scalars(select(Job).where(Job.id == job_id)).one()
        trials = session.scalars(
            select(tables.Trial)
            .where(tables.Trial.job_number == row.number)
            .order_by(tables.Trial.position)
        ).all()
        finished = select(func.count()).where(
            Attempt.job_number == row.number, Attempt.state == "finished"
        )
        results = select(func.count()).where(ResultRow.job_number == row.number)
        found = session.get(tables.FindingsRow, row.number)
        findings = None if found is None else found.payload
        assert session.scalar(finished) == session.scalar(results)
        sequences = session.scalars(
            select(Record.sequence).where(Record.job_number == row.number).order_by(Record.sequence)
        ).all()
    assert list(sequences) == list(range(1, row.last_sequence + 1))
    history = Ledger(database).history(row.number)
    machine = replay(read_spec(row), row.spec_digest, history.events, make_machine)
    assert [trial.view for trial in trials] == [as_plain(view) for view in machine.trials()]
    if row.state != "queued":
        assert row.progress == as_plain(machine.progress)
    if row.state == "succeeded":
        assert machine.answer is not None
        written = kept(machine.answer)
        assert (row.answer, findings) == (written.answer, written.findings)
    if row.state in tables.TERMINAL:
        assert not history.alive


def as_plain(record: Any) -> Any:
    """A record as it is stored."""
    return plain({name: getattr(record, name) for name in record.__dataclass_fields__})
