"""Every format, by its name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from tuner.exports import (
    accelerate,
    deepspeed,
    dotenv,
    flat_yaml,
    github,
    hf,
    hydra,
    lightning,
    python,
    torchtitan,
    whole_json,
)
from tuner.exports.format import Format, Keys, UnusableKeys, Written
from tuner.exports.plan import read_plan

FormatName: TypeAlias = Literal[
    "json",
    "yaml",
    "hf",
    "accelerate",
    "lightning",
    "deepspeed",
    "torchtitan",
    "hydra",
    "dotenv",
    "github",
    "python",
]
"""The names as a type, for the OpenAPI document; a test holds it to the registry."""

FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        module.FORMAT.name: module.FORMAT
        for module in (
            whole_json,
            flat_yaml,
            hf,
            accelerate,
            lightning,
            deepspeed,
            torchtitan,
            hydra,
            dotenv,
            github,
            python,
        )
    }
)
"""From a format's name to the format, in the order in which they are listed."""


def export(answer: object, name: str, keys: Keys | None = None) -> Written:
    """Write an answer in a format.

    Args:
        answer: As JSON gives it.
        name: Of the format, one of `FORMATS`.
        keys: The user's own keys, for a format that takes them.

    Returns:
        The text, and what it does not say.

    Raises:
        UnusableAnswer: The answer is none.
        UnusableKeys: The format takes none, or not these.
        KeyError: There is no such format.
    """
    chosen = FORMATS[name]
    if keys and not chosen.takes_keys:
        raise UnusableKeys(f"{name} has keys of its own: they are not named by you")
    return chosen.write(read_plan(answer), keys or {})
