"""The machine of a job, by what it asks. It brings Optuna and SciPy: for the controller alone."""

from __future__ import annotations

from typing import Any

from service.machine import Machine
from tuner.spec import StudySpec
from tuner.study import Study
from tuner.tuning import Tuning


def make_machine(spec: Any, *, spec_digest: str) -> Machine:
    """Make the machine of a job that has seen nothing yet.

    Args:
        spec: A `TuningSpec` or a `StudySpec`.
        spec_digest: Over the user's own JSON.

    Returns:
        A tuning or a study.
    """
    if isinstance(spec, StudySpec):
        return Study(spec, spec_digest=spec_digest)
    return Tuning(spec, spec_digest=spec_digest)
