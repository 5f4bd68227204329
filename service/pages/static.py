"""The few files that pages are drawn with: packed once, and kept by browsers."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.problems import ProblemError

FOLDER: Final = Path(__file__).parent / "static"
PLOTLY: Final = "plotly-cartesian.min.js"
"""Fetched when batchscout is installed or built (`scripts/fetch-plotly`); may be missing."""

TYPES: Final = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    PLOTLY: "text/javascript; charset=utf-8",
}
"""What is served, and nothing else."""

ADDRESS: Final = "/static"
_FOR_EVER: Final = "public, max-age=31536000, immutable"

router = APIRouter(include_in_schema=False, tags=["pages"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """One file.

    Args:
        plain: Its bytes.
        packed: The same by gzip.
        digest: Changes with them.
    """

    plain: bytes
    packed: bytes
    digest: str


def address_of(name: str) -> str | None:
    """Say where a file is; the address changes with its content.

    Args:
        name: From `TYPES`.

    Returns:
        The address; None if this installation lacks the file.
    """
    path = FOLDER / name
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        return None
    return f"{ADDRESS}/{name}?v={_packed(path, changed).digest}"


def packed_bytes(name: str) -> int:
    """Say how many bytes a file takes on its way to a browser.

    Args:
        name: From `TYPES`; it has to be there.
    """
    path = FOLDER / name
    return len(_packed(path, path.stat().st_mtime_ns).packed)


@router.get(ADDRESS + "/{name}")
def get_static_file(name: str, request: Request) -> Response:
    """Serve a file, packed where the browser takes that."""
    path = FOLDER / name
    if name not in TYPES or not path.is_file():
        raise ProblemError("not_found", "There is no such file.")
    file = _packed(path, path.stat().st_mtime_ns)
    takes_gzip = "gzip" in request.headers.get("accept-encoding", "")
    headers = {
        "Content-Type": TYPES[name],
        "Cache-Control": _FOR_EVER if request.query_params.get("v") == file.digest else "no-cache",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if takes_gzip:
        headers["Content-Encoding"] = "gzip"
    return Response(file.packed if takes_gzip else file.plain, headers=headers)


@lru_cache(maxsize=2 * len(TYPES))
def _packed(path: Path, changed: int) -> Packed:
    """Read a file once for every time that it was changed."""
    del changed
    plain = path.read_bytes()
    return Packed(
        plain=plain,
        packed=gzip.compress(plain, mtime=0),
        digest=hashlib.sha256(plain).hexdigest()[:16],
    )
