"""A problem as text: which field, what is wrong with it, and the way out."""

from __future__ import annotations

from batchscout.errors import Problem


def problem_text(problem: Problem) -> str:
    """Write a problem down for people.

    Args:
        problem: What the service said.

    Returns:
        The detail with its code, then one line for each field that is to blame, the facts,
        and the traceback of the user's own code where there is one.
    """
    lines = [f"{problem.detail} [{problem.code}]"]
    for field in problem.fields:
        where = field.where or "the whole request"
        repeated = field.detail == problem.detail
        lines.append(f"  at {where}" if repeated else f"  at {where}: {field.detail}")
    lines.extend(f"  {name}: {value}" for name, value in (problem.facts or {}).items())
    if problem.traceback:
        lines.append("  In your own code:")
        lines.extend(f"    {line}" for line in problem.traceback.rstrip().splitlines())
    return "\n".join(lines)
