"""The lock file: the committed answer, and which request it answers."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from batchscout.check.digest import digest
from batchscout.check.measured import Measured, UnreadableAnswer
from batchscout.check.strict_json import read_json

LOCK_VERSION: Final = 1
LOCK_NAME: Final = "batchscout.lock.json"
MAX_LOCK_BYTES: Final = 4 * 2**20
"""An answer takes some ten thousand bytes."""

MARKERS: Final = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
"""What git writes at the beginning of a line where two versions of a file meet."""


class BadLock(Exception):
    """There is no lock that can be used; the message says why and the way out.

    Args:
        message: For people; names the file.
        line: Where, from 1, if that is known.
        missing: Whether there is no file at all.
        untold: Whether the file is sound but cannot be used (exit 3), not wrong (exit 2).
    """

    def __init__(
        self, message: str, *, line: int | None = None, missing: bool = False, untold: bool = False
    ) -> None:
        super().__init__(message)
        self.line = line
        self.missing = missing
        self.untold = untold


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock file, read.

    Args:
        spec: The file of the request, relative to the lock's folder, with `/`; None if the
            request came from no file.
        spec_digest: Digest of the request.
        fingerprint: Digest of all that the answer depends on.
        job_id: The job that answered.
        locked_at: When, as written.
        batchscout_version: Which version wrote the lock.
        answer: The answer exactly as the service gave it.
        measured: What verdicts rest on.
    """

    spec: str | None
    spec_digest: str
    fingerprint: str
    job_id: str
    locked_at: str
    batchscout_version: str
    answer: Mapping[str, Any]
    measured: Measured

    def text(self) -> str:
        """Write the file."""
        document = {
            "lock_version": LOCK_VERSION,
            "spec": self.spec,
            "spec_digest": self.spec_digest,
            "fingerprint": self.fingerprint,
            "job_id": self.job_id,
            "locked_at": self.locked_at,
            "batchscout_version": self.batchscout_version,
            "answer": self.answer,
        }
        return json.dumps(document, indent=2) + "\n"


def make_lock(
    spec: Mapping[str, Any],
    answer: Mapping[str, Any],
    *,
    spec_path: str | None,
    job_id: str,
    locked_at: str,
    batchscout_version: str,
) -> Lock:
    """Make a lock of a request and its answer.

    Args:
        spec: The request.
        answer: The answer as the service gave it.
        spec_path: The file of the request, relative to the lock's folder.
        job_id: The job that answered.
        locked_at: When.
        batchscout_version: Of this installation.

    Returns:
        The lock.

    Raises:
        UnreadableAnswer: The answer lacks what is needed, or answers another request.
    """
    measured = Measured.read(answer)
    if measured.spec_digest != digest(spec):
        raise UnreadableAnswer("the answer is to another request: its digest is not that of ours")
    return Lock(
        spec=spec_path,
        spec_digest=measured.spec_digest,
        fingerprint=measured.fingerprint,
        job_id=job_id,
        locked_at=locked_at,
        batchscout_version=batchscout_version,
        answer=answer,
        measured=measured,
    )


def read_lock(file: Path) -> Lock:
    """Read a lock file.

    Args:
        file: Where it is.

    Returns:
        The lock.

    Raises:
        BadLock: It is missing, unreadable, in conflict, edited by hand, or of another version.
    """
    document = _document(file, _text(file))
    version = document.get("lock_version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise BadLock(f"{file} is no lock file: it has no lock_version. {_remake(file)}")
    if version != LOCK_VERSION:
        raise BadLock(
            f"{file} is a lock of version {version}; this batchscout reads version "
            f"{LOCK_VERSION}. Use the batchscout that wrote it, or: {_remake(file)}",
            untold=True,
        )
    try:
        measured = Measured.read(document.get("answer"))
    except UnreadableAnswer as error:
        raise BadLock(
            f"{file} holds an answer of another batchscout than this one: {error}. {_remake(file)}",
            untold=True,
        ) from error
    fields = {name: _field(file, document, name) for name in _TEXTS}
    _check_unedited(file, fields, measured)
    spec = document.get("spec")
    if spec is not None and not isinstance(spec, str):
        raise BadLock(f"{file} is no lock file: its spec is no path. {_remake(file)}")
    return Lock(spec=spec, answer=document["answer"], measured=measured, **fields)


def relative_spec(spec: Path, lock_file: Path) -> str:
    """Write the way from a lock's folder to a spec, with `/`."""
    try:
        way = os.path.relpath(spec.resolve(), lock_file.resolve().parent)
    except ValueError:  # another drive: there is no way that holds elsewhere
        way = str(spec.resolve())
    return Path(way).as_posix()


_TEXTS: Final = ("spec_digest", "fingerprint", "job_id", "locked_at", "batchscout_version")


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_LOCK_BYTES:
            raise BadLock(f"{file} is no lock file: it has more than {MAX_LOCK_BYTES} bytes")
        return file.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise BadLock(f"There is no lock file {file}. {_remake(file)}", missing=True) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadLock(f"{file} cannot be read: {getattr(error, 'strerror', error)}") from error


def _document(file: Path, text: str) -> Mapping[str, Any]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(MARKERS):
            raise BadLock(
                f"{file} holds a conflict of two versions at line {number}. Do not merge it by "
                f"hand: merge the spec, then resolve this by running: {_command(file)}",
                line=number,
            )
    try:
        document = read_json(text)
    except json.JSONDecodeError as error:
        raise BadLock(
            f"{file} is not JSON at line {error.lineno}, column {error.colno}: {error.msg}. "
            f"{_remake(file)}",
            line=error.lineno,
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadLock(f"{file} is no lock file: {error}. {_remake(file)}") from error
    if not isinstance(document, dict):
        raise BadLock(f"{file} is no lock file: it holds no object. {_remake(file)}")
    return document


def _field(file: Path, document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise BadLock(f"{file} is no lock file: it has no {name}. {_remake(file)}")
    return value


def _check_unedited(file: Path, fields: Mapping[str, str], measured: Measured) -> None:
    """Refuse a lock whose parts do not belong together."""
    product = (
        measured.micro_batch_size
        * measured.gradient_accumulation_steps
        * measured.data_parallel_size
    )
    faults = {
        "spec_digest": fields["spec_digest"] != measured.spec_digest,
        "fingerprint": fields["fingerprint"] != measured.fingerprint,
        "global_batch_size": product != measured.global_batch_size,
        "max_micro_batch_size": measured.micro_batch_size > measured.max_micro_batch_size,
    }
    wrong = [name for name, is_wrong in faults.items() if is_wrong]
    if wrong:
        raise BadLock(
            f"{file} was edited by hand, or merged: its {' and '.join(wrong)} "
            f"{'do' if len(wrong) > 1 else 'does'} not agree with the rest. {_remake(file)}"
        )


def _remake(file: Path) -> str:
    return f"Make it with: {_command(file)}"


def _command(file: Path) -> str:
    out = "" if file.name == str(file) == LOCK_NAME else f" --out {file}"
    return f"batchscout lock SPEC.json{out}"
