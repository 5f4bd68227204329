"""What a file of arrays says about itself, read without torch or NumPy.

A request is refused on these few kilobytes, before anything is queued. Nothing here
unpickles, and what a header claims is held against the size of the file.
"""

from __future__ import annotations

import ast
import json
import math
import os
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final, NoReturn

from tuner.errors import InvalidWorkload

ARRAY_NAMES: Final = ("x_train", "y_train", "x_val", "y_val")
"""Arrays that are read; others in the same file are left alone."""

MAX_HEADER_BYTES: Final = 2**20
"""A longer header, or table of contents, is refused unread."""

MIN_TOKENS: Final = 2
"""A language model needs a token to read and one to predict."""

MATRIX_NDIM: Final = 2

POINTER: Final = "/dataset/path"

_SAFETENSORS_DTYPES: Final = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
_NPY_KINDS: Final = {"f": "float", "i": "int", "u": "uint"}
_NPY_SIZES: Final = {"f": {2, 4, 8}, "i": {1, 2, 4, 8}, "u": {1, 2, 4, 8}}
_ITEM_BYTES: Final = {"bool": 1, "bfloat16": 2}
_END_OF_ZIP: Final = b"PK\x05\x06"
_END_OF_ZIP_BYTES: Final = 22
_MAX_ZIP_COMMENT_BYTES: Final = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayHeader:
    """Shape and dtype of one array.

    Args:
        shape: The sample axis comes first.
        dtype: NumPy's name, such as `float32`; also `bfloat16`.
    """

    shape: tuple[int, ...]
    dtype: str

    @property
    def floating(self) -> bool:
        """Whether it holds floating-point numbers."""
        return "float" in self.dtype

    @property
    def bytes(self) -> int:
        """Bytes of its values."""
        item = _ITEM_BYTES.get(self.dtype) or int(self.dtype.strip("abcdefghijklmnopqrstuvwxyz"))
        return math.prod(self.shape) * (item if self.dtype in _ITEM_BYTES else item // 8)

    def __str__(self) -> str:
        """Describe it for a person."""
        return f"{self.dtype} {self.shape}"


def resolve_under(roots: Sequence[Path], relative: str) -> Path:
    """Find a regular file under one of the allowed folders.

    Args:
        roots: Allowed folders, searched in order.
        relative: Path as the request gives it.

    Returns:
        The file, with every symbolic link resolved.

    Raises:
        InvalidWorkload: `path_outside_root` for an absolute path, a `..` or a link that
            leads outside; `file_not_found`; `unreadable_file` for anything but a file.
    """
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts or "\\" in relative or "\0" in relative:
        _refuse("path_outside_root", f"{relative!r} must be relative to a file root, without '..'.")
    if not roots:
        _refuse(
            "path_outside_root",
            "This service has no file root. Its operator sets one with --file-root.",
        )
    escaped = False
    for root in roots:
        real_root = root.resolve()
        found = (real_root / path).resolve()
        if not found.is_relative_to(real_root):
            escaped = True
        elif found.is_file():
            return found
        elif found.exists():
            _refuse("unreadable_file", f"{relative!r} is not a regular file.")
    if escaped:
        _refuse("path_outside_root", f"{relative!r} leads outside of the file roots.")
    raise InvalidWorkload(
        f"No file {relative!r} lies under a file root.", code="file_not_found", pointer=POINTER
    )


def read_header(path: Path, format: str) -> Mapping[str, ArrayHeader]:  # noqa: A002 - its name in the spec
    """Read shapes and dtypes of the arrays that training uses.

    Args:
        path: The file.
        format: `npz` or `safetensors`.

    Returns:
        Those of `ARRAY_NAMES` that the file holds.

    Raises:
        InvalidWorkload: `unreadable_file` where the file is damaged, lies about its size, or
            has a header over the limit; `shape_mismatch` for a dtype that cannot be trained on.
    """
    readers = {"npz": _npz_header, "safetensors": _safetensors_header}
    try:
        with path.open("rb") as file:
            return readers[format](file)
    except (OSError, zipfile.BadZipFile, struct.error, ValueError, SyntaxError) as error:
        _refuse("unreadable_file", f"This is not a readable {format} file: {error}.")
    except (KeyError, TypeError, RuntimeError, MemoryError, NotImplementedError) as error:
        _refuse("unreadable_file", f"This {format} file is damaged ({type(error).__name__}).")


def check_arrays(header: Mapping[str, ArrayHeader], task: str, *, pointer: str = POINTER) -> None:
    """Check that arrays of these shapes and dtypes can be trained on.

    Args:
        header: What `read_header` returned, or the same of arrays in memory.
        task: `classification`, `regression` or `causal_lm`; the last reads only the `x`.
        pointer: JSON Pointer to blame.

    Raises:
        InvalidWorkload: `missing_array`, `shape_mismatch` or `too_few_samples`.
    """
    parts = ["train"] + (["val"] if "x_val" in header or "y_val" in header else [])
    letters = "x" if task == "causal_lm" else "xy"
    if task == "causal_lm" and "x_val" not in header:
        parts = ["train"]
    for part in parts:
        for letter in letters:
            if f"{letter}_{part}" not in header:
                _refuse(
                    "missing_array",
                    f"{task} needs {letter}_{part}; found {', '.join(sorted(header)) or 'none'}.",
                    pointer,
                )
        _check_inputs(f"x_{part}", header[f"x_{part}"], task, pointer)
        if task != "causal_lm":
            _check_targets(part, header[f"x_{part}"], header[f"y_{part}"], task, pointer)
    if "val" in parts:
        for letter in letters:
            _check_alike(letter, header[f"{letter}_train"], header[f"{letter}_val"], pointer)


def _refuse(code: str, detail: str, pointer: str = POINTER) -> NoReturn:
    raise InvalidWorkload(detail, code=code, pointer=pointer)


# ------------------------------------------------------------------------------- shapes


def _check_inputs(name: str, inputs: ArrayHeader, task: str, pointer: str) -> None:
    if task == "causal_lm":
        tokens = len(inputs.shape) == MATRIX_NDIM and not inputs.floating
        if not tokens or inputs.shape[1] < MIN_TOKENS:
            _refuse(
                "shape_mismatch",
                f"{name} must hold integer token ids of shape (N, L), L at least {MIN_TOKENS}, "
                f"not {inputs}.",
                pointer,
            )
    elif len(inputs.shape) < MATRIX_NDIM or 0 in inputs.shape[1:]:
        _refuse(
            "shape_mismatch",
            f"{name} must have the shape (N, ...) with at least one value per sample, "
            f"not {inputs}.",
            pointer,
        )
    if inputs.shape[0] == 0:
        _refuse("too_few_samples", f"{name} is empty.", pointer)


def _check_targets(
    part: str, inputs: ArrayHeader, targets: ArrayHeader, task: str, pointer: str
) -> None:
    axes = len(targets.shape)
    if axes == 0 or targets.shape[0] != inputs.shape[0]:
        _refuse(
            "shape_mismatch",
            f"x_{part} and y_{part} must have one entry per sample, not {inputs} and {targets}.",
            pointer,
        )
    if task == "classification" and (axes != 1 or targets.floating):
        _refuse(
            "shape_mismatch",
            f"y_{part} must hold integer class indices of shape (N,), not {targets}.",
            pointer,
        )
    if task == "regression" and (axes > MATRIX_NDIM or 0 in targets.shape):
        _refuse(
            "shape_mismatch",
            f"y_{part} must have the shape (N,) or (N, K), not {targets}.",
            pointer,
        )


def _check_alike(letter: str, train: ArrayHeader, validation: ArrayHeader, pointer: str) -> None:
    if train.shape[1:] != validation.shape[1:] or train.floating != validation.floating:
        _refuse(
            "shape_mismatch",
            f"{letter}_train and {letter}_val differ in more than their length: "
            f"{train} and {validation}.",
            pointer,
        )


# ---------------------------------------------------------------------------------- npz


def _npz_header(file: BinaryIO) -> dict[str, ArrayHeader]:
    _check_zip_directory(file)
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        return {
            name: _npy_header(archive, members[f"{name}.npy"])
            for name in ARRAY_NAMES
            if f"{name}.npy" in members
        }


def _check_zip_directory(file: BinaryIO) -> None:
    """Refuse a table of contents over the limit before `zipfile` reads all of it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _END_OF_ZIP_BYTES - _MAX_ZIP_COMMENT_BYTES))
    tail = file.read()
    start = tail.rfind(_END_OF_ZIP)
    if start < 0 or start + _END_OF_ZIP_BYTES > len(tail):
        raise zipfile.BadZipFile("it has no end of archive")
    (directory_bytes,) = struct.unpack_from("<I", tail, start + 12)
    if directory_bytes > MAX_HEADER_BYTES:
        raise ValueError(f"its table of contents is over {MAX_HEADER_BYTES} bytes")


def _npy_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> ArrayHeader:
    """Parse one `.npy` header, format 1.0 to 3.0 (numpy.lib.format)."""
    with archive.open(info) as member:
        magic, major, _ = struct.unpack("<6sBB", member.read(8))
        if magic != b"\x93NUMPY" or major not in {1, 2, 3}:
            raise ValueError(f"{info.filename} is no npy array")
        layout = "<H" if major == 1 else "<I"
        (length,) = struct.unpack(layout, member.read(struct.calcsize(layout)))
        if length > MAX_HEADER_BYTES:
            raise ValueError(f"the header of {info.filename} is over {MAX_HEADER_BYTES} bytes")
        fields = _literal(member.read(length).decode("latin1" if major < 3 else "utf8"))  # noqa: PLR2004 - format 3.0 is UTF-8
        preamble_bytes = 8 + struct.calcsize(layout) + length
    header = ArrayHeader(shape=_shape(fields["shape"]), dtype=_npy_dtype(fields["descr"]))
    if preamble_bytes + header.bytes != info.file_size:
        raise ValueError(f"{info.filename} does not have the size that its header states")
    return header


def _literal(text: str) -> Mapping[str, Any]:
    try:
        fields = ast.literal_eval(text)
    except RecursionError as error:
        raise ValueError("a header is nested too deeply") from error
    if not isinstance(fields, dict):
        raise ValueError("a header is not a mapping")  # noqa: TRY004 - the file is at fault
    return fields


def _npy_dtype(descr: Any) -> str:
    text = descr if isinstance(descr, str) else ""
    if text[1:] == "b1":
        return "bool"
    kind, size = text[1:2], text[2:]
    if size.isdigit() and int(size) in _NPY_SIZES.get(kind, ()):
        return f"{_NPY_KINDS[kind]}{8 * int(size)}"
    _refuse("shape_mismatch", f"Arrays must hold real numbers, not dtype {descr!r}.")


def _shape(value: Any) -> tuple[int, ...]:
    if not all(type(length) is int and length >= 0 for length in value):
        raise ValueError(f"{value!r} is no shape")
    return tuple(value)


# -------------------------------------------------------------------------- safetensors


def _safetensors_header(file: BinaryIO) -> dict[str, ArrayHeader]:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    (length,) = struct.unpack("<Q", file.read(8))
    if length > min(MAX_HEADER_BYTES, size - 8):
        raise ValueError(f"its header is over {MAX_HEADER_BYTES} bytes, or over the file's size")
    try:
        entries = json.loads(file.read(length))
    except RecursionError as error:
        raise ValueError("its header is nested too deeply") from error
    return {
        name: _safetensors_entry(name, entries[name], data_bytes=size - 8 - length)
        for name in ARRAY_NAMES
        if name in entries
    }


def _safetensors_entry(name: str, entry: Mapping[str, Any], *, data_bytes: int) -> ArrayHeader:
    dtype = _SAFETENSORS_DTYPES.get(entry["dtype"])
    if dtype is None:
        _refuse("shape_mismatch", f"{name} must hold real numbers, not {entry['dtype']!r}.")
    header = ArrayHeader(shape=_shape(entry["shape"]), dtype=dtype)
    start, end = entry["data_offsets"]
    if end - start != header.bytes or start < 0 or end > data_bytes:
        raise ValueError(f"{name} does not have the size that the header states")
    return header
