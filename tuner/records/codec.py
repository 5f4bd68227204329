"""The codec: records as plain JSON values, and back."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import Any, Final, Union

from tuner.errors import IncompatibleRecord, Problem
from tuner.records.events import Event
from tuner.records.knowledge import Knowledge, PastAnswer
from tuner.records.unions import Measurement, Request

RECORD_VERSION: Final = 1
"""Raised whenever a stored record could no longer be read by the code before it."""

RECORDS: Final[Mapping[str, type]] = {
    record.__name__: record
    for record in (
        *typing.get_args(Request),
        *typing.get_args(Measurement),
        *typing.get_args(Event),
        Problem,
        Knowledge,
        PastAnswer,
    )
}


def encode(record: Any) -> dict[str, Any]:
    """Turn a record into plain JSON values that `decode` reads back.

    Args:
        record: An instance of one of `RECORDS`.

    Returns:
        A mapping with `record`, its type's name, and `version`. Numbers that JSON cannot
        hold (NaN, infinities) become the strings `nan`, `inf` and `-inf`.
    """
    if type(record).__name__ not in RECORDS:
        raise TypeError(f"{type(record).__name__} is not a record")
    plain: dict[str, Any] = _plain(record)
    return plain


def decode(plain: Mapping[str, Any]) -> Any:
    """Read back what `encode` made.

    Args:
        plain: Plain JSON values.

    Returns:
        The record, equal to the one that was encoded.

    Raises:
        IncompatibleRecord: The type or the version is not one this code knows, or a
            field is missing or unknown.
    """
    name, version = plain.get("record"), plain.get("version")
    record_type = RECORDS.get(str(name))
    if record_type is None or version != RECORD_VERSION:
        raise IncompatibleRecord(f"{name!r} of version {version!r}")
    fields = {key: value for key, value in plain.items() if key not in {"record", "version"}}
    try:
        return _rebuild(record_type, fields)
    except (TypeError, KeyError, ValueError) as error:
        raise IncompatibleRecord(f"{name} of version {version}: {error}") from error


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        name = type(value).__name__
        return {"record": name, "version": RECORD_VERSION} | plain if name in RECORDS else plain
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


@cache
def _hints(record_type: type) -> dict[str, Any]:
    return typing.get_type_hints(record_type)


def _rebuild(hint: Any, value: Any) -> Any:
    origin = typing.get_origin(hint)
    if origin in {Union, types.UnionType}:
        return _rebuild_union(typing.get_args(hint), value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = _hints(hint)
        fields = {k: v for k, v in value.items() if k not in {"record", "version"}}
        return hint(**{key: _rebuild(hints[key], item) for key, item in fields.items()})
    if origin is tuple:
        return tuple(_rebuild(typing.get_args(hint)[0], item) for item in value)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(value)
    return float(value) if hint is float else value


def _rebuild_union(options: tuple[Any, ...], value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, Mapping) and "record" in value:
        return decode(value)
    some = [option for option in options if option is not type(None)]
    return _rebuild(some[0], value)
