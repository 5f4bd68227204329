"""Where a deployment keeps things. Never part of a spec, a request or a record."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Folders and permissions of the process that measures.

    Args:
        artifacts: Folder for checkpoints; made on demand.
        file_roots: Folders under which `files` data sets may lie.
        code_root: Folder that is appended last to the import path for entry points.
        entrypoint_prefixes: Module prefixes that may be imported; none allows none.
    """

    artifacts: Path
    file_roots: tuple[Path, ...] = ()
    code_root: Path | None = None
    entrypoint_prefixes: tuple[str, ...] = ()
