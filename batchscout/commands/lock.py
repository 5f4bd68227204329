"""`batchscout lock`: has a spec answered and writes the answer down for `batchscout check`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from batchscout.check.command import BadOptions, server_of
from batchscout.check.digest import digest
from batchscout.check.fixing import replace_file
from batchscout.check.fresh import SERVER_VARIABLE, Asking, NoAnswer, ask
from batchscout.check.lock import BadLock, Lock, read_lock, relative_spec
from batchscout.check.plain import plain
from batchscout.commands.ask import OpenService
from batchscout.commands.interrupts import termination_interrupts
from batchscout.commands.spec_file import UnreadableSpec, read_spec
from batchscout.commands.watching import make_watcher
from batchscout.errors import BatchscoutError
from batchscout.exits import Exit
from batchscout.jobs import Job


def lock(options: argparse.Namespace, open_service: OpenService) -> Exit:
    """Write the lock of a spec, unless it is there already.

    The file is replaced at once when the answer is there; until then, and where something goes
    wrong, it stays as it was.

    Args:
        options: `spec`, `out`, `server`, `force` and `wait`; the rest is for the service.
        open_service: Starts the service where none is named.

    Returns:
        OK with a lock; NEGATIVE for a failed job or a target that no run reached; USAGE for a
        spec or a file that has to change; UNTOLD for a cancelled job or after an interrupt;
        LATER where the job goes on or nobody answers.
    """
    try:
        return _lock(options, open_service)
    except (UnreadableSpec, BadOptions) as error:
        return _say(str(error), Exit.USAGE)
    except NoAnswer as error:
        return _say(f"{error} {_kept(options.out)}", error.exit_code)
    except BatchscoutError as error:
        return _say(f"Cannot tell: {error} {_kept(options.out)}", Exit.UNTOLD)
    except KeyboardInterrupt:
        return _say(f"Interrupted. {_kept(options.out)}", Exit.UNTOLD)
    except OSError as error:
        return _say(f"{options.out} cannot be written: {error.strerror or error}", Exit.USAGE)


def _lock(options: argparse.Namespace, open_service: OpenService) -> Exit:
    spec = read_spec(options.spec)
    known = None if options.force else _known(options.out, spec)
    if known is not None:
        return _keep(known, options)
    server = server_of(options)
    if server and not options.server and _names_own_service(options):
        raise BadOptions(
            f"{SERVER_VARIABLE} names a service, and other options are for one of our own: "
            "unset it, or leave them out."
        )
    found = _ask(spec, options, server, open_service)
    replace_file(options.out, found.text())
    return _tell(found, options.out)


def _names_own_service(options: argparse.Namespace) -> bool:
    own = (options.data_dir, options.file_root, options.code_root, options.allow_entrypoints)
    return any(value is not None for value in own)


def _known(file: Path, spec: Mapping[str, Any]) -> Lock | None:
    """The lock that is there, if it answers this very spec."""
    try:
        found = read_lock(file)
    except BadLock:
        return None
    return found if found.spec_digest == digest(spec) else None


def _keep(known: Lock, options: argparse.Namespace) -> Exit:
    """Leave a lock as it is, but for the path of a spec that was moved."""
    path = _spec_path(options)
    if path is not None and path != known.spec:
        replace_file(options.out, dataclasses.replace(known, spec=path).text())
    return _say(
        f"{options.out} answers this spec already, by job {known.job_id} of {known.locked_at}: "
        "nothing was asked. --force has it measured anew.",
        Exit.OK,
    )


def _spec_path(options: argparse.Namespace) -> str | None:
    return None if options.spec == "-" else relative_spec(Path(options.spec), options.out)


def _ask(
    spec: Mapping[str, Any],
    options: argparse.Namespace,
    server: str | None,
    open_service: OpenService,
) -> Lock:
    if not options.out.parent.is_dir():  # told before anything is measured
        raise UnreadableSpec(f"there is no folder {options.out.parent} for the lock")
    service = nullcontext(server) if server else open_service(options)
    watcher = make_watcher(sys.stderr)
    seen: list[Job] = []

    def watch(job: Job) -> None:
        seen.append(job)
        watcher(job)

    with termination_interrupts(), service as url, watcher:
        try:
            return ask(
                spec,
                Asking(server=url, wait_seconds=options.wait, force=options.force),
                spec_file=None if options.spec == "-" else Path(options.spec),
                lock_file=options.out,
                on_progress=watch,
            )
        except KeyboardInterrupt:
            if server and seen:
                watcher.note(f"Job {seen[-1].id} goes on; the same command finds it again.")
            raise


def _kept(file: Path) -> str:
    return f"{file} is as it was." if file.exists() else "No lock was written."


def _tell(found: Lock, file: Path) -> Exit:
    measured = found.measured
    rate = "not tuned" if measured.learning_rate is None else repr(measured.learning_rate)
    sentence = (
        f"{file}: micro_batch_size {measured.micro_batch_size}, gradient_accumulation_steps "
        f"{measured.gradient_accumulation_steps}, global_batch_size {measured.global_batch_size}, "
        f"learning_rate {rate}, measured on {measured.device_name}. Commit it."
    )
    sys.stdout.write(plain(sentence) + "\n")
    if measured.target_reached is False:
        return _say("No run reached the target.", Exit.NEGATIVE)
    return Exit.OK


def _say(sentence: str, code: Exit) -> Exit:
    sys.stderr.write(f"lock: {plain(sentence)}\n")
    return code
