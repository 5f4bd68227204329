"""The command line of `batchscout check`; the same in the package and in the one file."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import Final, NoReturn
from urllib.parse import urlsplit

from batchscout.check.configuration import Role
from batchscout.check.holding import OnUnavailable
from batchscout.check.lock import LOCK_NAME
from batchscout.check.plain import plain

EXIT_CODES: Final = """\
exit codes, the worst of all counts in this order:
  2   a file or the command line has to change
  1   a negative verdict
  3   cannot be told from what is there
  75  try later: the answer is not there yet, or nobody answers
  0   passed, warnings included
"""

SECONDS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
DEFAULT_WAIT: Final = "10m"


class Parser(argparse.ArgumentParser):
    """A parser whose complaints command nothing, whatever was on the command line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line and end with code 2."""
        super().error(plain(message))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line of a check.

    Args:
        parser: What to describe it to.
    """
    parser.epilog = EXIT_CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("configs", nargs="+", type=Path, metavar="CONFIG", help="a training config")
    parser.add_argument(
        "--lock", type=Path, default=Path(LOCK_NAME), metavar="FILE", help=f"({LOCK_NAME})"
    )
    parser.add_argument(
        "--spec", type=Path, metavar="FILE", help="the request (the one that the lock names)"
    )
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        type=_mapped,
        metavar="ROLE=KEY",
        help="which key means what, as micro_batch_size=train.per_device_batch; may be repeated",
    )
    parser.add_argument(
        "--data-parallel-size", type=_count, metavar="N", help="devices that train together"
    )
    parser.add_argument("--card", metavar="NAME", help="the card that the training will run on")
    parser.add_argument(
        "--fix", action="store_true", help="write the answer into the configs, and judge again"
    )
    _add_service(parser)
    _add_strictness(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _add_service(parser: argparse.ArgumentParser) -> None:
    add_server(parser)
    waiting = parser.add_mutually_exclusive_group()
    waiting.add_argument(
        "--wait",
        type=duration,
        default=duration(DEFAULT_WAIT),
        metavar="DURATION",
        help=f"how long to wait for a fresh answer, as 90s, 10m, 1h ({DEFAULT_WAIT})",
    )
    waiting.add_argument(
        "--no-wait", action="store_true", help="have a stale lock's spec measured, end with 75"
    )
    waiting.add_argument("--offline", action="store_true", help="ask no service")
    parser.add_argument(
        "--on-unavailable",
        type=OnUnavailable,
        choices=tuple(OnUnavailable),
        default=OnUnavailable.CACHE,
        metavar="{fail,warn,cache}",
        help="with a stale lock and no service: end with 75, warn, or take the old lock (cache)",
    )


def _add_strictness(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--learning-rate-tolerance",
        type=float,
        metavar="FACTOR",
        help="how far a rate may lie outside the measured range (2)",
    )
    parser.add_argument(
        "--slow-down-tolerance",
        type=float,
        metavar="PER_CENT",
        help="how much longer training may take than with the answer (10)",
    )
    parser.add_argument(
        "--allow-untold", action="store_true", help="pass what cannot be told from the config"
    )


def add_server(parser: argparse.ArgumentParser) -> None:
    """Describe how a service is named.

    Args:
        parser: What to describe it to.
    """
    parser.add_argument(
        "--server", metavar="URL", type=address, help="the service to ask ($BATCHSCOUT_SERVER)"
    )


def address(text: str) -> str:
    """Read the address of a service; a slip is told as one, not taken for a silent service."""
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname)
        valid = valid and parts.port != 0 and text.isascii() and text.isprintable()
    except ValueError:
        valid = False
    if not valid:
        # The address is not shown: it may hold a password.
        raise argparse.ArgumentTypeError("this is no address: write http://HOST:PORT")
    return text


def duration(text: str) -> float:
    """Read a duration in seconds: a number and `s`, `m` or `h`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write 90s, 10m or 1h")
    seconds = float(found[1]) * SECONDS[found[2]]
    if not math.isfinite(seconds):
        raise argparse.ArgumentTypeError(f"{text!r} is too long")
    return seconds


def _mapped(text: str) -> tuple[Role, str]:
    role, sign, key = text.partition("=")
    if not sign or not key.strip() or role.strip() not in set(Role):
        raise argparse.ArgumentTypeError(
            f"{text!r} maps nothing: write ROLE=KEY with one of {', '.join(Role)}"
        )
    return Role(role.strip()), key.strip()


def _count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of devices")
    return number
