"""What an operator watches, read without counting anything that grows without end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from service.store.database import Database
from service.store.tables import Callback, ControllerRow, Device, Job, Total, Trial

TRIALS: Final = "trials:"
"""What the names of the totals of trials begin with; the state follows."""

UNDER_WAY: Final = "running"
"""State of a trial that has not ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The state of a service in numbers.

    Args:
        jobs: How many there are in each state that occurs.
        callbacks: The same of callbacks.
        trials: How many have ever ended in each state, those of deleted jobs included.
        controller: When it was last seen; None if never.
        devices: As it saw them then.
    """

    jobs: Mapping[str, int]
    callbacks: Mapping[str, int]
    trials: Mapping[str, int]
    controller: ControllerRow | None
    devices: Sequence[Device]


def read_figures(database: Database) -> Figures:
    """Read all of it in one transaction, from indexes and small tables alone."""
    with database.read() as session:
        totals = session.execute(select(Total.name, Total.value)).all()
        return Figures(
            jobs=_by_state(session, Job.state),
            callbacks=_by_state(session, Callback.state),
            trials={
                name.removeprefix(TRIALS): value
                for name, value in totals
                if name.startswith(TRIALS)
            },
            controller=session.get(ControllerRow, 1),
            devices=session.scalars(select(Device).order_by(Device.id)).all(),
        )


def write_trials(
    session: Session,
    job_number: int,
    trials: Mapping[int, Mapping[str, Any]],
    *,
    revision: int,
) -> None:
    """Write trials that have changed, and count those that have ended with this.

    Args:
        session: The transaction of the turn.
        job_number: Whose trials.
        trials: As they are now, by position.
        revision: That of the job from now on.
    """
    ended: Counter[str] = Counter()
    for position, view in trials.items():
        row = session.get(Trial, (job_number, position))
        before = row.view.get("state") if row is not None else None
        state = view.get("state")
        if state not in {None, before, UNDER_WAY}:
            ended[f"{TRIALS}{state}"] += 1
        if row is None:
            row = Trial(job_number=job_number, position=position)
            session.add(row)
        row.view, row.revision = dict(view), revision
    _add(session, ended)


def _by_state(session: Session, column: Any) -> dict[str, int]:
    rows = session.execute(select(column, func.count()).group_by(column))
    return {state: count for state, count in rows}  # noqa: C416 - rows are no pairs to mypy


def _add(session: Session, counts: Mapping[str, int]) -> None:
    for name, count in counts.items():
        known = session.scalar(
            update(Total)
            .where(Total.name == name)
            .values(value=Total.value + count)
            .returning(Total.value)
            .execution_options(synchronize_session=False)
        )
        if known is None:
            session.add(Total(name=name, value=count))
