"""The executors, by name. A new one is one file here and one line below."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, cast

from workers.executor import Executor

EXECUTORS: Final[Mapping[str, str]] = {
    "local": "workers.executors.local:LocalExecutor",
}
"""Name to `module:class`, so that an engine is imported only when it is asked for."""


def make_executor(name: str, **options: Any) -> Executor:
    """Make an executor by its name.

    Args:
        name: A key of `EXECUTORS`.
        options: Arguments of its class.

    Returns:
        The executor.

    Raises:
        KeyError: There is none of that name.
    """
    module, _, made = EXECUTORS[name].partition(":")
    return cast("Executor", getattr(import_module(module), made)(**options))
