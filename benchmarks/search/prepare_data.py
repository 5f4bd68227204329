"""Write the data sets of the search bench that do not ship as arrays.

    python benchmarks/search/prepare_data.py [FOLDER]

All of it is real and lies on the machine already: Python's own standard library, and the two
sample photographs of scikit-learn (read by Pillow). The same versions of the two give the same
files; the digest of each data set is kept with what was recorded on it.
"""

from __future__ import annotations

import io
import keyword
import math
import sys
import sysconfig
import tokenize
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

FOLDER: Final = Path(__file__).resolve().parents[2] / "build" / "search" / "data"
"""Where the files go unless another folder is named; git does not see it."""

PATCH: Final = 8
"""Pixels along each side of a patch."""

BANDS: Final = 4
"""Bands of equal height in each photograph; a class is a band of one of the two."""

ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz \n0_.,()=:\"'#-["
"""Characters that are told apart; all digits are read as 0, all others as one more token."""

KINDS: Final = (
    "keyword", "name", "number", "string", "open", "close", "comma", "dot", "equals",
    "operator", "line_end", "indent", "dedent",
)  # fmt: skip
"""What a token of Python can be here."""

SIGNS: Final = {"(": "open", "[": "open", "{": "open", ")": "close", "]": "close", "}": "close",
                ",": "comma", ".": "dot", "=": "equals"}  # fmt: skip

CONTEXT: Final = 3
"""Tokens before the one whose kind is asked for."""

COUNTED: Final = "_.,()[]{}=:\"'#+-*/<>@%|&\\"
"""Characters that are counted one by one in a line."""


def sources() -> Iterator[str]:
    """Read the modules that lie directly in the standard library, in order of their names."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.glob("*.py")):
        yield path.read_text(encoding="utf-8")


def token_ids(text: str, length: int) -> np.ndarray:
    """Cut a text into samples of token ids: uint8 (N, length)."""
    place = {character: index for index, character in enumerate(ALPHABET)}
    other, digit = len(ALPHABET), place["0"]
    ids = [digit if c.isdigit() else place.get(c, other) for c in text.lower()]
    whole = len(ids) // length * length
    return np.array(ids[:whole], dtype=np.uint8).reshape(-1, length)


def held_out(samples: int, wanted: int) -> np.ndarray:
    """Choose evenly spaced samples for validation: a mask (samples,)."""
    mask = np.zeros(samples, dtype=bool)
    mask[np.linspace(0, samples - 1, wanted).astype(int)] = True
    return mask


def split(x: np.ndarray, y: np.ndarray | None, validation: int) -> dict[str, np.ndarray]:
    """Split arrays into training and validation parts, as a data set of files names them."""
    mask = held_out(len(x), validation)
    parts = {"x_train": x[~mask], "x_val": x[mask]}
    return parts if y is None else {**parts, "y_train": y[~mask], "y_val": y[mask]}


def code() -> dict[str, np.ndarray]:
    """Language model of source code: samples of 8 characters."""
    text = "\n".join(sources())[: 8 * 40_000]
    return split(token_ids(text, 8), None, 256)


def topics() -> dict[str, np.ndarray]:
    """Language model of English: Python's reference as its help prints it, 8 characters."""
    from pydoc_data.topics import topics as pages  # noqa: PLC0415 - large, and only needed here

    text = "\n".join(pages[name] for name in sorted(pages))
    return split(token_ids(" ".join(text.split()), 8)[:40_000], None, 256)


