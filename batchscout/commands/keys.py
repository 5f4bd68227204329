"""`batchscout keys`: who may ask a service. It works on the database, whether one runs or not.

A key is shown once, when it is made; lists show its beginning. The secret of callbacks follows
from the key's id and can be shown again.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from batchscout.commands.operate import CannotServe, explaining, given_settings, make_settings
from batchscout.exits import Exit
from batchscout.origin import ForeignPackage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from service.settings import Settings
    from service.store.keys import Keys
    from service.store.tables import Key

    Action: TypeAlias = Callable[[argparse.Namespace, Settings, Keys], Exit]

HEADINGS: Final = ("id", "begins with", "made (UTC)", "last used", "revoked", "name")


def keys(options: argparse.Namespace) -> Exit:
    """Make, list or revoke keys, or show the secret of callbacks again.

    Args:
        options: `action`, what it is done to, `data_dir` and `json`.

    Returns:
        OK; USAGE for an unknown key or settings that cannot be; UNTOLD where something that is
        needed is missing or the database does not answer.
    """
    with ExitStack() as stack:
        try:
            settings = make_settings(given_settings(options))
            with explaining():
                from sqlalchemy.exc import SQLAlchemyError

                from service.callback_secret import BrokenMaster
                from service.store.keys import Keys
                from service.store.opening import opened
        except CannotServe as error:
            missing = isinstance(error.__cause__, ImportError | ForeignPackage)
            return _say(str(error), Exit.UNTOLD if missing else Exit.USAGE)
        try:
            found = Keys(stack.enter_context(opened(settings)))
            return ACTIONS[options.action](options, settings, found)
        except BrokenMaster as error:
            return _say(str(error), Exit.UNTOLD)
        except (SQLAlchemyError, OSError) as error:
            return _say(
                f"The database in {settings.data_dir} cannot be used ({type(error).__name__}).",
                Exit.UNTOLD,
            )


def _create(options: argparse.Namespace, settings: Settings, keys: Keys) -> Exit:
    from service.callback_secret import secret_of

    row, key = keys.create(options.name)
    secret = secret_of(settings, row.id)
    if options.json:
        return _dump({**_shown(row), "key": key, "callback_secret": secret})
    sys.stdout.write(
        f"id               {row.id}\n"
        f"key              {key}\n"
        f"callback secret  {secret}\n"
        "Keep the key now: it is not shown again. Clients read it from BATCHSCOUT_KEY.\n"
    )
    return Exit.OK


def _list(options: argparse.Namespace, settings: Settings, keys: Keys) -> Exit:
    rows = keys.all()
    if options.json:
        return _dump([_shown(row) for row in rows])
    if not rows:
        return _say(f"There are no keys in {settings.data_dir}.", Exit.OK)
    lines = [HEADINGS, *map(_line, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
    return Exit.OK


def _revoke(options: argparse.Namespace, settings: Settings, keys: Keys) -> Exit:
    row = keys.revoke(options.id)
    if row is None:
        return _no_such_key(options.id, settings)
    if options.json:
        return _dump(_shown(row))
    return _say(f"{row.id} ({row.name}) is revoked: nobody is let in with it any more.", Exit.OK)


def _secret(options: argparse.Namespace, settings: Settings, keys: Keys) -> Exit:
    from service.callback_secret import secret_of

    if options.id is not None and keys.get(options.id) is None:
        return _no_such_key(options.id, settings)
    secret = secret_of(settings, options.id)
    if options.json:
        return _dump({"id": options.id, "callback_secret": secret})
    sys.stdout.write(secret + "\n")
    return Exit.OK


ACTIONS: Final[Mapping[str, Action]] = {
    "create": _create,
    "list": _list,
    "revoke": _revoke,
    "secret": _secret,
}


def _shown(row: Key) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "prefix": row.prefix,
        "created_at": row.created_at.isoformat(),
        "used_at": row.used_at.isoformat() if row.used_at else None,
        "revoked_at": row.revoked_at.isoformat() if row.revoked_at else None,
    }


def _line(row: Key) -> tuple[str, ...]:
    moments = (row.created_at, row.used_at, row.revoked_at)
    return row.id, row.prefix, *map(_moment, moments), row.name


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "-"


def _no_such_key(key_id: str, settings: Settings) -> Exit:
    return _say(f"There is no key {key_id} in {settings.data_dir}.", Exit.USAGE)


def _dump(document: Any) -> Exit:
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return Exit.OK


def _say(sentence: str, code: Exit) -> Exit:
    sys.stderr.write(sentence + "\n")
    return code
