"""Digest of the code that builds a workload: what was measured with other code is not reused."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tuner.entrypoints import load_function

if TYPE_CHECKING:
    from tuner.places import Places
    from tuner.records import Workload

OWN_SOURCES: Final = Path(__file__).parent


def code_digest(workload: Workload, places: Places) -> str:
    """Digest the sources of what builds model and data.

    They are this package; for `hf_config` the version of transformers; for entry points every
    `.py` file of the top-level packages that the targets lie in.

    Args:
        workload: Names model and data.
        places: Where own code may lie.

    Returns:
        `sha256:` and the digest.

    Raises:
        InvalidWorkload: An entry point is not allowed or not found.
    """
    hasher = hashlib.sha256()
    _add(hasher, OWN_SOURCES)
    if workload.model["kind"] == "hf_config":
        hasher.update(importlib.metadata.version("transformers").encode())
    for part, pointer in ((workload.model, "/model"), (workload.dataset, "/dataset")):
        if part["kind"] == "entrypoint":
            _add(hasher, _sources_of(part, places, f"{pointer}/target"))
    return "sha256:" + hasher.hexdigest()


def _sources_of(part: Mapping[str, Any], places: Places, pointer: str) -> Path:
    target = str(part["target"])
    load_function(target, places, pointer=pointer)
    spec = importlib.util.find_spec(target.partition(":")[0].partition(".")[0])
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(str(spec.origin if spec is not None else ""))


def _add(hasher: hashlib._Hash, sources: Path) -> None:
    for path in _python_files(sources):
        content = path.read_bytes()
        hasher.update(f"{path.name} {len(content)};".encode())
        hasher.update(content)


def _python_files(sources: Path) -> Iterator[Path]:
    """List sources in an order that does not hang on the machine or on where they lie."""
    if sources.is_file():
        yield sources
    else:
        yield from sorted(sources.rglob("*.py"), key=lambda path: path.relative_to(sources).parts)
