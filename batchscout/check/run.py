"""One whole check: the lock, each config, what was fixed, and the exit code.

Of several codes the worst counts, in this order: 2 (something has to change before anything
can be said), 1 (a negative verdict), 3 (something cannot be told), 75 (an answer is still to
come), 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from batchscout.check.configuration import Configuration, Place, Role, UnreadableConfig
from batchscout.check.fixing import UnsafeFix, fix, replace_file
from batchscout.check.holding import Held, Wanted, hold
from batchscout.check.judging import Tolerances, judge
from batchscout.check.judging.arithmetic import judge_arithmetic
from batchscout.check.lock import Lock
from batchscout.check.reading import read_configuration
from batchscout.check.target import Impossible, target
from batchscout.check.verdict import Level, Verdict
from batchscout.exits import Exit

WORST_FIRST: Final = (Exit.USAGE, Exit.NEGATIVE, Exit.UNTOLD, Exit.LATER)
FILE_CODES: Final = frozenset({"config", "lock"})
"""Questions about a file itself: where the answer is no, the file has to change (2)."""

JUDGED_CODES: Final = frozenset({"out_of_memory", "batch_arithmetic", "learning_rate", "slow_down"})
"""Questions that `--fix` can answer otherwise."""

TOGETHER: Final = "all of it, since its numbers belong together: do this by hand, then --fix again"
"""Why a file stays as it was although some of it could be written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to check.

    Args:
        configs: The files.
        wanted: What to hold them against.
        tolerances: How far they may be from it.
        mapping: Keys that `--map` named.
        data_parallel_size: Devices, if that was told.
        fixes: Whether to write the answer into the files.
        allows_untold: Whether what cannot be told passes.
    """

    configs: tuple[Path, ...]
    wanted: Wanted
    tolerances: Tolerances
    mapping: Mapping[Role, str]
    data_parallel_size: int | None = None
    fixes: bool = False
    allows_untold: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A value that was written.

    Args:
        role: Which.
        key: Where, for people.
        before: What stood there.
        after: What stands there now.
    """

    role: Role
    key: str
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found about one config.

    Args:
        file: Its name.
        framework: Whose words it uses; None if it cannot be read.
        verdicts: Of the file as it is now.
        changes: What was written.
        refused: What could not be written, and what to do by hand.
    """

    file: str
    framework: str | None
    verdicts: tuple[Verdict, ...]
    changes: tuple[Change, ...] = ()
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a check found.

    Args:
        task: What was asked.
        held: What it was held against.
        reports: One for each config; none where there is nothing to judge by.
        exit_code: For scripts.
        wrote_lock: Whether a fresh lock was written.
    """

    task: Task
    held: Held
    reports: tuple[Report, ...]
    exit_code: Exit
    wrote_lock: bool = False


def check(task: Task) -> Outcome:
    """Check configs against a lock, and fix them where that was asked for.

    Args:
        task: What to check.

    Returns:
        What was found.

    Raises:
        OSError: A file cannot be written.
    """
    held = hold(task.wanted)
    if held.lock is None:
        return Outcome(task=task, held=held, reports=(), exit_code=held.exit_code)
    lock = held.lock
    reports = tuple(_report(file, lock, task) for file in task.configs)
    wrote_lock = task.fixes and held.is_fresh
    if wrote_lock:
        replace_file(task.wanted.lock_file, lock.text())
    found = [held.verdicts, *(report.verdicts for report in reports)]
    code = worst(
        exit_of(verdict, allows_untold=task.allows_untold)
        for verdicts in found
        for verdict in verdicts
    )
    return Outcome(task=task, held=held, reports=reports, exit_code=code, wrote_lock=wrote_lock)


def exit_of(verdict: Verdict, *, allows_untold: bool) -> Exit:
    """Say what a verdict means for a script.

    Args:
        verdict: The verdict.
        allows_untold: Whether what cannot be told passes.
    """
    if verdict.level is Level.ERROR:
        return Exit.USAGE if verdict.code in FILE_CODES else Exit.NEGATIVE
    is_open = verdict.level is Level.UNTOLD and not allows_untold
    return Exit.UNTOLD if is_open else Exit.OK


def worst(codes: Iterable[Exit]) -> Exit:
    """Choose the worst of several exit codes."""
    found = set(codes)
    return next((code for code in WORST_FIRST if code in found), Exit.OK)


def _report(file: Path, lock: Lock, task: Task) -> Report:
    try:
        before = read_configuration(file, mapping=task.mapping)
        report = _judged(before, lock, task)
        return _fixed(file, before, report, lock, task) if task.fixes else report
    except UnreadableConfig as error:
        return Report(file=str(file), framework=None, verdicts=(_unreadable(error),))


def _judged(configuration: Configuration, lock: Lock, task: Task) -> Report:
    verdicts = judge(
        configuration,
        lock.measured,
        task.tolerances,
        data_parallel_size=task.data_parallel_size,
    )
    return Report(file=configuration.file, framework=configuration.framework, verdicts=verdicts)


def _fixed(file: Path, before: Configuration, report: Report, lock: Lock, task: Task) -> Report:
    """Write the answer into a file that is not all right, and judge it again."""
    good = all(v.level is Level.OK for v in report.verdicts if v.code in JUDGED_CODES)
    if good:
        return report
    batches, _ = judge_arithmetic(before, task.data_parallel_size)
    try:
        wanted = target(before, batches, lock.measured)
        fixed = fix(before, wanted)
    except (Impossible, UnsafeFix) as error:
        return replace(report, refused=(f"Nothing was written: {error}.",))
    if fixed.refused:
        # The rate was measured at this batch: half of an answer is a config nobody has measured.
        return replace(report, refused=(TOGETHER, *fixed.refused.values()))
    if not fixed.changed:
        return report
    replace_file(file, fixed.text)
    after = read_configuration(file, mapping=task.mapping)
    changes = tuple(
        Change(
            role=role,
            key=_key(before, role),
            before=before.settings[role].value,
            after=wanted[role],
        )
        for role in fixed.changed
    )
    return replace(_judged(after, lock, task), changes=changes)


def _key(configuration: Configuration, role: Role) -> str:
    place = configuration.settings[role].place
    return role.value if place is None else place.key


def _unreadable(error: UnreadableConfig) -> Verdict:
    place = None
    if error.line is not None:
        place = Place(key="", line=error.line, column=1, start=0, end=0)
    return Verdict(
        code="config",
        level=Level.UNTOLD if error.untold else Level.ERROR,
        detail=str(error),
        numbers={},
        place=place,
    )
