"""The command line. Commands are loaded only when they are called."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from batchscout.check.arguments import Parser, add_arguments, add_server, duration
from batchscout.check.lock import LOCK_NAME
from batchscout.exits import Exit

EXIT_CODES = """\
exit codes of every command:
  0   done, positive verdict
  1   a failed job, or a negative verdict (for example: no run reached the target)
  2   the command line or the spec has to change
  3   cannot be told: cancelled, or something needed is missing
  75  try later: nobody answers, or the service is too busy
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Arguments without the program's name; those of this process by default.

    Returns:
        The exit code, one of `Exit`.

    Raises:
        SystemExit: With code 2 for a command line that cannot be read, 0 for `--help`.
    """
    options = make_parser().parse_args(argv)
    try:
        return int(_run(options))
    except KeyboardInterrupt:
        return int(Exit.UNTOLD)


def make_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = Parser(
        prog="batchscout",
        description="Measure which batch size and learning rate train a model fastest.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="run the service on this machine"))
    _add_tune(commands.add_parser("tune", help="run one tuning job and print its answer"))
    _add_study(commands.add_parser("study", help="try batch sizes side by side, and show why"))
    _add_estimate(
        commands.add_parser("estimate", help="predict which cards a training fits, without them")
    )
    _add_report(commands.add_parser("report", help="write all that a job has shown into one file"))
    _add_export(commands.add_parser("export", help="write an answer in the words of a framework"))
    _add_lock(commands.add_parser("lock", help="have a spec answered and lock the answer"))
    add_arguments(
        commands.add_parser("check", help="hold training configs against a locked answer")
    )
    _add_keys(commands.add_parser("keys", help="say who may ask a service of this machine"))
    _add_doctor(commands.add_parser("doctor", help="report what this machine can do"))
    return parser


class _Version(argparse.Action):
    """Prints the installed version and ends the program."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata

        sys.stdout.write(f"batchscout {metadata.version('batchscout')}\n")
        parser.exit()


def _run(options: argparse.Namespace) -> Exit:
    if options.command == "check":
        from batchscout.check.command import run_check

        return run_check(options)
    if options.command in {"tune", "study", "estimate", "lock"}:
        return _ask(options)
    if options.command == "export":
        from batchscout.commands.export import export

        return export(options)
    if options.command == "report":
        from batchscout.commands.report import report

        return report(options)
    if options.command == "keys":
        from batchscout.commands.keys import keys

        return keys(options)
    from batchscout.commands import operate

    return operate.serve(options) if options.command == "serve" else operate.doctor(options)


def _ask(options: argparse.Namespace) -> Exit:
    from batchscout.commands import ask, operate, study
    from batchscout.commands.lock import lock

    own = {"--data-dir": options.data_dir, "--file-root": options.file_root}
    own |= {"--code-root": options.code_root, "--allow-entrypoints": options.allow_entrypoints}
    for name, value in own.items():
        if options.server and value is not None:
            sys.stderr.write(
                f"{name} is for a service of our own: with --server, set it where that runs.\n"
            )
            return Exit.USAGE
    commands = {"tune": ask.tune, "study": study.study, "estimate": ask.estimate, "lock": lock}
    return commands[options.command](options, operate.embedded)


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on, 0 for a free one (8321)")
    _add_folders(parser)
    parser.add_argument(
        "--only", choices=("api", "controller"), help="run one of the two processes, no more"
    )


def _add_tune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC.json", help="the request; - reads standard input")
    parser.add_argument(
        "--server", metavar="URL", type=_address, help="ask this service, start none"
    )
    parser.add_argument(
        "--force", action="store_true", help="measure even what was answered before"
    )
    parser.add_argument("--json", action="store_true", help="print the whole job as JSON")
    _add_folders(parser)


