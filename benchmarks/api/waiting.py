"""Many who wait, beside a job that trains: does anyone fail, and what does the job lose?

One job trains all the while. In turns there are 200 long polls and 200 readers of events, or
nobody. Training runs that lie wholly in one turn are compared by their seconds per step, those
of the same micro-batch and accumulation with each other: what the job does next depends on what
it has measured, so whole jobs would differ for other reasons. Beside that stands the share of
the processor that the API took in turns of either kind, which a busy machine disturbs less.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from sqlalchemy import select

from benchmarks.api.wire import Request, Wire
from service.settings import Settings
from service.store.database import Database
from service.store.ledger import Ledger
from service.store.tables import Attempt, Job
from service.supervise import Embedded
from tuner.records import Result, Started, TrainingResult, TrainingRun

POLLS = 200
READERS = 200
TURN_SECONDS = 20.0
SETTLE_SECONDS = 1.5
START_SECONDS = 180.0
BUSY_STAGES = frozenset({"search", "confirm"})
"""Those in which one lone training run follows the other."""

SPEC: Mapping[str, Any] = {
    "model": {"kind": "builtin", "name": "cnn", "options": {"channels": [8, 16]}},
    "dataset": {"kind": "sklearn", "name": "digits", "validation_fraction": 0.2},
    "training": {"task": "classification", "optimizer": {"kind": "sgd", "momentum": 0.9}},
    "objective": {"kind": "loss_at_budget", "budget_samples": 2_000},
    "search_space": {"global_batch_size": {"low": 8, "high": 16}},
    "search": {"sampler": "tpe", "reuse": "never"},
    "budget": {"max_trials": 500, "timeout_seconds": 3600},
    "seed": 1,
}
"""A job of many short runs at few batch sizes, that goes on for longer than it is watched."""


@dataclass(slots=True, kw_only=True)
class Crowd:
    """What became of those who waited.

    Args:
        polls: Long polls that were answered, with a change or without one.
        events: Lines of event data that arrived at readers, all together.
        streams: Readers that were connected.
        failed: What went wrong, in words.
    """

    polls: int = 0
    events: int = 0
    streams: int = 0
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A stretch of time in which somebody waited, or nobody."""

    crowded: bool
    began: datetime
    ended: datetime
    api_processor_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A training run: when it ran, how its steps were cut, and what one took."""

    began: datetime
    ended: datetime
    plan: tuple[int, int]
    step_seconds: float


def measure(folder: Path, rounds: int) -> dict[str, Any]:
    """Watch one job for so many rounds of two turns.

    Args:
        folder: Data folder of the service; made here.
        rounds: How often it is watched by many and by nobody.

    Returns:
        The figures, with every round.
    """
    folder.mkdir(parents=True)
    settings = Settings(data_dir=folder, port=0)
    with Embedded(settings, log_file=folder / "log") as service:
        address = urlsplit(service.url)
        wire = Wire(address.hostname or "", address.port or 0)
        api = psutil.Process(service.pids["api"])
        turns, crowd, job_id = asyncio.run(_watch(wire, api, rounds))
    runs = list(trained(settings, job_id))
    return summary(turns, runs, crowd)


async def _watch(wire: Wire, api: psutil.Process, rounds: int) -> tuple[list[Turn], Crowd, str]:
    created = await wire.send(Request(method="POST", path="/v1/tuning-jobs", body=SPEC))
    path = created.headers["location"]
    await asyncio.wait_for(_until_busy(wire, path), START_SECONDS)
    crowd = Crowd()
    # Quiet, crowded, crowded, quiet: a drift of the machine falls on both alike.
    turns = [
        await _turn(wire, path, api, crowd, crowded=index % 4 in {1, 2})
        for index in range(2 * rounds)
    ]
    job = (await wire.send(Request(path=path))).json()
    if job["state"] != "running":
        crowd.failed.append(f"the job was {job['state']} before the last turn ended")
    await wire.send(Request(method="POST", path=f"{path}/cancel"))
    await wire.send(Request(path=f"{path}?wait=30"))
    await wire.close()
    return turns, crowd, job["id"]


async def _until_busy(wire: Wire, path: str) -> None:
    etag = ""
    while True:
        headers = {"If-None-Match": etag} if etag else {}
        reply = await wire.send(Request(path=f"{path}?wait={30 if etag else 0}", headers=headers))
        if reply.status == 200 and reply.json()["stage"] in BUSY_STAGES:
            return
        etag = reply.headers["etag"]


async def _turn(wire: Wire, path: str, api: psutil.Process, crowd: Crowd, *, crowded: bool) -> Turn:
    ending = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []
    if crowded:
        tasks += [asyncio.create_task(_poll(wire, path, crowd, ending)) for _ in range(POLLS)]
        tasks += [asyncio.create_task(_read(wire, path, crowd)) for _ in range(READERS)]
        # What it takes to arrive is not what it takes to wait.
        async with asyncio.timeout(START_SECONDS):
            await _all_arrived(crowd, crowd.polls + POLLS, crowd.streams + READERS)
    await asyncio.sleep(SETTLE_SECONDS)
    began, before = datetime.now(UTC), _processor_seconds(api)
    await asyncio.sleep(TURN_SECONDS)
    ended, after = datetime.now(UTC), _processor_seconds(api)
    ending.set()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return Turn(crowded=crowded, began=began, ended=ended, api_processor_seconds=after - before)


async def _all_arrived(crowd: Crowd, polls: int, streams: int) -> None:
    # It is the counters that tell, and no event is set by all of them.
    while (crowd.polls < polls or crowd.streams < streams) and not crowd.failed:  # noqa: ASYNC110 - see above
        await asyncio.sleep(0.1)


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _poll(wire: Wire, path: str, crowd: Crowd, ending: asyncio.Event) -> None:
    etag = ""
    while not ending.is_set():
        request = Request(path=f"{path}?wait=30", headers={"If-None-Match": etag} if etag else {})
        if not etag:
            request = Request(path=path)
        try:
            reply = await wire.send(request)
        except (OSError, asyncio.IncompleteReadError) as error:
            crowd.failed.append(f"long poll: {type(error).__name__}")
            return
        if reply.status not in {200, 304}:
            crowd.failed.append(f"long poll: {reply.status}")
            return
        crowd.polls += 1
        etag = reply.headers["etag"]


async def _read(wire: Wire, path: str, crowd: Crowd) -> None:
    headers = {"Accept": "text/event-stream"}
    try:
        async with wire.stream(Request(path=f"{path}/events", headers=headers)) as (status, body):
            if status != 200:
                crowd.failed.append(f"events: {status}")
                return
            crowd.streams += 1
            async for line in body:
                crowd.events += line.startswith(b"data:")
            crowd.failed.append("events: the stream ended while the job ran")
    except (OSError, asyncio.IncompleteReadError) as error:
        crowd.failed.append(f"events: {type(error).__name__}")


def trained(settings: Settings, job_id: str) -> Iterator[Trained]:
    """Read every training run of a job from its records.

    Args:
        settings: Where the store is.
        job_id: The job.

    Yields:
        Its runs that ended with steps.
    """
    database = Database(settings.resolved_database_url)
    with contextlib.closing(database):
        with database.read() as session:
            number = session.scalars(select(Job.number).where(Job.id == job_id)).one()
            attempts = session.scalars(select(Attempt).where(Attempt.job_number == number)).all()
        events = Ledger(database).history(number).events
    ends = {one.request_id: one for one in attempts if one.state == "finished"}
    requests = {e.request.id: e.request for e in events if isinstance(e, Started)}
    for event in events:
        if not isinstance(event, Result) or not isinstance(event.result, TrainingResult):
            continue
        request, attempt = requests.get(event.request_id), ends.get(event.request_id)
        if not isinstance(request, TrainingRun) or attempt is None or attempt.ended_at is None:
            continue
        if event.result.train_steps:
            plan = request.plan
            yield Trained(
                began=attempt.started_at,
                ended=attempt.ended_at,
                plan=(plan.micro_batch_size, plan.gradient_accumulation_steps),
                step_seconds=event.result.train_seconds / event.result.train_steps,
            )


def summary(turns: Sequence[Turn], runs: Sequence[Trained], crowd: Crowd) -> dict[str, Any]:
    """Compare the turns.

    Args:
        turns: In their order; two make a round.
        runs: The training runs of the job.
        crowd: What became of those who waited.

    Returns:
        The figures, with every round.
    """
    rounds = [
        ratio
        for index in range(0, len(turns), 2)
        if (ratio := _ratio(turns[index : index + 2], runs)) is not None
    ]
    whole = _ratio(turns, runs)
    return {
        "long_polls_at_once": POLLS,
        "event_readers_at_once": READERS,
        "long_polls_answered": crowd.polls,
        "event_streams": crowd.streams,
        "events_delivered": crowd.events,
        "failed": len(crowd.failed),
        "failures": sorted(set(crowd.failed)),
        "training_runs_compared": sum(_turn_of(run, turns) is not None for run in runs),
        "step_seconds_crowded_to_quiet": whole,
        "step_seconds_ratio_by_round": rounds,
        "step_seconds_ratio_median": statistics.median(rounds) if rounds else None,
        "job_speed_lost": 1.0 - 1.0 / whole if whole else None,
        "api_processor_share_crowded": _share(turns, crowded=True),
        "api_processor_share_quiet": _share(turns, crowded=False),
    }


def _share(turns: Sequence[Turn], *, crowded: bool) -> float:
    """Share of all cores that the API process took in the turns of one kind."""
    some = [turn for turn in turns if turn.crowded is crowded]
    seconds = sum((turn.ended - turn.began).total_seconds() for turn in some)
    return sum(turn.api_processor_seconds for turn in some) / seconds / (os.cpu_count() or 1)


def _turn_of(run: Trained, turns: Sequence[Turn]) -> Turn | None:
    """The turn in which a run lies wholly."""
    inside = [turn for turn in turns if turn.began <= run.began and run.ended <= turn.ended]
    return inside[0] if inside else None


def _ratio(turns: Sequence[Turn], runs: Sequence[Trained]) -> float | None:
    """Seconds per step with a crowd over those without: geometric mean over the plans of both."""
    found: dict[tuple[int, int], dict[bool, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        turn = _turn_of(run, turns)
        if turn is not None:
            found[run.plan][turn.crowded].append(run.step_seconds)
    logs: list[tuple[float, int]] = []
    for sides in found.values():
        if sides[True] and sides[False]:
            both = statistics.median(sides[True]) / statistics.median(sides[False])
            logs.append((math.log(both), min(len(sides[True]), len(sides[False]))))
    if not logs:
        return None
    return math.exp(sum(log * weight for log, weight in logs) / sum(w for _, w in logs))
