"""The table of codes, and problems as people get them."""

import ast
from pathlib import Path

import pytest

from service.problems import KINDS, from_tuner, kind_of, make_problem
from tuner.errors import NoFeasibleBatch, Problem, TunerError

REPOSITORY = Path(__file__).resolve().parents[2]


def codes_raised_in(folder: Path) -> set[str]:
    """Codes that the sources give to errors and problems, as constants."""
    found = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                found |= codes_of(node)
            elif isinstance(node, ast.ClassDef) and node.bases:
                found |= default_codes_of(node)
    return found


ERRORS = {"InvalidWorkload", "NotAnswerable", "NoFeasibleBatch", "TunerError", "Problem"}


def codes_of(call: ast.Call) -> set[str]:
    """Codes in one call that makes an error or a problem."""
    name = getattr(call.func, "id", None)
    if name == "_refuse" and len(call.args) > 1 and isinstance(call.args[0], ast.Constant):
        return {str(call.args[0].value)}
    values = [keyword.value for keyword in call.keywords if keyword.arg == "code"]
    return {v.value for v in values if isinstance(v, ast.Constant)} if name in ERRORS else set()


def default_codes_of(definition: ast.ClassDef) -> set[str]:
    """The `code` that a class of errors has by default."""
    found = set()
    for node in definition.body:
        if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Constant):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if getattr(targets[0], "id", None) == "code":
                found.add(str(node.value.value))
    return found


@pytest.mark.parametrize("package", ["tuner", "workers", "service"])
def test_every_code_is_in_the_table(package: str) -> None:
    """Whatever code an error carries, the table gives it a status and a title."""
    found = codes_raised_in(REPOSITORY / package)
    assert found - KINDS.keys() == set()


def test_the_search_for_codes_finds_some() -> None:
    """The test above would notice a code that is missing."""
    found = codes_raised_in(REPOSITORY / "tuner")
    assert {"path_outside_root", "no_feasible_batch", "model_not_accepted"} <= found


def test_a_problem_takes_status_and_title_from_its_code() -> None:
    """Callers give a code and a detail; the rest follows."""
    problem = make_problem("queue_full", "Later.", instance="/v1/tuning-jobs")
    assert (problem.status, problem.type) == (429, "urn:batchscout:problem:queue_full")
    assert problem.title == KINDS["queue_full"].title


def test_a_code_that_is_not_listed_is_the_callers_fault() -> None:
    """It never becomes a server error."""
    assert kind_of("never_heard_of") == KINDS["invalid_workload"]


def test_the_tuners_problem_keeps_all_it_knows() -> None:
    """Pointer, traceback and facts reach the person who asked."""
    problem = from_tuner(
        Problem(code="model_failed", detail="It raised.", pointer="/model", traceback="Traceback")
    )
    assert problem.errors[0].pointer == "/model"
    assert problem.traceback == "Traceback"


def test_facts_are_kept() -> None:
    """The numbers behind a problem are part of it."""
    error: TunerError = NoFeasibleBatch("No.", facts={"bytes_needed": 2, "bytes_available": 1})
    problem = from_tuner(error.problem)
    assert problem.facts == {"bytes_needed": 2, "bytes_available": 1}
    assert problem.errors == []