def _add_study(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC.json", help="the request; - reads standard input")
    parser.add_argument(
        "--server", metavar="URL", type=_address, help="ask this service, start none"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the study as JSON, with all its findings"
    )
    _add_folders(parser)


def _address(text: str) -> str:
    """Read the address of a service; a forgotten `http://` is a slip, not a silent service."""
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is no address: write http://HOST:PORT")
    return text


def _add_estimate(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "exit codes: 0 fits, 1 does not fit, 3 unsure; of several cards the worst"
    parser.add_argument("spec", metavar="SPEC.json", help="as for tune; - reads standard input")
    parser.add_argument(
        "--gpu",
        action="append",
        required=True,
        metavar="NAME",
        help="card of the catalogue, for example A10-24GB; may be repeated",
    )
    parser.add_argument(
        "--micro-batch-size", type=int, metavar="N", help="does this size fit? (one sample)"
    )
    parser.add_argument(
        "--server", type=_address, metavar="URL", help="ask this service, start none"
    )
    parser.add_argument("--json", action="store_true", help="print the whole estimate as JSON")
    _add_folders(parser)


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", help="id of a tuning job or of a study")
    parser.add_argument(
        "--out", required=True, metavar="FILE", help="where to write; - for standard output"
    )
    parser.add_argument(
        "--format", choices=("html", "md", "json"), help="as the file is called, else html"
    )
    parser.add_argument("--server", type=_address, metavar="URL", help="whom to ask (this machine)")


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", nargs="?", help="id of a job that has an answer")
    parser.add_argument("--lock", type=Path, metavar="FILE", help="read this lock, ask no service")
    parser.add_argument(
        "--format",
        required=True,
        metavar="FORMAT",
        help="json, yaml, hf, accelerate, lightning, deepspeed, torchtitan, hydra, dotenv, "
        "github or python; optuna writes the runs of a job as a study",
    )
    parser.add_argument(
        "--server", metavar="URL", type=_address, help="service to ask ($BATCHSCOUT_SERVER)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write there, not to the screen")
    parser.add_argument(
        "--map",
        action="append",
        type=_named_key,
        metavar="ROLE=KEY",
        help="your own key, for hydra: learning_rate=optimizer.lr; may be repeated",
    )


def _named_key(text: str) -> tuple[str, str]:
    role, mark, key = text.partition("=")
    if not (role and mark and key):
        raise argparse.ArgumentTypeError(f"{text!r} is no ROLE=KEY")
    return role, key


def _add_lock(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC.json", help="as for tune; - reads standard input")
    parser.add_argument(
        "--out", type=Path, default=Path(LOCK_NAME), metavar="FILE", help=f"({LOCK_NAME})"
    )
    add_server(parser)
    parser.add_argument(
        "--force", action="store_true", help="measure even what is locked, or was answered before"
    )
    parser.add_argument(
        "--wait",
        type=duration,
        metavar="DURATION",
        help="leave a job that takes longer, as 90s, 10m, 1h, and end with 75 (no end)",
    )
    _add_folders(parser)


def _add_keys(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make a key and print it, this once")
    create.add_argument("name", metavar="NAME", type=_name, help="whose it is, or what for")
    every = actions.add_parser("list", help="list the keys, revoked ones too")
    revoke = actions.add_parser("revoke", help="take a key's power away, at once and for good")
    revoke.add_argument("id", metavar="ID", help="as listed: ak_...")
    secret = actions.add_parser("secret", help="print the secret that signs callbacks")
    secret.add_argument(
        "id", metavar="ID", nargs="?", help="of this key; none: of a service without keys"
    )
    for action in (create, every, revoke, secret):
        action.add_argument("--data-dir", type=Path, help="data folder of the service")
        action.add_argument("--json", action="store_true", help="print JSON")


def _name(text: str) -> str:
    """Read the name of a key: one line that a list can show."""
    longest = 120
    if not text.strip() or len(text) > longest or not text.isprintable():
        raise argparse.ArgumentTypeError(f"a name is one line of 1 to {longest} characters")
    return text


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to look at (127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to look at (8321)")
    parser.add_argument("--data-dir", type=Path, help="data folder to look at")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def _add_folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", type=Path, help="where jobs and checkpoints are kept")
    parser.add_argument(
        "--file-root",
        type=Path,
        action="append",
        metavar="DIR",
        help="folder under which data files may lie; may be repeated",
    )
    parser.add_argument(
        "--code-root", type=Path, metavar="DIR", help="folder that holds your own packages"
    )
    parser.add_argument(
        "--allow-entrypoints",
        action="append",
        metavar="PREFIX",
        help="module prefix of your own code that may run; may be repeated",
    )


if __name__ == "__main__":
    sys.exit(main())
