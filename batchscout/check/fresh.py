"""Asking a service for an answer: the one file here that loads the client, when it is called.

The request goes under a key that follows from the digest of the spec. So whoever asks again,
because the first wait was too short or a job of a pipeline ended, finds the same job.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from batchscout.check.digest import digest
from batchscout.check.lock import Lock, make_lock, relative_spec
from batchscout.check.measured import UnreadableAnswer
from batchscout.exits import Exit

if TYPE_CHECKING:
    from batchscout.client import Client
    from batchscout.errors import ProblemError
    from batchscout.jobs import Job

KEY_VARIABLE: Final = "BATCHSCOUT_KEY"
SERVER_VARIABLE: Final = "BATCHSCOUT_SERVER"
MAX_TRIES: Final = 20
"""Jobs of one spec that failed or were cancelled, before somebody should look at them."""


class NoAnswer(Exception):
    """There is no answer now; the message says why.

    Args:
        message: For people. A key never stands in it.
        exit_code: What it means for a script.
        is_away: Whether nobody answers at all, so that an old answer may have to do.
    """

    def __init__(self, message: str, exit_code: Exit, *, is_away: bool = False) -> None:
        super().__init__(_without_key(message))
        self.exit_code = exit_code
        self.is_away = is_away


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How a service is asked.

    Args:
        server: Its address.
        wait_seconds: How long to wait for the answer; None until there is one, 0 not at all.
        force: Have it measured anew, whatever is known.
    """

    server: str
    wait_seconds: float | None
    force: bool = False


def ask(
    spec: Mapping[str, Any],
    asking: Asking,
    *,
    spec_file: Path | None,
    lock_file: Path,
    on_progress: Callable[[Job], None] | None = None,
) -> Lock:
    """Have a spec answered.

    Args:
        spec: The request.
        asking: Whom, and for how long.
        spec_file: Where the request is from; None if from no file.
        lock_file: Where the lock will lie.
        on_progress: Called with the job each time that it has changed.

    Returns:
        The answer as a lock; nothing is written.

    Raises:
        NoAnswer: Nobody answers, the request is refused, or the job goes on, failed or was
            cancelled.
    """
    if find_spec("httpx") is None or find_spec("batchscout.client") is None:
        raise NoAnswer(
            "A service can be asked only where batchscout is installed as a package: "
            "pip install batchscout, or check with --offline.",
            Exit.UNTOLD,
        )
    from batchscout.client import Client  # noqa: PLC0415 - a check by the lock alone needs none

    with _explaining(), Client(asking.server) as client:
        job = _queue(client, spec, asking)
        if not job.is_terminal and asking.wait_seconds != 0:
            job = client.wait(job.id, on_progress, seconds_left=_patience(asking.wait_seconds))
        return _lock(job, spec, spec_file=spec_file, lock_file=lock_file)


def _queue(client: Client, spec: Mapping[str, Any], asking: Asking) -> Job:
    """Queue the job of a spec, or find the one that is there; one that ended badly is left."""
    if asking.force:
        return client.create(spec, force=True, idempotency_key=f"lock-{uuid.uuid4()}")
    name = f"lock-{digest(spec).removeprefix('sha256:')}"
    for number in range(MAX_TRIES):
        job = client.create(spec, idempotency_key=f"{name}-{number}")
        if job.state not in {"failed", "cancelled"}:
            return job
    raise NoAnswer(
        f"{MAX_TRIES} jobs of this spec failed or were cancelled, the last one is {job.id}: "
        "change the spec, or ask with --force.",
        Exit.NEGATIVE,
    )


def _patience(seconds: float | None) -> Callable[[], float] | None:
    if seconds is None:
        return None
    end = time.monotonic() + seconds
    return lambda: end - time.monotonic()


def _lock(job: Job, spec: Mapping[str, Any], *, spec_file: Path | None, lock_file: Path) -> Lock:
    if not job.is_terminal:
        raise NoAnswer(f"Job {job.id} is {job.state}: ask again later.", Exit.LATER)
    job.require_answer()  # says why there is none
    from importlib import metadata  # noqa: PLC0415 - takes longer to load than a check takes

    try:
        return make_lock(
            spec,
            job.document["recommendation"],
            spec_path=None if spec_file is None else relative_spec(spec_file, lock_file),
            job_id=job.id,
            locked_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            batchscout_version=metadata.version("batchscout"),
        )
    except UnreadableAnswer as error:
        raise NoAnswer(f"The answer of job {job.id} is of no use: {error}.", Exit.UNTOLD) from error


@contextmanager
def _explaining() -> Iterator[None]:
    """Turn the errors of the client into one that says what they mean for a script."""
    from batchscout import errors  # noqa: PLC0415 - as above

    try:
        yield
    except errors.ServiceUnavailable as error:
        raise NoAnswer(f"Try later: {error}", Exit.LATER, is_away=True) from error
    except errors.UnexpectedAnswer as error:
        raise NoAnswer(f"Cannot tell: {error}", Exit.UNTOLD, is_away=True) from error
    except errors.UnusableKey as error:
        raise NoAnswer(str(error), Exit.USAGE) from error
    except errors.Refused as error:
        raise NoAnswer(f"Refused: {_problem(error)}", Exit.USAGE) from error
    except errors.JobFailed as error:
        text = f"Job {error.job_id} failed: {_problem(error)}"
        raise NoAnswer(text, Exit.NEGATIVE) from error
    except errors.JobCancelled as error:
        raise NoAnswer(f"Cancelled: {error}.", Exit.UNTOLD) from error


def _problem(error: ProblemError) -> str:
    problem = error.problem
    fields = "; ".join(f"at {field.where}: {field.detail}" for field in problem.fields)
    return f"{problem.detail} [{problem.code}]" + (f" ({fields})" if fields else "")


def _without_key(text: str) -> str:
    """Take the key out of words that came from elsewhere: a proxy may quote what it was sent."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    return text.replace(key, "***") if key else text
