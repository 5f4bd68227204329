"""What a problem of each code looks like, for the OpenAPI document.

Where a refusal can be provoked without a service, the example is what the code really says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from service import strict_json
from service.api.cursors import read_cursor
from service.problems import KINDS, ProblemError, make_problem
from service.violations import parse_spec

REF: Final = "#/components/examples/{name}"

_PROVOKED: Final[Mapping[str, Callable[[], Any]]] = {
    "invalid_json": lambda: strict_json.parse(b'{"seed": 0, "seed": 1}', max_depth=32),
    "invalid_parameter": lambda: read_cursor("jobs", "my-own-cursor"),
    "invalid_spec": lambda: parse_spec({"model": {"kind": "builtin", "name": "cnm"}}),
}


def references(codes: list[str]) -> dict[str, dict[str, str]]:
    """Refer to the examples of some codes, as a response does.

    Args:
        codes: From the table of codes.

    Returns:
        One reference for each code.
    """
    return {code: {"$ref": REF.format(name=component(code))} for code in codes}


def component(code: str) -> str:
    """The name of a code's example among the components of the document."""
    return f"problem_{code}"


def all_examples() -> dict[str, dict[str, Any]]:
    """Show every code once, as components of the document.

    Returns:
        Examples by the name of their component.
    """
    return {
        component(code): {"summary": kind.title, "value": _shown(code)}
        for code, kind in KINDS.items()
    }


def _shown(code: str) -> dict[str, Any]:
    provoke = _PROVOKED.get(code)
    if provoke is None:
        return make_problem(code, f"{KINDS[code].title}.").model_dump(
            mode="json", exclude_none=True
        )
    try:
        provoke()
    except ProblemError as error:
        problem = make_problem(error.code, error.detail, errors=error.errors)
        return problem.model_dump(mode="json", exclude_none=True)
    raise AssertionError(f"nothing was refused that should be {code}")
