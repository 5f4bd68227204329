"""The example: its script trains what its spec asks about, and the whole sequence runs."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import yaml

from batchscout.check.digest import digest
from batchscout.check.lock import read_lock
from tests.wrappers.composite import ACTION
from tests.wrappers.project import EXAMPLE
from tuner.curve import SMOOTHING
from tuner.measuring.evaluation import evaluate
from tuner.measuring.step import TrainingStep
from tuner.measuring.workbench import Workbench, set_up
from tuner.places import Places
from tuner.records import Workload
from tuner.spec import TuningSpec
from tuner.workloads.randomness import seeded


def load(name: str) -> ModuleType:
    """Import a script of the example."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The training script."""
    return load("train")


@pytest.fixture(scope="module")
def bench() -> Workbench:
    """What the tuner makes of the spec of the example."""
    spec = TuningSpec.model_validate_json((EXAMPLE / "spec.json").read_text(encoding="utf-8"))
    plain = spec.model_dump(mode="json")
    workload = Workload(
        model=plain["model"],
        dataset=plain["dataset"],
        training=plain["training"],
        metric=spec.objective.metric,
        accelerator="cpu",
        data_seed=spec.seed,
    )
    return set_up(workload, Places(artifacts=EXAMPLE))


def test_the_script_has_the_data_of_the_spec(script: ModuleType, bench: Workbench) -> None:
    """Both splits hold the same samples in the same order."""
    for own, theirs in zip(
        script.digits(), (bench.train.split, bench.validation.split), strict=True
    ):
        assert torch.equal(own[0], theirs.inputs)
        assert torch.equal(own[1], theirs.targets)


def test_the_script_takes_the_steps_of_the_spec(script: ModuleType, bench: Workbench) -> None:
    """From the same seed, network, loss, accumulation and optimizer give the same weights."""
    rows = torch.arange(60).reshape(3, 20)
    torch.manual_seed(5)
    own = script.network()
    optimizer = torch.optim.SGD(own.parameters(), lr=0.05, momentum=script.MOMENTUM)
    torch.manual_seed(6)
    for some in rows:
        script.step(own, optimizer, script.digits()[0], some, 8)
    theirs = bench.model(5)
    with seeded(6):
        step = TrainingStep(bench, theirs, micro_batch_size=8, learning_rate=0.05)
        for number, some in enumerate(rows):
            step.run(some, number * 20)
    pairs = zip(own.parameters(), theirs.parameters(), strict=True)
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in pairs)
    assert script.evaluate(own, script.digits()[1]) == pytest.approx(
        evaluate(bench, theirs, samples_per_pass=359).value, rel=1e-4
    )


def test_the_config_asks_for_the_target_of_the_spec(script: ModuleType) -> None:
    """Script and spec stop at the same loss, smoothed alike."""
    config = yaml.safe_load((EXAMPLE / "train.yaml").read_text(encoding="utf-8"))
    spec = json.loads((EXAMPLE / "spec.json").read_text(encoding="utf-8"))
    assert config["until"]["validation_loss"] == spec["objective"]["target"]
    assert script.SMOOTHING == SMOOTHING


def test_an_order_shows_every_sample_once_a_pass(script: ModuleType) -> None:
    """Batches span two passes without losing or repeating a sample of either."""
    order = script.Order(10, seed=1)
    seen = torch.cat([order.take(4) for _ in range(5)])
    assert sorted(seen[:10].tolist()) == sorted(seen[10:].tolist()) == list(range(10))


def test_a_run_gives_up_at_its_limit(script: ModuleType) -> None:
    """A training that does not get there ends, and says so."""
    config = {
        "train": {
            "micro_batch_size": 16,
            "gradient_accumulation_steps": 2,
            "learning_rate": 1e-9,
        },
        "until": {"validation_loss": 0.06, "max_samples": 320, "evaluate_every_samples": 64},
    }
    result = script.train(config, seed=0)
    assert (result["reached"], result["samples"], result["steps"]) == (False, 320, 10)


def test_the_lock_answers_the_spec() -> None:
    """The committed lock is not stale, and was measured to its end."""
    lock = read_lock(EXAMPLE / "batchscout.lock.json")
    assert lock.spec == "spec.json"
    assert lock.spec_digest == digest(json.loads((EXAMPLE / "spec.json").read_text()))
    assert lock.answer["evidence"] == "full"


def test_the_workflow_uses_what_the_action_has() -> None:
    """The example of a workflow gives inputs and takes outputs that there are."""
    workflow: Any = yaml.safe_load((EXAMPLE / "github-workflow.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["check"]["steps"]
    (use,) = [step for step in steps if "/batchscout@" in step.get("uses", "")]
    assert set(use["with"]) <= set(ACTION["inputs"])
    taken = re.findall(rf"steps\.{use['id']}\.outputs\.([a-z-]+)", json.dumps(steps))
    assert taken
    assert set(taken) <= set(ACTION["outputs"])


@pytest.mark.full
def test_the_whole_sequence(tmp_path: Path) -> None:
    """The guess is refused, what was mended is accepted, and both train to the target."""
    figures = tmp_path / "figures.json"
    command = [sys.executable, str(EXAMPLE / "compare.py"), "--seeds", "1", "--json", str(figures)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    found = json.loads(figures.read_text())
    answer = read_lock(EXAMPLE / "batchscout.lock.json").answer
    assert found["mended"]["global_batch_size"] == answer["global_batch_size"]
    assert found["mended"]["learning_rate"] == answer["learning_rate"]
    assert found["mended"]["reached"] == 1
    assert "| mended |" in run.stdout


def test_the_readme_shows_what_was_measured() -> None:
    """Its table is that of the committed result, and its changed lines are what a fix writes."""
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    results = EXAMPLE.parents[1] / "benchmarks" / "results" / "ci.json"
    figures = json.loads(results.read_text(encoding="utf-8"))
    assert load("compare").table(figures) in readme
    answer = read_lock(EXAMPLE / "batchscout.lock.json").answer
    for key in ("micro_batch_size", "learning_rate"):
        assert f"    +  {key}: {answer[key]}" in readme
    assert figures["mended"]["learning_rate"] == answer["learning_rate"]