def patches() -> dict[str, np.ndarray]:
    """Patches of two photographs; asked for is the photograph and the band of height."""
    from sklearn.datasets import load_sample_images  # noqa: PLC0415 - needs Pillow

    inputs, labels = [], []
    for which, image in enumerate(load_sample_images().images):
        height, width = (side // PATCH for side in image.shape[:2])
        cut = image[: height * PATCH, : width * PATCH].reshape(height, PATCH, width, PATCH, 3)
        tiles = cut.transpose(0, 2, 4, 1, 3).reshape(height * width, 3, PATCH, PATCH)
        bands = np.arange(height) * BANDS // height
        inputs.append(tiles)
        labels.append(np.repeat(which * BANDS + bands, width))
    return split(np.concatenate(inputs), np.concatenate(labels).astype(np.int64), 384)


def kind_of(token: tokenize.TokenInfo) -> str | None:
    """Say what a token is; None for one that is left out, such as a comment."""
    match token.type:
        case tokenize.NAME:
            return "keyword" if keyword.iskeyword(token.string) else "name"
        case tokenize.OP:
            return SIGNS.get(token.string, "operator")
        case tokenize.NUMBER | tokenize.STRING:
            return "number" if token.type == tokenize.NUMBER else "string"
        case tokenize.NEWLINE:
            return "line_end"
        case tokenize.INDENT | tokenize.DEDENT:
            return "indent" if token.type == tokenize.INDENT else "dedent"
        case _:
            return None


def kinds() -> dict[str, np.ndarray]:
    """Table: from the tokens before to the kind of the next one."""
    rows: list[list[float]] = []
    labels: list[int] = []
    for text in sources():
        rows_of_file(text, rows, labels)
        if len(rows) >= 3 * 12_000:
            break
    chosen = slice(0, 3 * 12_000, 3)  # neighbouring rows share tokens
    x = np.array(rows, dtype=np.float32)[chosen]
    return split(x, np.array(labels, dtype=np.int64)[chosen], 384)


def rows_of_file(text: str, rows: list[list[float]], labels: list[int]) -> None:
    """Append one row for each token of a file that has enough tokens before it."""
    before: deque[list[float]] = deque(maxlen=CONTEXT)
    depth = brackets = since = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = kind_of(token)
        if kind is None:
            continue
        if len(before) == CONTEXT:
            place = [depth / 4, brackets / 2, since / 8]
            rows.append([*place, *(value for each in before for value in each)])
            labels.append(KINDS.index(kind))
        depth += (kind == "indent") - (kind == "dedent")
        brackets += (kind == "open") - (kind == "close")
        since = 0 if kind == "line_end" else since + 1
        one_hot = [float(kind == each) for each in KINDS]
        before.append([*one_hot, len(token.string) / 8, token.start[1] / 40])


def lines() -> dict[str, np.ndarray]:
    """Table: from counts of characters to the logarithm of how many tokens a line has."""
    counted: list[list[float]] = []
    tokens: list[float] = []
    for text in sources():
        per_line: dict[int, int] = {}
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.string.strip() and token.start[0] == token.end[0]:
                per_line[token.start[0]] = per_line.get(token.start[0], 0) + 1
        for number, line in enumerate(text.splitlines(), start=1):
            if number in per_line:
                counted.append(counts_of(line))
                tokens.append(math.log(per_line[number]))
        if len(tokens) >= 2 * 14_000:
            break
    x = np.array(counted, dtype=np.float32)[: 2 * 14_000 : 2]
    y = np.array(tokens, dtype=np.float32)[: 2 * 14_000 : 2]
    x = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-3)
    return split(x, (y - y.mean()) / y.std(), 384)


def counts_of(line: str) -> list[float]:
    """Count what a line consists of, each count as its logarithm."""
    indentation = len(line) - len(line.lstrip())
    classes = [
        len(line.strip()),
        indentation,
        sum(c.isalpha() for c in line),
        sum(c.isupper() for c in line),
        sum(c.isdigit() for c in line),
        line.strip().count(" "),
        sum(ord(c) > 127 for c in line),
        line.count("import"),
        line.count("self"),
    ]
    return [math.log1p(n) for n in (*classes, *(line.count(sign) for sign in COUNTED))]


DATA_SETS: Final = {
    "code": code, "topics": topics, "patches": patches, "kinds": kinds, "lines": lines,
}  # fmt: skip


def prepare(folder: Path = FOLDER) -> Path:
    """Write whatever is not there yet.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in DATA_SETS.items():
        target = folder / f"{name}.npz"
        if not target.exists():
            part = folder / f".{name}.npz"
            np.savez_compressed(part, **make())  # type: ignore[arg-type]
            part.rename(target)
    return folder


def main() -> None:
    folder = prepare(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as arrays:
            shapes = ", ".join(f"{name} {arrays[name].shape}" for name in arrays)
        print(f"{path.name}: {shapes}")


if __name__ == "__main__":
    main()
