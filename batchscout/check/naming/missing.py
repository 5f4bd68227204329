"""The line to add where a config says nothing about a role."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath

from batchscout.check.configuration import Configuration, Role
from batchscout.check.naming import deepspeed, hugging_face, lightning

_KEYS: Mapping[str, Mapping[Role, str]] = {
    "hf": hugging_face.KEYS,
    "deepspeed": deepspeed.KEYS,
    "lightning": lightning.KEYS,
}


def line_to_add(configuration: Configuration, role: Role, number: str) -> str:
    """Say what a person has to write, in the words and the notation of the file.

    Args:
        configuration: The config without it.
        role: What is missing, or holds by default.
        number: As it is to be written.
    """
    known = configuration.settings.get(role)
    if known is not None and known.place is None and known.origin.startswith("--"):
        return f"{known.origin} gives {role}, not the file; give {number} there"
    key = _KEYS.get(configuration.framework, {}).get(role, str(role))
    holds = f" ({known.origin}, {known.value:g}, holds)" if known is not None else ""
    return (
        f"{configuration.file} does not say {role}{holds}; add {_line(configuration, key, number)}"
    )


def _line(configuration: Configuration, key: str, number: str) -> str:
    *tables, last = key.split(".")
    where = f" under {'.'.join(tables)}" if tables else ""
    match PurePath(configuration.file).suffix.lower():
        case ".py":
            call = "the keyword " if configuration.framework == "hf" else ""
            return f"{call}{last}={number}{where}"
        case ".json" | ".jsonc":
            return f'"{last}": {number}{where}'
        case ".toml":
            return f"{last} = {number}{where}"
        case _:
            return f"{last}: {number}{where}"
