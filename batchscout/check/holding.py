"""Which lock a check holds configurations against, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from batchscout.check.digest import digest
from batchscout.check.fresh import Asking, NoAnswer, ask
from batchscout.check.judging import staleness
from batchscout.check.lock import LOCK_NAME, BadLock, Lock, read_lock
from batchscout.check.strict_json import read_json
from batchscout.check.verdict import Level, Verdict
from batchscout.exits import Exit

CODE: Final = "lock"


class OnUnavailable(StrEnum):
    """What a check does where the lock is stale and nobody answers."""

    FAIL = "fail"
    """Ends with code 75."""
    WARN = "warn"
    """Judges by the stale lock, with a warning."""
    CACHE = "cache"
    """Judges by the stale lock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a check shall hold configurations against.

    Args:
        lock_file: The lock.
        spec_file: The spec, if not the one that the lock names.
        card: The card that the training will run on, if it was told.
        asking: How a service is asked; None where none may be, or none is known.
        on_unavailable: What is done where it does not answer.
    """

    lock_file: Path
    spec_file: Path | None = None
    card: str | None = None
    asking: Asking | None = None
    on_unavailable: OnUnavailable = OnUnavailable.CACHE


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What was found.

    Args:
        lock: What to judge by; None if there is nothing.
        verdicts: On the lock and its spec.
        exit_code: What the lock alone means for a script where there is nothing to judge by;
            OK otherwise.
        is_fresh: Whether the lock was asked for just now and is not in the file yet.
    """

    lock: Lock | None
    verdicts: tuple[Verdict, ...]
    exit_code: Exit = Exit.OK
    is_fresh: bool = False


def hold(wanted: Wanted) -> Held:
    """Find the lock to judge by: the committed one, or a fresh one where that is stale.

    Args:
        wanted: What was asked for.

    Returns:
        The lock, or why there is none.
    """
    try:
        lock = read_lock(wanted.lock_file)
    except BadLock as error:
        if error.missing and wanted.asking is not None and wanted.spec_file is not None:
            return _asked(wanted, wanted.spec_file, None)
        return _bad(error)
    held = _compared(wanted, lock)
    if held.lock is None:
        return held
    found = _fits_card(held.lock, wanted.card)
    if found is not None:
        return Held(lock=None, verdicts=(*held.verdicts, found), exit_code=Exit.UNTOLD)
    return Held(
        lock=held.lock, verdicts=(*held.verdicts, *_cautions(held.lock)), is_fresh=held.is_fresh
    )


def lock_command(wanted: Wanted, spec: Path | str) -> str:
    """Write the command that makes a lock anew."""
    named = str(wanted.lock_file) == LOCK_NAME
    return f"batchscout lock {spec}" + ("" if named else f" --out {wanted.lock_file}")


def _compared(wanted: Wanted, lock: Lock) -> Held:
    """Hold a lock against its spec; ask where they differ and a service may be asked."""
    spec_file = wanted.spec_file
    if spec_file is None and lock.spec is not None:
        spec_file = wanted.lock_file.parent / lock.spec
    try:
        spec = None if spec_file is None else _read_spec(spec_file)
    except ValueError as error:
        return _unusable_spec(f"{spec_file} is no spec: {error}")
    now = None if spec is None else digest(spec)
    if spec_file is not None and now not in {None, lock.spec_digest} and wanted.asking is not None:
        return _asked(wanted, spec_file, lock)
    found = staleness.judge_staleness(
        spec_file=str(spec_file or "that the lock names"),
        locked_digest=lock.spec_digest,
        spec_digest=now,
        way_out=f"run {lock_command(wanted, spec_file or 'SPEC.json')}",
    )
    return Held(lock=lock, verdicts=(found,))


