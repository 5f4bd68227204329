"""A whole study with torch: real models, real minimisers, real probes."""

from __future__ import annotations

import pytest

from tuner.measuring.dispatch import Measuring
from tuner.places import Places
from tuner.records import Measurement, Request
from tuner.study_findings import StudyFindings
from tuner.study_run import run_study

from .world import make_study

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> StudyFindings:
    """What a study of a small perceptron on the wines finds."""
    measuring = Measuring(Places(artifacts=tmp_path_factory.mktemp("artifacts")))

    def measure(request: Request) -> Measurement:
        return measuring.measure(request, tightened=lambda: None)

    spec = make_study(
        model={"kind": "builtin", "name": "mlp", "options": {"hidden": [8]}},
        dataset={"kind": "sklearn", "name": "wine"},
        batch_sizes=[4, 16, 64],
        learning_rate={"kind": "fixed", "learning_rate": 0.3},
        full_batch={"kind": "rprop"},
        seeds=5,
        patience_epochs=5,
        max_epochs=400,
        figures={"line_points": 7, "landscape_points": 5},
    )
    return run_study(spec, measure=measure)


def test_every_part_is_there(found: StudyFindings) -> None:
    """Every arm converges on every seed, and every probe answers."""
    assert [(arm.rule, arm.runs_converged) for arm in found.arms] == [
        ("optimizer", 5),
        ("optimizer", 5),
        ("optimizer", 5),
        ("rprop", 5),
    ]
    minima = [run.minimum for arm in found.arms for run in arm.runs]
    assert all(one is not None and one.keskar is not None for one in minima)
    assert len(found.lines) == 5
    assert all(line.refused is None for line in found.lines)
    assert [one.dimensions for one in found.landscapes] == [1, 2, 1, 2]
    assert "not_measured" not in {caution.code for caution in found.warnings}


def test_the_ends_of_a_line_are_the_minimisers(found: StudyFindings) -> None:
    """At alpha 0 and 1 the line has the validation losses of the two runs."""
    small, large = found.arms[0], found.arms[2]
    for line in found.lines:
        losses = {point.alpha: point.validation_loss for point in line.points}
        ends = [
            next(run.minimum.validation_loss for run in arm.runs if run.seed == line.seed)
            for arm in (small, large)
        ]
        assert [losses[0.0], losses[1.0]] == pytest.approx(ends, rel=1e-4)


def test_arithmetic_of_gradients_holds(found: StudyFindings) -> None:
    """Variance falls as 1 / B, and the mean gradient does not depend on the batch."""
    claims = {claim.code: claim for claim in found.claims}
    assert claims["variance_falls_as_inverse"].effect == pytest.approx(0.0, abs=0.2)
    assert claims["mean_gradient_unchanged"].verdict != "does_not_hold"
    assert claims["more_epochs"].effect > 0.0
