"""Hugging Face: `TrainingArguments` and its subclasses, as a call or as a file."""

from __future__ import annotations

from collections.abc import Sequence

from batchscout.check.configuration import Obstacle, Role
from batchscout.check.naming.hugging_face_fields import FIELDS, FORMER
from batchscout.check.naming.meaning import Default, Meaning, Overruled, usual_candidates
from batchscout.check.naming.telling import option
from batchscout.check.reading.entries import Entry, Kind
from batchscout.check.reading.python_text import MORE, POSITIONAL

KEYS = {
    Role.MICRO_BATCH_SIZE: "per_device_train_batch_size",
    Role.GRADIENT_ACCUMULATION_STEPS: "gradient_accumulation_steps",
    Role.LEARNING_RATE: "learning_rate",
}
_DEFAULTS = {
    Role.MICRO_BATCH_SIZE: 8,
    Role.GRADIENT_ACCUMULATION_STEPS: 1,
    Role.LEARNING_RATE: 5e-5,
}
_KNOWN_CLASSES = frozenset({"TrainingArguments", "Seq2SeqTrainingArguments"})
_AUTOMATIC = "auto_find_batch_size"
_MARKS = frozenset(
    {KEYS[Role.MICRO_BATCH_SIZE], "per_device_eval_batch_size", "num_train_epochs", _AUTOMATIC}
)
_OWN = frozenset({"self", "cls"})
_CHANGING = frozenset({"replace", "set_training", "evolve"})


def in_file(entries: Sequence[Entry]) -> Meaning | None:
    """Read a file whose root holds the fields of a `TrainingArguments`."""
    root = {entry.path[0]: entry for entry in entries if len(entry.path) == 1}
    if not _MARKS & set(root):
        return None
    candidates = {role: [root[key]] for role, key in KEYS.items() if key in root}
    # Launchers add the number of processes under names of their own.
    wide = usual_candidates([entry for entry in entries if len(entry.path) == 1])
    candidates[Role.GLOBAL_BATCH_SIZE] = wide[Role.GLOBAL_BATCH_SIZE]
    automatic = root.get(_AUTOMATIC)
    return Meaning(
        framework="hf",
        candidates=candidates,
        defaults=_defaults("TrainingArguments")
        if set(root) <= FIELDS | FORMER
        else _accumulation(),
        overruled=_found_at_start(automatic),
    )


def in_python(entries: Sequence[Entry], chosen: str | None) -> Meaning | None:
    """Read the calls of a Python file.

    Args:
        entries: Of the file.
        chosen: The call that a mapping names, `TrainingArguments#2`; None for all.
    """
    calls: dict[str, dict[str, Entry]] = {}
    for entry in entries:
        if len(entry.path) == 2 and entry.path[1].startswith("("):  # noqa: PLR2004 (call, keyword)
            calls.setdefault(entry.path[0], {})[entry.path[1].strip("()")] = entry
    meant = {name: keywords for name, keywords in calls.items() if _is_arguments(name, keywords)}
    meant = {chosen: meant[chosen]} if chosen in meant else meant
    if not meant:
        return None
    candidates: dict[Role, list[Entry]] = {
        role: [keywords[key] for keywords in meant.values() if key in keywords]
        for role, key in KEYS.items()
    }
    defaults = _of_calls([name.partition("#")[0] for name in meant], entries)
    overruled: dict[Role, Overruled] = {}
    for name, keywords in meant.items():
        overruled |= _found_at_start(keywords.get(_AUTOMATIC))
        overruled |= _unseen(name, keywords)
        if len(meant) > 1:
            overruled |= _told_by_some(meant, candidates)
    for role, changed in _changes(entries, calls).items():
        candidates[role].extend(changed)
    return Meaning(framework="hf", candidates=candidates, defaults=defaults, overruled=overruled)


def _is_arguments(name: str, keywords: dict[str, Entry]) -> bool:
    bare = name.partition("#")[0]
    if bare.endswith("TrainingArguments"):
        return True
    return bare.endswith("Config") and KEYS[Role.MICRO_BATCH_SIZE] in keywords


def _defaults(name: str) -> dict[Role, Default]:
    return {
        role: Default(value=value, origin=f"the default of {name}")
        for role, value in _DEFAULTS.items()
    }


def _accumulation() -> dict[Role, Default]:
    """Every subclass keeps this default; of the others some are changed by subclasses."""
    role = Role.GRADIENT_ACCUMULATION_STEPS
    return {role: Default(value=_DEFAULTS[role], origin="the default of TrainingArguments")}


def _of_calls(names: list[str], entries: Sequence[Entry]) -> dict[Role, Default]:
    own = {entry.path[0].partition(".")[0] for entry in entries if "." in entry.path[0]}
    if own & set(names):  # a class that the file itself writes has defaults of its own
        return {}
    return _defaults(names[0]) if set(names) <= _KNOWN_CLASSES else _accumulation()


def _found_at_start(automatic: Entry | None) -> dict[Role, Overruled]:
    if automatic is None or (
        automatic.kind is Kind.OTHER and automatic.value in {"false", "False"}
    ):
        return {}
    detail = f"{automatic.key} lets the trainer try sizes until one fits; set it to false"
    obstacle = Obstacle.AUTOMATIC
    return {Role.MICRO_BATCH_SIZE: Overruled(entry=automatic, obstacle=obstacle, detail=detail)}


def _unseen(name: str, keywords: dict[str, Entry]) -> dict[Role, Overruled]:
    """What a call does not name could come in through `**more` or by position."""
    through = keywords.get(MORE.strip("()")) or keywords.get(POSITIONAL.strip("()"))
    if through is None:
        return {}
    return {
        role: Overruled(
            entry=through,
            obstacle=Obstacle.COMPUTED,
            detail=f"{through.key} may set {key}; write {key}= in the call of {name} itself",
        )
        for role, key in KEYS.items()
        if key not in keywords
    }


def _told_by_some(
    meant: dict[str, dict[str, Entry]], candidates: dict[Role, list[Entry]]
) -> dict[Role, Overruled]:
    """Where one of several calls names a role and another leaves it to the default."""
    names = ", ".join(meant)
    return {
        role: Overruled(
            entry=found[0],
            obstacle=Obstacle.AMBIGUOUS,
            detail=f"{names} do not all name {KEYS[role]}; choose one: {option(role, found[0])}",
        )
        for role, found in candidates.items()
        if 0 < len(found) < len(meant)
    }


def _changes(
    entries: Sequence[Entry], calls: dict[str, dict[str, Entry]]
) -> dict[Role, list[Entry]]:
    """Assignments such as `args.learning_rate = ...`, and copies with other values."""
    return {
        role: [
            *(
                entry
                for entry in entries
                if len(entry.path) > 1 and entry.path[-1] == key and entry.path[0] not in _OWN
            ),
            *(
                keywords[key]
                for name, keywords in calls.items()
                if name.partition("#")[0] in _CHANGING and key in keywords
            ),
        ]
        for role, key in KEYS.items()
    }
