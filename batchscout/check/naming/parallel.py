"""How many devices train on different data: one key, or a product of several."""

from __future__ import annotations

import re
from collections.abc import Sequence

from batchscout.check.configuration import Obstacle, Role, Setting, Untellable
from batchscout.check.naming.telling import tell, text_trouble
from batchscout.check.naming.words import about_training, parts
from batchscout.check.reading.entries import Document, Entry, Kind

_SURE = frozenset(
    {"data_parallel_size", "dp_size", "data_parallel_degree", "dp_degree", "dp_world_size"}
)
_PROCESSES = frozenset({"world_size", "num_processes", "total_gpus", "total_num_gpus"})
_SHARDED = ("data_parallel_shard_degree", "data_parallel_replicate_degree")
_PER_NODE = frozenset(
    [
        "devices",
        "gpus_per_node",
        "n_gpus_per_node",
        "num_gpus_per_node",
        "nproc_per_node",
        "devices_per_node",
    ]
)
_LOOSE = frozenset({"num_gpus", "n_gpus", "ngpus", "gpus", "num_devices", "n_devices"})
"""Of one node or of all: only certain where there is one node."""
_NODES = frozenset({"num_nodes", "nnodes"})
_MODEL_PARALLEL = re.compile(
    r"(^|_)((tp|pp|cp|sp)_(size|degree)"
    r"|(tensor|pipeline|context|sequence)(_model)?_parallel_(size|degree))$"
)
_LISTED = re.compile(r"\s*\d+\s*(,\s*\d+\s*)+,?\s*")
_LONGEST = 200
"""Characters of a list of devices."""
_ROLE = Role.DATA_PARALLEL_SIZE


def parallel_size(document: Document) -> Setting | Untellable | None:
    """Read the number of data-parallel devices; None where the file has no word on it."""
    by_word: dict[str, list[Entry]] = {}
    for entry in document.entries:
        if entry.kind is not Kind.NOTHING and about_training(entry):
            by_word.setdefault(parts(entry)[-1], []).append(entry)
    sure = _of(by_word, _SURE)
    if sure:
        return tell(_ROLE, sure, document)
    shards = _of(by_word, frozenset(_SHARDED))
    if shards:
        return _product(shards[:1], shards[1:], document)
    processes = _of(by_word, _PROCESSES)
    counted = processes or _devices(_of(by_word, _PER_NODE | _LOOSE))
    if not counted:
        return None
    sharing = _sharing(document.entries)
    if sharing is not None:
        return _shared(sharing, counted[0], document)
    if processes:
        return tell(_ROLE, processes, document)
    return _nodes_times(counted, _of(by_word, _NODES), document)


def _of(by_word: dict[str, list[Entry]], words: frozenset[str]) -> list[Entry]:
    return [entry for word, entries in by_word.items() if word in words for entry in entries]


def _devices(found: list[Entry]) -> list[Entry]:
    """Leave out what names a device instead of counting: `cuda:0`."""
    return [
        counted
        for entry in found
        if (counted := _count(entry)).kind is not Kind.TEXT or text_trouble(str(counted.value))
    ]


def _count(entry: Entry) -> Entry:
    """Turn a list of devices into their number; it stays where it is."""
    text = str(entry.value) if entry.kind is Kind.TEXT else ""
    listed = len(text) <= _LONGEST and _LISTED.fullmatch(text)
    number = len(text) <= _LONGEST and re.fullmatch(r"\s*-?[0-9]{1,9}\s*", text)
    if entry.kind is Kind.LIST:
        count = float(entry.value or 0)
    elif listed:
        count = len([item for item in text.split(",") if item.strip()])
    elif number:
        count = int(text)
    else:
        return entry
    return _with(entry, count, "it is a list of devices, or quoted")


def _with(entry: Entry, value: float, unpatchable: str) -> Entry:
    return Entry(
        path=entry.path,
        kind=Kind.NUMBER,
        value=value,
        start=entry.start,
        end=entry.end,
        unpatchable=entry.unpatchable or unpatchable,
    )


def _nodes_times(
    counted: list[Entry], nodes: list[Entry], document: Document
) -> Setting | Untellable:
    siblings = [node for node in nodes if node.path[:-1] == counted[0].path[:-1]]
    if len(counted) > 1 or not nodes:
        return tell(_ROLE, counted, document)
    told = tell(_ROLE, siblings or nodes, document)
    several = isinstance(told, Untellable) or told.value != 1
    if several and parts(counted[0])[-1] in _LOOSE:
        keys = f"{counted[0].key} and {(siblings or nodes)[0].key}"
        return Untellable(
            role=_ROLE,
            obstacle=Obstacle.AMBIGUOUS,
            detail=f"{keys}: it is not told whether the devices are those of one node or of all; "
            "write data_parallel_size, or give --data-parallel-size",
            place=document.place(counted[0]),
        )
    return _product(counted, siblings or nodes, document)


def _product(first: list[Entry], second: list[Entry], document: Document) -> Setting | Untellable:
    one = tell(_ROLE, first, document)
    other = tell(_ROLE, second, document) if second else None
    for told in (one, other):
        if isinstance(told, Untellable):
            return told
    if not (isinstance(one, Setting) and isinstance(other, Setting)) or other.value == 1:
        return one
    if one.value == 1:
        return other
    times = other.place.key if other.place else "another key"
    return Setting(
        role=_ROLE,
        value=one.value * other.value,
        place=one.place,
        origin="the file",
        unpatchable=one.unpatchable or f"it is multiplied by {times}",
    )


def _sharing(entries: Sequence[Entry]) -> Entry | None:
    """Find what says that several devices hold one model between them."""
    for entry in entries:
        if entry.kind is Kind.NUMBER and entry.value == 1:
            continue
        if entry.kind is not Kind.NOTHING and _MODEL_PARALLEL.search(parts(entry)[-1]):
            return entry
        if entry.kind is Kind.TEXT and str(entry.value).endswith("ModelParallelStrategy"):
            return entry
    return None


def _shared(sharing: Entry, counted: Entry, document: Document) -> Untellable:
    return Untellable(
        role=_ROLE,
        obstacle=Obstacle.COMPUTED,
        detail=f"{counted.key} counts processes, and by {sharing.key} several of them share one "
        "model; give --data-parallel-size",
        place=document.place(counted),
    )
