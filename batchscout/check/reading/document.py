"""From a file's name to its values: which parser takes which ending."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import PurePath

from batchscout.check.configuration import UnreadableConfig
from batchscout.check.reading.entries import DEEPEST, Document, Entry
from batchscout.check.reading.opening import refuse_conflicts

_FORMS: Mapping[str, str] = {
    ".yaml": "yaml",
    ".yml": "yaml",
    ".json": "json",
    ".jsonc": "json",
    ".toml": "toml",
    ".py": "python",
}
_MARK = "\ufeff"


def form_of(file: str) -> str:
    """Tell a file's kind from its ending.

    Raises:
        UnreadableConfig: It is none of those that are read.
    """
    ending = PurePath(file).suffix.lower()
    if ending in _FORMS:
        return _FORMS[ending]
    if ending == ".ipynb":
        raise UnreadableConfig(
            f"{file} is a notebook, whose cells run in any order; put the configuration into a "
            "file of its own"
        )
    raise UnreadableConfig(f"{file} is none of the kinds that are read: {', '.join(_FORMS)}")


def take_apart(file: str, text: str) -> Document:
    """Find every value of a text.

    Args:
        file: Its name, whose ending says how to read it.
        text: The whole file.

    Raises:
        UnreadableConfig: It cannot be read, and why.
    """
    form = form_of(file)
    refuse_conflicts(file, text)
    hidden = 1 if text.startswith(_MARK) else 0
    try:
        entries = _parser(form)(file, text[hidden:])
    except RecursionError as error:
        raise UnreadableConfig(f"{file} nests more than {DEEPEST} levels") from error
    if hidden:
        entries = [_moved(entry) for entry in entries]
    return Document(file=file, text=text, form=form, entries=entries)


def _parser(form: str) -> Callable[[str, str], list[Entry]]:
    module = import_module(f"batchscout.check.reading.{form}_text")
    parser: Callable[[str, str], list[Entry]] = getattr(module, f"{form}_entries")
    return parser


def _moved(entry: Entry) -> Entry:
    """Count the byte-order mark, which parsers do not see."""
    return Entry(
        path=entry.path,
        kind=entry.kind,
        value=entry.value,
        start=entry.start + 1,
        end=entry.end + 1,
        trouble=entry.trouble,
        unpatchable=entry.unpatchable,
    )
