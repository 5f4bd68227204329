"""Headers are read without NumPy, within limits, and paths stay under their roots."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tuner.errors import InvalidWorkload
from tuner.headers import (
    MAX_HEADER_BYTES,
    ArrayHeader,
    check_arrays,
    read_header,
    resolve_under,
)

ARRAYS = {
    "x_train": np.zeros((6, 3, 4), dtype=np.float32),
    "y_train": np.zeros(6, dtype=np.int64),
    "x_val": np.zeros((2, 3, 4), dtype=np.float16),
    "y_val": np.zeros(2, dtype=np.uint8),
    "notes": np.zeros(3),
}


def _code(error: pytest.ExceptionInfo[InvalidWorkload]) -> str:
    assert error.value.pointer == "/dataset/path"
    return error.value.problem_code


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_headers_agree_with_numpy(tmp_path: Path, save: object) -> None:
    """Shapes and dtypes are those that NumPy wrote; other arrays are left alone."""
    path = tmp_path / "data.npz"
    save(path, **ARRAYS)  # type: ignore[operator]
    header = read_header(path, "npz")
    assert dict(header) == {
        name: ArrayHeader(shape=array.shape, dtype=array.dtype.name)
        for name, array in ARRAYS.items()
        if name != "notes"
    }


def test_safetensors_headers_agree_with_the_writer(tmp_path: Path) -> None:
    """Shapes and dtypes are those that safetensors wrote."""
    path = tmp_path / "data.safetensors"
    save_file(ARRAYS, path, metadata={"made_by": "a test"})
    header = read_header(path, "safetensors")
    assert header["x_val"] == ArrayHeader(shape=(2, 3, 4), dtype="float16")
    assert set(header) == set(ARRAYS) - {"notes"}


@pytest.mark.parametrize("file_format", ["npz", "safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK", b"\xff" * 64, b"\x08" + b"\0" * 7 + b"[[[[[[[["])
def test_damaged_files_are_unreadable(tmp_path: Path, file_format: str, content: bytes) -> None:
    """Whatever the bytes are, the answer is a problem and no other exception."""
    path = tmp_path / "data"
    path.write_bytes(content)
    with pytest.raises(InvalidWorkload) as caught:
        read_header(path, file_format)
    assert _code(caught) == "unreadable_file"


def test_a_truncated_safetensors_file_is_unreadable(tmp_path: Path) -> None:
    """A header that promises more bytes than the file has is a lie."""
    path = tmp_path / "data.safetensors"
    save_file(ARRAYS, path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InvalidWorkload) as caught:
        read_header(path, "safetensors")
    assert _code(caught) == "unreadable_file"


def test_an_npy_header_that_lies_about_its_size_is_unreadable(tmp_path: Path) -> None:
    """The member's size has to be what shape and dtype make it."""
    path = tmp_path / "data.npz"
    np.savez(path, x_train=np.zeros((4, 2)))
    with zipfile.ZipFile(path) as archive:
        member = archive.read("x_train.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train.npy", member.replace(b"(4, 2)", b"(9, 2)"))
    with pytest.raises(InvalidWorkload) as caught:
        read_header(path, "npz")
    assert _code(caught) == "unreadable_file"


def test_headers_over_the_limit_are_not_read(tmp_path: Path) -> None:
    """A header longer than the limit is refused from its stated length alone."""
    path = tmp_path / "data.safetensors"
    body = json.dumps({"filler": "x" * MAX_HEADER_BYTES}).encode()
    path.write_bytes(struct.pack("<Q", len(body)) + body)
    with pytest.raises(InvalidWorkload, match="over 1048576 bytes") as caught:
        read_header(path, "safetensors")
    assert _code(caught) == "unreadable_file"


def test_a_long_table_of_contents_is_not_read(tmp_path: Path) -> None:
    """An archive of very many members is refused before they are listed."""
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20):
            archive.writestr(f"{number:05d}" + "n" * 60_000, b"")
    with pytest.raises(InvalidWorkload, match="table of contents"):
        read_header(path, "npz")


@pytest.mark.parametrize(
    "array",
    [
        np.array([{"a": 1}], dtype=object),
        np.zeros(2, dtype=[("a", "f4")]),
        np.zeros(2, dtype=complex),
        np.array(["text"]),
    ],
)
def test_arrays_that_are_no_numbers_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    """Objects (which would be pickles), records, complex numbers and text are refused."""
    path = tmp_path / "data.npz"
    np.savez(path, allow_pickle=True, x_train=array)
    with pytest.raises(InvalidWorkload) as caught:
        read_header(path, "npz")
    assert _code(caught) == "shape_mismatch"


X = ArrayHeader(shape=(6, 3), dtype="float32")
Y = ArrayHeader(shape=(6,), dtype="int64")
TOKENS = ArrayHeader(shape=(6, 8), dtype="uint8")


