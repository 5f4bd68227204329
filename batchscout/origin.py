"""Guard: the packages that are imported are ours.

`service`, `workers` and `tuner` are plain names. A folder of that name in a caller's checkout
shadows ours as soon as `PYTHONPATH` points there, and another distribution with such a module
overwrites ours in silence. Both would run foreign code in our place, or fail far from the
cause; so whatever starts the service asks here first.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

DISTRIBUTION: Final = "batchscout"
PACKAGES: Final = ("batchscout", "service", "workers", "tuner")


class ForeignPackage(Exception):
    """A package of one of our names is not ours; the message says which and the way out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where one of our packages is imported from.

    Args:
        package: Its name.
        folder: Its folder, or None if it cannot be found.
        fault: What is wrong and the way out, or None.
    """

    package: str
    folder: Path | None
    fault: str | None


def check_origin() -> None:
    """Make sure that every one of our packages is imported from our distribution.

    Raises:
        ForeignPackage: One is missing, shadowed or overwritten.
    """
    faults = [origin.fault for origin in origins() if origin.fault]
    if faults:
        raise ForeignPackage("\n".join(faults))


def origins() -> tuple[Origin, ...]:
    """Look every one of our packages up, without importing it.

    Returns:
        One origin for each, in the order of `PACKAGES`.
    """
    owners = metadata.packages_distributions()
    root = Path(__file__).resolve().parent.parent
    return tuple(judge(name, locate(name), root, owners.get(name, ())) for name in PACKAGES)


def locate(package: str) -> Path | None:
    """Find the folder that `import package` would use.

    Args:
        package: Name of a top-level package.

    Returns:
        Its folder; for a single-file module, the file; None if there is none.
    """
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve()
    return Path(spec.origin).resolve() if spec.origin else None


def judge(package: str, folder: Path | None, root: Path, owners: Iterable[str]) -> Origin:
    """Decide whether a package is ours.

    Args:
        package: Its name.
        folder: Where it is imported from.
        root: The folder that holds our packages.
        owners: Distributions that installed a package of that name.

    Returns:
        Its origin, with the fault if there is one.
    """
    others = sorted({name for name in owners if name.lower() != DISTRIBUTION})
    fault = None
    if folder is None:
        fault = (
            f"The package {package!r} of batchscout is missing: install batchscout again, "
            f"with pip install --force-reinstall batchscout."
        )
    elif folder != root / package:
        fault = (
            f"The package {package!r} of batchscout is shadowed by {folder}: take that folder "
            f"out of PYTHONPATH, or start batchscout from elsewhere."
        )
    elif others:
        fault = (
            f"The package {package!r} of batchscout was overwritten by another distribution "
            f"({', '.join(others)}): install batchscout in a virtual environment of its own."
        )
    return Origin(package=package, folder=folder, fault=fault)
