"""Accelerate, Hydra, our own export, and whatever else uses the usual names."""

from __future__ import annotations

from collections.abc import Sequence

from batchscout.check.configuration import Role
from batchscout.check.naming.meaning import Meaning, usual_candidates
from batchscout.check.reading.entries import Entry

_ACCELERATE = frozenset({"compute_environment", "distributed_type", "machine_rank"})
_HYDRA = frozenset({"defaults", "hydra"})
_OWN = frozenset({Role.MICRO_BATCH_SIZE, Role.GRADIENT_ACCUMULATION_STEPS, Role.GLOBAL_BATCH_SIZE})


def in_file(entries: Sequence[Entry]) -> Meaning:
    """Read a file by the usual names, wherever they stand."""
    return Meaning(framework=_framework(entries), candidates=usual_candidates(entries))


def _framework(entries: Sequence[Entry]) -> str:
    root = {entry.path[0] for entry in entries if len(entry.path) == 1}
    if _ACCELERATE & root:
        return "accelerate"
    if _HYDRA & root or any(entry.path[-1] == "_target_" for entry in entries):
        return "hydra"
    return "batchscout" if root >= _OWN else "generic"