@pytest.mark.parametrize(
    ("header", "task"),
    [
        ({"x_train": X, "y_train": Y}, "classification"),
        ({"x_train": X, "y_train": Y}, "regression"),
        ({"x_train": X, "y_train": X}, "regression"),
        ({"x_train": X, "y_train": Y, "x_val": X, "y_val": Y}, "classification"),
        ({"x_train": TOKENS}, "causal_lm"),
        ({"x_train": TOKENS, "x_val": TOKENS, "y_val": Y}, "causal_lm"),
    ],
)
def test_arrays_that_fit_are_accepted(header: dict[str, ArrayHeader], task: str) -> None:
    """Every layout that the documentation names passes."""
    check_arrays(header, task)


@pytest.mark.parametrize(
    ("header", "task", "code"),
    [
        ({}, "classification", "missing_array"),
        ({"x_train": X}, "regression", "missing_array"),
        ({"x_train": X, "y_train": Y, "y_val": Y}, "classification", "missing_array"),
        ({"y_train": Y}, "causal_lm", "missing_array"),
        (
            {"x_train": X, "y_train": ArrayHeader(shape=(5,), dtype="int64")},
            "regression",
            "shape_mismatch",
        ),
        ({"x_train": X, "y_train": X}, "classification", "shape_mismatch"),
        (
            {"x_train": X, "y_train": ArrayHeader(shape=(6, 1, 1), dtype="float32")},
            "regression",
            "shape_mismatch",
        ),
        ({"x_train": Y, "y_train": Y}, "classification", "shape_mismatch"),
        ({"x_train": X}, "causal_lm", "shape_mismatch"),
        ({"x_train": ArrayHeader(shape=(6, 1), dtype="int64")}, "causal_lm", "shape_mismatch"),
        ({"x_train": ArrayHeader(shape=(0, 3), dtype="int64")}, "causal_lm", "too_few_samples"),
        (
            {"x_train": X, "y_train": Y, "x_val": TOKENS, "y_val": Y},
            "classification",
            "shape_mismatch",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    header: dict[str, ArrayHeader], task: str, code: str
) -> None:
    """Missing arrays and mismatched shapes have their codes."""
    with pytest.raises(InvalidWorkload) as caught:
        check_arrays(header, task)
    assert _code(caught) == code


def test_a_path_under_a_root_is_found(tmp_path: Path) -> None:
    """Roots are searched in order, folders and links inside of a root included."""
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "deep").mkdir(parents=True)
    second.mkdir()
    (second / "deep").mkdir()
    (second / "deep" / "a.npz").write_bytes(b"2")
    (second / "link.npz").symlink_to(second / "deep" / "a.npz")
    found = second / "deep" / "a.npz"
    assert resolve_under((first, second), "deep/a.npz") == found
    assert resolve_under((first, second), "link.npz") == found


def test_paths_that_lead_outside_are_refused(tmp_path: Path) -> None:
    """Neither '..', an absolute path, a link to a file nor a link to a folder escapes."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    secret = outside / "secret.npz"
    secret.write_bytes(b"secret")
    (root / "file.npz").symlink_to(secret)
    (root / "folder").symlink_to(outside)
    paths = ["../outside/secret.npz", str(secret), "file.npz", "folder/secret.npz", "a\0b", "a\\b"]
    for path in paths:
        with pytest.raises(InvalidWorkload) as caught:
            resolve_under((root,), path)
        assert _code(caught) == "path_outside_root"


def test_a_root_by_a_similar_name_is_another_folder(tmp_path: Path) -> None:
    """`data-private` is not under `data`, though its name begins with it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data-private").mkdir()
    (tmp_path / "data-private" / "a.npz").write_bytes(b"")
    (tmp_path / "data" / "a.npz").symlink_to(tmp_path / "data-private" / "a.npz")
    with pytest.raises(InvalidWorkload) as caught:
        resolve_under((tmp_path / "data",), "a.npz")
    assert _code(caught) == "path_outside_root"


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """Folders and pipes are unreadable, a missing file is not found, no root allows nothing."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    cases = {"folder": "unreadable_file", "pipe": "unreadable_file", "none.npz": "file_not_found"}
    for path, code in cases.items():
        with pytest.raises(InvalidWorkload) as caught:
            resolve_under((tmp_path,), path)
        assert _code(caught) == code
    with pytest.raises(InvalidWorkload) as caught:
        resolve_under((), "none.npz")
    assert _code(caught) == "path_outside_root"


def test_admission_modules_need_neither_torch_nor_numpy() -> None:
    """What the service imports to refuse a request loads the standard library alone."""
    program = (
        "import sys, tuner.records, tuner.errors, tuner.curve, tuner.places, tuner.headers,"
        "tuner.architectures, tuner.entrypoints, tuner.machine;"
        "tuner.architectures.accepted();"
        "print(sorted({'torch', 'numpy', 'transformers', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