def _asked(wanted: Wanted, spec_file: Path, lock: Lock | None) -> Held:
    """Ask for a fresh answer; `lock` is the stale one, if there is one."""
    assert wanted.asking is not None  # noqa: S101 - the caller looked
    try:
        spec = _read_spec(spec_file)
    except ValueError as error:
        return _unusable_spec(f"{spec_file} is no spec: {error}")
    if spec is None:
        return _unusable_spec(f"There is no spec {spec_file}.")
    try:
        fresh = ask(spec, wanted.asking, spec_file=spec_file, lock_file=wanted.lock_file)
    except NoAnswer as error:
        return _unanswered(wanted, error, lock, now=digest(spec))
    state = "made" if lock is None else "stale"
    detail = (
        f"The lock is {state}: what follows is by the service's answer of now, job "
        f"{fresh.job_id}. Commit it with: {lock_command(wanted, spec_file)}, or --fix."
    )
    if lock is None:
        detail = detail.replace("The lock is made", "There is no lock yet")
    found = _stale(Level.WARNING, detail, lock, fresh.spec_digest)
    return Held(lock=fresh, verdicts=(found,), is_fresh=True)


def _unanswered(wanted: Wanted, error: NoAnswer, lock: Lock | None, *, now: str) -> Held:
    if not error.is_away or lock is None or wanted.on_unavailable is OnUnavailable.FAIL:
        code = Exit.LATER if error.is_away else error.exit_code
        negative = {Exit.USAGE, Exit.NEGATIVE}
        level = Level.ERROR if code in negative else Level.UNTOLD
        return Held(lock=None, verdicts=(_stale(level, str(error), lock, now),), exit_code=code)
    warns = wanted.on_unavailable is OnUnavailable.WARN
    detail = (
        f"The spec has changed; what follows is by the old lock, for want of a service. {error}"
    )
    found = _stale(Level.WARNING if warns else Level.OK, detail, lock, now)
    return Held(lock=lock, verdicts=(found,))


def _stale(level: Level, detail: str, lock: Lock | None, now: str) -> Verdict:
    return Verdict(
        code=staleness.CODE,
        level=level,
        detail=detail,
        numbers={"locked_spec_digest": lock.spec_digest if lock else None, "spec_digest": now},
    )


def _fits_card(lock: Lock, card: str | None) -> Verdict | None:
    name = lock.measured.device_name
    if card is None or card.strip().casefold() == name.strip().casefold():
        return None
    return _verdict(
        Level.UNTOLD,
        f"The answer was measured on {name}, the training is for {card}: nothing can be told. "
        f"Lock an answer of that card, or say --card '{name}' if it is the same.",
    )


def _cautions(lock: Lock) -> list[Verdict]:
    """What is weak about an answer, in words; it changes no exit code."""
    words = []
    if lock.measured.evidence == "proxy":
        words.append(
            "The answer rests on a shortened training (evidence: proxy), so its batch size and "
            "learning rate may not be the best of a whole one."
        )
    elif lock.measured.evidence != "full":
        words.append(
            f"The answer is about memory and throughput alone (evidence: {lock.measured.evidence})."
        )
    if lock.measured.target_reached is False:
        words.append("No run of the answer reached the target.")
    return [_verdict(Level.WARNING, word) for word in words]


def _verdict(level: Level, detail: str) -> Verdict:
    return Verdict(code=CODE, level=level, detail=detail, numbers={})


def _bad(error: BadLock) -> Held:
    level = Level.UNTOLD if error.untold else Level.ERROR
    code = Exit.UNTOLD if error.untold else Exit.USAGE
    return Held(lock=None, verdicts=(_verdict(level, str(error)),), exit_code=code)


def _unusable_spec(detail: str) -> Held:
    return Held(lock=None, verdicts=(_verdict(Level.ERROR, detail),), exit_code=Exit.USAGE)


def _read_spec(file: Path) -> Mapping[str, Any] | None:
    """Read a spec; None where there is none.

    Raises:
        ValueError: It is there and no spec.
    """
    try:
        spec = read_json(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, RecursionError) as error:
        raise ValueError(str(error)) from error
    if not isinstance(spec, dict):
        raise ValueError("it holds no JSON object")  # noqa: TRY004 - a fault of the file
    return spec
