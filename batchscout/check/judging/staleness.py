"""Whether a lock still answers the spec that it was made for."""

from __future__ import annotations

from typing import Final

from batchscout.check.verdict import Level, Verdict

CODE: Final = "stale_lock"


def judge_staleness(
    *, spec_file: str, locked_digest: str, spec_digest: str | None, way_out: str
) -> Verdict:
    """Hold the digest of a spec against the one that was locked.

    Args:
        spec_file: The spec, for people.
        locked_digest: As the lock has it.
        spec_digest: Of the spec as it is now; None if it is not there.
        way_out: The command that makes the lock anew.

    Returns:
        OK where they are the same, ERROR where not, UNTOLD without a spec.
    """
    if spec_digest is None:
        level = Level.UNTOLD
        detail = (
            f"There is no spec {spec_file}, so nobody can tell whether the lock still answers "
            f"it: commit the spec beside the lock, or name it with --spec."
        )
    elif spec_digest == locked_digest:
        level, detail = Level.OK, f"The lock answers {spec_file} as it is."
    else:
        level = Level.ERROR
        detail = f"{spec_file} has changed since the lock was made: {way_out}."
    return Verdict(
        code=CODE,
        level=level,
        detail=detail,
        numbers={"locked_spec_digest": locked_digest, "spec_digest": spec_digest},
    )
