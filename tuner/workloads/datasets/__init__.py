"""The sources of data, one file each; a new one is a file and a line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tuner.workloads.datasets.arrays import Arrays, Loader
from tuner.workloads.datasets.entrypoint import load_entrypoint
from tuner.workloads.datasets.files import load_files
from tuner.workloads.datasets.sklearn import load_sklearn
from tuner.workloads.datasets.synthetic import load_synthetic

LOADERS: Mapping[str, Loader] = MappingProxyType(
    {
        "sklearn": load_sklearn,
        "files": load_files,
        "synthetic": load_synthetic,
        "entrypoint": load_entrypoint,
    }
)
"""From the `kind` of a data set to what reads it."""

__all__ = ["LOADERS", "Arrays", "Loader"]
