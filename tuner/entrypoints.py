"""People's own code: which may run, and how it is found. Standard library alone."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tuner.errors import InvalidWorkload

if TYPE_CHECKING:
    from tuner.places import Places

OWN_NAMES: Final = ("batchscout", "service", "tuner", "workers")
"""Top-level packages of this distribution; own code by these names would hide or be hidden."""


def check_entrypoint(target: str, prefixes: Sequence[str], *, pointer: str) -> None:
    """Refuse code that the operator did not allow.

    Args:
        target: `package.module:function`.
        prefixes: Allowed module prefixes; `lab` allows `lab` and `lab.models`, not `labs`.
        pointer: JSON Pointer to the target.

    Raises:
        InvalidWorkload: `entrypoint_not_allowed`.
    """
    module = target.partition(":")[0].split(".")
    if module[0] in OWN_NAMES:
        raise InvalidWorkload(
            f"{target!r} begins with {module[0]!r}, a package of batchscout itself. Give your "
            "package another name.",
            code="entrypoint_not_allowed",
            pointer=pointer,
        )
    allowed = [prefix.split(".") for prefix in prefixes]
    if not any(module[: len(prefix)] == prefix for prefix in allowed):
        raise InvalidWorkload(
            f"{target!r} is not among the allowed entry points. The operator allows a prefix "
            "with --allow-entrypoints.",
            code="entrypoint_not_allowed",
            pointer=pointer,
        )


def check_code_root(code_root: Path, *, pointer: str) -> None:
    """Refuse a code root that holds packages by our own names.

    Args:
        code_root: Folder of own code.
        pointer: JSON Pointer to the target.

    Raises:
        InvalidWorkload: `entrypoint_not_allowed`.
    """
    for name in OWN_NAMES:
        ours = importlib.util.find_spec(name)
        for theirs in (code_root / name / "__init__.py", code_root / f"{name}.py"):
            origin = ours.origin if ours is not None else None
            if theirs.exists() and not (origin and theirs.samefile(origin)):
                raise InvalidWorkload(
                    f"The code root holds a package {name!r}, which is a name of batchscout "
                    "itself: one of the two would hide the other. Rename yours.",
                    code="entrypoint_not_allowed",
                    pointer=pointer,
                )


def load_function(target: str, places: Places, *, pointer: str) -> Callable[..., Any]:
    """Import an allowed function.

    The code root goes last on the import path: own code can never replace a module of the
    standard library, of torch or of batchscout.

    Args:
        target: `package.module:function`.
        places: Prefixes that are allowed, and the code root.
        pointer: JSON Pointer to the target.

    Returns:
        The function.

    Raises:
        InvalidWorkload: `entrypoint_not_allowed`, `entrypoint_not_found`, or the failure code
            of `failure_of` if importing the module raised.
    """
    check_entrypoint(target, places.entrypoint_prefixes, pointer=pointer)
    if places.code_root is not None:
        check_code_root(places.code_root, pointer=pointer)
        root = str(places.code_root.resolve())
        if root not in sys.path:
            sys.path.append(root)
    module_name, _, function_name = target.partition(":")
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and f"{module_name}.".startswith(f"{error.name}."):
            raise _not_found(f"No module {error.name!r} was found.", pointer) from error
        raise failure_of(error, pointer) from error
    except Exception as error:
        raise failure_of(error, pointer) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise _not_found(f"{module_name!r} has no function {function_name!r}.", pointer)
    return function  # type: ignore[no-any-return]  # callable() narrows to object


def failure_of(error: BaseException, pointer: str) -> InvalidWorkload:
    """Describe an exception that people's own code raised.

    Args:
        error: What it raised.
        pointer: JSON Pointer to the part that is to blame.

    Returns:
        The error to raise: `data_failed` under `/dataset`, else `model_failed`, traceback kept.
    """
    own = "data" if pointer.startswith("/dataset") else "model"
    return InvalidWorkload(
        f"The {own}'s own code raised {type(error).__name__}: {error}",
        code=f"{own}_failed",
        pointer=pointer,
        traceback="".join(traceback.format_exception(error)),
    )


def _not_found(detail: str, pointer: str) -> InvalidWorkload:
    return InvalidWorkload(
        f"{detail} Entry points are `package.module:function` in the code root, or installed.",
        code="entrypoint_not_found",
        pointer=pointer,
    )
