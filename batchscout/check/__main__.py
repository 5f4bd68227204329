"""`python -m batchscout.check`, and the way into the one file."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from batchscout.check.arguments import Parser, add_arguments
from batchscout.check.command import run_check
from batchscout.exits import Exit


def main(argv: Sequence[str] | None = None) -> int:
    """Check configs against a lock.

    Args:
        argv: Arguments without the program's name; those of this process by default.

    Returns:
        The exit code.

    Raises:
        SystemExit: With code 2 for a command line that cannot be read, 0 for `--help`.
    """
    parser = Parser(
        prog="batchscout check", description="Hold a training config against what was measured."
    )
    add_arguments(parser)
    try:
        return int(run_check(parser.parse_args(argv)))
    except KeyboardInterrupt:
        return int(Exit.UNTOLD)


if __name__ == "__main__":
    sys.exit(main())
