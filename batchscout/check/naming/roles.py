"""From a file's values to a `Configuration`: whose words they are, and what they tell."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from batchscout.check.configuration import (
    Configuration,
    Role,
    Setting,
    UnreadableConfig,
    Untellable,
)
from batchscout.check.naming import deepspeed, hugging_face, lightning, others
from batchscout.check.naming.mapping import chosen_call, mapped
from batchscout.check.naming.meaning import Meaning
from batchscout.check.naming.parallel import parallel_size
from batchscout.check.naming.telling import tell
from batchscout.check.reading.entries import Document

_LOOKED_FOR = (
    "micro_batch_size, per_device_train_batch_size, batch_size, gradient_accumulation_steps, "
    "accumulate_grad_batches, global_batch_size, learning_rate, lr and others"
)


def configuration_of(document: Document, mapping: Mapping[Role, str]) -> Configuration:
    """Tell what a file says about a training run.

    Args:
        document: The file.
        mapping: Keys that a person named, role by role.

    Raises:
        UnreadableConfig: No role is spoken of, or a mapped key is not there.
    """
    named = mapped(document, mapping)
    meaning = _meaning(document, mapping)
    told = {role: tell(role, entries, document) for role, entries in named.items()}
    # What a person gave to one role is meant for no other.
    taken = {entry.start for entries in named.values() for entry in entries}
    for role in Role:
        if role not in told:
            found = _told(role, meaning, document, taken)
            if found is not None:
                told[role] = found
    settings = {role: one for role, one in told.items() if isinstance(one, Setting)}
    untellable = {role: one for role, one in told.items() if isinstance(one, Untellable)}
    unspoken = not untellable and all(one.place is None for one in settings.values())
    if unspoken and Role.MICRO_BATCH_SIZE not in settings:
        raise UnreadableConfig(
            f"{document.file} has none of the keys that are known ({_LOOKED_FOR}); say which one "
            "is meant: --map micro_batch_size=KEY"
        )
    return Configuration(
        file=document.file,
        framework=meaning.framework,
        text=document.text,
        settings=settings,
        untellable=untellable,
    )


def _meaning(document: Document, mapping: Mapping[Role, str]) -> Meaning:
    entries = document.entries
    if document.form == "python":
        constants = [entry for entry in entries if len(entry.path) == 1]
        return hugging_face.in_python(entries, chosen_call(mapping)) or others.in_file(constants)
    return (
        deepspeed.in_file(entries)
        or hugging_face.in_file(entries)
        or lightning.in_file(entries)
        or others.in_file(entries)
    )


def _told(
    role: Role, meaning: Meaning, document: Document, taken: Collection[int]
) -> Setting | Untellable | None:
    over = meaning.overruled.get(role)
    if over is not None and over.entry.start not in taken:
        place = document.place(over.entry)
        return Untellable(role=role, obstacle=over.obstacle, detail=over.detail, place=place)
    if role is Role.DATA_PARALLEL_SIZE:
        return parallel_size(document)
    candidates = [one for one in meaning.candidates.get(role, ()) if one.start not in taken]
    if candidates:
        return tell(role, candidates, document)
    default = meaning.defaults.get(role)
    if default is None:
        return None
    return Setting(role=role, value=default.value, place=None, origin=default.origin)
