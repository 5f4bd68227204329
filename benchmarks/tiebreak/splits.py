"""Three-way splits: what is trained on, what the target is read off, and what neither has seen.

The test part is cut off the training part of a recorded workload before anything is trained.
Its validation part stays as it was. The first two become a data set of files; the test arrays
lie in a file that no measurement is told of.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from benchmarks.search.prepare_data import FOLDER, held_out
from benchmarks.search.workloads import Recorded
from tuner.places import Places
from tuner.workloads.data import Split, load_data

BUILD: Final = FOLDER.parents[1] / "tiebreak"
"""Where everything goes that git does not see."""

TEST_SHARE: Final = 0.2
MOST_TEST_SAMPLES: Final = 4000
"""A fifth of the training samples, evenly spaced, and no more than this many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreeWay:
    """A workload whose training has never seen its test part.

    Args:
        recorded: The workload, its data set replaced by the first two parts.
        test: The third part.
        samples: Sizes of the three.
    """

    recorded: Recorded
    test: Split
    samples: tuple[int, int, int]


def three_way(recorded: Recorded, folder: Path = BUILD) -> ThreeWay:
    """Split a workload, or read the split that was written before.

    Args:
        recorded: What its grid was recorded on.
        folder: Files go to `data` and `test` in it.
    """
    seen, unseen = (folder / part / f"{recorded.name}.npz" for part in ("data", "test"))
    if not (seen.exists() and unseen.exists()):
        _write(recorded, seen, unseen)
    dataset = {
        "kind": "files",
        "format": "npz",
        "path": seen.name,
        "validation_fraction": 0.2,
    }
    with np.load(seen) as arrays:
        sizes = len(arrays["x_train"]), len(arrays["x_val"])
    with np.load(unseen) as arrays:
        targets = torch.from_numpy(arrays["y"]) if "y" in arrays else None
        test = Split(inputs=torch.from_numpy(arrays["x"]), targets=targets)
    return ThreeWay(
        recorded=dataclasses.replace(recorded, dataset=dataset),
        test=test,
        samples=(*sizes, len(test)),
    )


def places_of(folder: Path = BUILD) -> Places:
    """Say where the first two parts and checkpoints lie."""
    return Places(artifacts=folder / "artifacts", file_roots=(folder / "data",))


def _write(recorded: Recorded, seen: Path, unseen: Path) -> None:
    """Write both files, as the tensors that the recorded workload is trained on."""
    data = load_data(recorded.workload, Places(artifacts=BUILD, file_roots=(FOLDER,)))
    wanted = min(MOST_TEST_SAMPLES, round(TEST_SHARE * len(data.train)))
    mask = torch.from_numpy(held_out(len(data.train), wanted))
    rest = {
        "x_train": data.train.inputs[~mask],
        "x_val": data.validation.inputs,
    }
    test = {"x": data.train.inputs[mask]}
    if data.train.targets is not None and data.validation.targets is not None:
        rest["y_train"], rest["y_val"] = data.train.targets[~mask], data.validation.targets
        test["y"] = data.train.targets[mask]
    for path, arrays in ((seen, rest), (unseen, test)):
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}")
        np.savez_compressed(part, **{name: each.numpy() for name, each in arrays.items()})  # type: ignore[arg-type]
        part.rename(path)
