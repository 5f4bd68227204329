"""From a config file to what it says, without running or changing it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from batchscout.check.configuration import Configuration, Role
from batchscout.check.reading.document import take_apart
from batchscout.check.reading.opening import open_text


def read_configuration(
    file: Path, *, mapping: Mapping[Role, str], text: str | None = None
) -> Configuration:
    """Read one config file.

    Args:
        file: YAML, JSON, TOML or Python; its ending says which.
        mapping: Keys that a person named, role by role; they win over the usual names.
        text: What to read instead of the file's content.

    Raises:
        UnreadableConfig: It cannot be read, holds no known key, or lacks a mapped one.
    """
    # The names of keys are written in terms of this folder's entries: they come after it.
    from batchscout.check.naming.roles import configuration_of  # noqa: PLC0415

    content = open_text(file) if text is None else text
    return configuration_of(take_apart(str(file), content), mapping)
