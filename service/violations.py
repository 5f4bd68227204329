"""From what the schema says about a body to a pointer into it and a sentence that helps.

A validator names a place by the path through the *schema*, in which each tagged union adds a
segment (`model`, `builtin`, `cnn`, `options`). People wrote the *body*, so the tags are left
out again, by walking both at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from service.problems import ProblemError, Violation
from tuner.estimate_spec import MemoryEstimateSpec
from tuner.spec import StudySpec, TuningSpec

Model = TypeVar("Model", bound=BaseModel)

UNION_TAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "/model": ("kind", "name"),
    "/dataset": ("kind",),
    "/training/optimizer": ("kind",),
    "/training/schedule": ("kind",),
    "/objective": ("kind",),
    "/learning_rate": ("kind",),
}
"""Where the request has a union, and the members that choose among its variants, in order."""

MOST_VIOLATIONS: Final = 50
"""As many are named; whoever has more to change begins with these."""

MOST_SHOWN: Final = 60
"""Characters of a text of the user's that are repeated to them."""

MOST_IN_POINTER: Final = 200
"""Characters of a name in a pointer; a longer one, which no field has, blames what holds it."""

_LEADING_NAME: Final = re.compile(r"^(?:Value error, )?([a-z_]+(?:\.[a-z_]+)*)\b")


def parse_spec(body: Any) -> TuningSpec:
    """Check a body against the schema of tuning jobs; see `parse`."""
    return parse(TuningSpec, body)


def parse(model: type[Model], body: Any) -> Model:
    """Check a body against the schema of a request.

    Args:
        model: The schema.
        body: Plain JSON values.

    Returns:
        The request, defaults filled in. Nothing is converted: `"8"` is not a number.

    Raises:
        ProblemError: `invalid_spec`, with one violation for each thing that is wrong.
    """
    try:
        return model.model_validate(body, strict=True)
    except ValidationError as error:
        total = error.error_count()
        first_ones = error.errors(include_url=False)[:MOST_VIOLATIONS]
        found = [_violation(body, item) for item in first_ones]
        first = found[0]
        count = "one thing" if total == 1 else f"{total} things"
        detail = _capitalised(f"{count} to change, at {first.pointer or 'the top'}: {first.detail}")
        raise ProblemError("invalid_spec", detail, errors=found) from error


def pointer_of(body: Any, location: Sequence[str | int]) -> str:
    """Find the place in a body that a validator's path through the schema means.

    Args:
        body: Plain JSON values.
        location: Path through the schema, tags of unions included.

    Returns:
        A JSON Pointer (RFC 6901). The last segment may name a member that is missing; one that
        is too long to be repeated is left out.
    """
    pointer, node = "", body
    tags = list(UNION_TAGS.get(pointer, ()))
    for segment in location:
        if tags and isinstance(node, Mapping) and node.get(tags[0]) == segment:
            tags.pop(0)
            continue
        if len(str(segment)) > MOST_IN_POINTER:
            return pointer
        pointer += "/" + str(segment).replace("~", "~0").replace("/", "~1")
        node = _child(node, segment)
        tags = list(UNION_TAGS.get(pointer, ()))
    return pointer


def _child(node: Any, segment: str | int) -> Any:
    if isinstance(node, Mapping):
        return node.get(segment)
    if isinstance(node, list) and isinstance(segment, int) and segment < len(node):
        return node[segment]
    return None


def _violation(body: Any, error: Mapping[str, Any]) -> Violation:
    pointer = pointer_of(body, error["loc"])
    context = error.get("ctx", {})
    if error["type"].startswith("union_tag"):
        pointer += "/" + context["discriminator"].strip("'")
    if error["type"] == "value_error":
        pointer += _blamed(error["msg"])
    return Violation(pointer=pointer, detail=_sentence(error, context))


def _blamed(message: str) -> str:
    # A check over several fields starts its message with the one to change.
    match = _LEADING_NAME.match(message)
    path = match.group(1).split(".") if match else []
    return "".join(f"/{name}" for name in path) if path and path[0] in _FIELD_NAMES else ""


def _sentence(error: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    kind, last = error["type"], str(error["loc"][-1]) if error["loc"] else "the body"
    if kind == "missing":
        return f"Add `{last}`: it is required."
    if kind == "extra_forbidden":
        return f"Remove `{_cut(last)}`: there is no such field here.{_suggestion(last)}"
    if kind == "union_tag_not_found":
        return f"Add `{context['discriminator'].strip(chr(39))}`: it is required."
    if kind == "union_tag_invalid":
        return f"{_shown(context['tag'])} is not one of {context['expected_tags']}."
    if kind == "value_error":
        sentence: str = error["msg"].removeprefix("Value error, ")
        return f"{sentence}." if _blamed(sentence) else _capitalised(sentence)
    return _capitalised(f"{error['msg']}; it is {_shown(error['input'])}")


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _shown(value: Any) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"


def _suggestion(name: str) -> str:
    if len(name) > MOST_SHOWN:
        return ""
    near = difflib.get_close_matches(name, _FIELD_NAMES, n=1)
    return f" Perhaps `{near[0]}` was meant." if near else ""


def _field_names() -> frozenset[str]:
    requests = (TuningSpec, StudySpec, MemoryEstimateSpec)
    schemas = [request.model_json_schema() for request in requests]
    parts = [part for schema in schemas for part in (schema, *schema["$defs"].values())]
    return frozenset(name for part in parts for name in part.get("properties", ()))


_FIELD_NAMES: Final = _field_names()


def parameter_violations(errors: Sequence[Mapping[str, Any]]) -> list[Violation]:
    """Turn what is wrong with query parameters into violations that name them.

    Args:
        errors: What the framework found, one mapping for each.

    Returns:
        One violation for each, with `parameter` set.
    """
    return [
        Violation(
            parameter=str(item["loc"][-1]),
            detail=_capitalised(f"{item['msg']}; it is {_shown(item.get('input'))}"),
        )
        for item in errors
    ]
