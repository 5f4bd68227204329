"""Lightning: the YAML of its command line, and Hydra configs that build a `Trainer`."""

from __future__ import annotations

from collections.abc import Sequence

from batchscout.check.configuration import Obstacle, Role
from batchscout.check.naming.meaning import Default, Meaning, Overruled, usual_candidates
from batchscout.check.reading.entries import Entry, Kind

KEYS = {
    Role.MICRO_BATCH_SIZE: "data.init_args.batch_size",
    Role.GRADIENT_ACCUMULATION_STEPS: "trainer.accumulate_grad_batches",
    Role.DATA_PARALLEL_SIZE: "trainer.devices",
    Role.LEARNING_RATE: "optimizer.init_args.lr",
}
_MARKS = frozenset({"accelerator", "devices", "accumulate_grad_batches", "precision", "strategy"})
_SCHEDULER = "GradientAccumulationScheduler"
_TRAINER = ("lightning.pytorch.Trainer", "pytorch_lightning.Trainer", ".trainer.Trainer")


def in_file(entries: Sequence[Entry]) -> Meaning | None:
    """Read a file with a `trainer:` section (or one `_target_`) of Lightning."""
    if not any(_is_mark(entry) for entry in entries):
        return None
    one = Default(value=1, origin="the default of Lightning's Trainer")
    return Meaning(
        framework="lightning",
        candidates=usual_candidates(entries),
        defaults={Role.GRADIENT_ACCUMULATION_STEPS: one},
        overruled=_scheduled(entries),
    )


def _is_mark(entry: Entry) -> bool:
    *before, last = entry.path
    if before and before[-1] == "trainer" and last in _MARKS:
        return True
    return last == "_target_" and str(entry.value).endswith(_TRAINER)


def _scheduled(entries: Sequence[Entry]) -> dict[Role, Overruled]:
    for entry in entries:
        if entry.kind is Kind.TEXT and str(entry.value).endswith(_SCHEDULER):
            detail = f"{entry.key} is a {_SCHEDULER}: the accumulation changes while it trains"
            obstacle = Obstacle.COMPUTED
            role = Role.GRADIENT_ACCUMULATION_STEPS
            return {role: Overruled(entry=entry, obstacle=obstacle, detail=detail)}
    return {}
