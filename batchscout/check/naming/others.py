"""Accelerate, Hydra, our own export, and whatever else uses the usual names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from batchscout.check.configuration import Obstacle, Role
from batchscout.check.naming.meaning import Meaning, Overruled, usual_candidates
from batchscout.check.naming.telling import option
from batchscout.check.naming.words import parts
from batchscout.check.reading.entries import Entry

_ACCELERATE = frozenset({"compute_environment", "distributed_type", "machine_rank"})
_HYDRA = frozenset({"defaults", "hydra"})
_TWO_MEANINGS = frozenset({"train_batch_size", "training_batch_size"})
_OWN = frozenset({Role.MICRO_BATCH_SIZE, Role.GRADIENT_ACCUMULATION_STEPS, Role.GLOBAL_BATCH_SIZE})


def in_file(entries: Sequence[Entry]) -> Meaning:
    """Read a file by the usual names, wherever they stand."""
    candidates = usual_candidates(entries)
    return Meaning(
        framework=_framework(entries), candidates=candidates, overruled=_two_meanings(candidates)
    )


def _two_meanings(candidates: Mapping[Role, Sequence[Entry]]) -> dict[Role, Overruled]:
    """Programs disagree on a bare `train_batch_size`: of one device, or over all."""
    micro = candidates[Role.MICRO_BATCH_SIZE]
    bare = [entry for entry in micro if parts(entry)[-1] in _TWO_MEANINGS]
    if not bare or len(bare) < len(micro) or candidates[Role.GLOBAL_BATCH_SIZE]:
        return {}
    first = bare[0]
    detail = (
        f"{first.key} is the batch of one device in some programs and of all in others; say "
        f"which: {option(Role.MICRO_BATCH_SIZE, first)} or {option(Role.GLOBAL_BATCH_SIZE, first)}"
    )
    over = Overruled(entry=first, obstacle=Obstacle.AMBIGUOUS, detail=detail)
    return {Role.MICRO_BATCH_SIZE: over}


def _framework(entries: Sequence[Entry]) -> str:
    root = {entry.path[0] for entry in entries if len(entry.path) == 1}
    if _ACCELERATE & root:
        return "accelerate"
    if _HYDRA & root or any(entry.path[-1] == "_target_" for entry in entries):
        return "hydra"
    return "batchscout" if root >= _OWN else "generic"
