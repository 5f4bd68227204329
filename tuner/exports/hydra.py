"""`hydra`: overrides in one line, for `python train.py $(batchscout export …)`."""

from __future__ import annotations

import re
from typing import Final

from tuner.exports.format import Format, Keys, UnusableKeys, Written
from tuner.exports.numbers import number
from tuner.exports.plan import Plan
from tuner.exports.remarks import cautions
from tuner.exports.roles import ROLES, roles

DEFAULT_KEYS: Final = {
    "micro_batch_size": "train.batch_size",
    "gradient_accumulation_steps": "train.gradient_accumulation_steps",
    "learning_rate": "optim.lr",
}
"""Hydra has no keys of its own: these are often met. The others are written where asked for."""

_KEY: Final = re.compile(r"\+{0,2}[A-Za-z_][\w-]*([./@:]?[\w-]+)*", re.ASCII)


def write(plan: Plan, keys: Keys) -> Written:
    """Write `key=value`, separated by spaces, in one line.

    Args:
        plan: The answer.
        keys: The user's keys, which replace or join the default ones.

    Returns:
        The line.

    Raises:
        UnusableKeys: There is no such role, or a key is none of Hydra's.
    """
    for role, key in keys.items():
        if role not in ROLES:
            raise UnusableKeys(f"there is no {role!r} to export: choose {', '.join(ROLES)}")
        if not _KEY.fullmatch(key):
            raise UnusableKeys(f"{key!r} is no key of Hydra's: write for example optim.lr")
    named = DEFAULT_KEYS | dict(keys)
    found = roles(plan)
    words = [f"{named[role]}={number(found[role])}" for role in found if role in named]
    return Written(text=" ".join(words) + "\n", notes=tuple(cautions(plan)))


FORMAT = Format(
    name="hydra",
    media_type="text/plain",
    suffix=".txt",
    summary="overrides in one line; --map names your keys",
    has_comments=False,
    takes_keys=True,
    write=write,
)
