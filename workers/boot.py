"""The private file that a keeper starts from: it pins our packages before anything else.

It is run by its path with `python -P`. Which `tuner` and `workers` are imported is then
decided by folders that the session names, not by the import path: neither a caller's folder
of the same name, nor `PYTHONPATH`, nor another distribution with such a module, nor the
finder of an editable installation has a say. It imports the standard library alone.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib import import_module
from pathlib import Path


def pin(name: str, folder: Path) -> None:
    """Import a package from one folder, so that its name means that folder from now on.

    Args:
        name: Of the package.
        folder: That holds its `__init__.py`.

    Raises:
        ImportError: There is no such package.
    """
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} is not a package", name=name)
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)


def main(arguments: list[str]) -> int:
    """Pin the packages and become a keeper.

    Args:
        arguments: One JSON object: `packages` from name to folder, and the options of
            `workers.keeper.start`.

    Returns:
        The exit code.
    """
    options = json.loads(arguments[0])
    for name, folder in options["packages"].items():
        pin(name, Path(folder))
    code: int = import_module("workers.keeper").start(options)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
