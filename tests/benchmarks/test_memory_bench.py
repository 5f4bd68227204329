"""The memory bench in small: its rigs are exact, its rows are honest, its runs go on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.memory import bench, collected, gpu
from benchmarks.memory.peers import Steps, doubling
from benchmarks.memory.rig import Rig
from benchmarks.memory.subjects import CARDS, SUBJECTS, cases
from benchmarks.memory.traces import Traces
from tuner.measuring.simulated import simulated

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def traces() -> Traces:
    """The traces of the quickest subject."""
    return Traces(SUBJECTS["lstm"])


def test_the_suite_is_as_wide_as_it_says() -> None:
    """At least 24 cases, 10 architectures, both precisions, and seeds that were not tuned on."""
    every = [case for name in CARDS for case in cases(name)]
    assert len({case.name for case in every}) >= 24
    assert len({case.subject.family for case in every}) >= 10
    precisions = {case.subject.workload.training["precision"] for case in every}
    assert precisions == {"fp32", "bf16"}
    assert len(bench.REPORTED) >= 10
    assert not set(bench.REPORTED) & set(bench.TUNED_ON)


def test_events_between_traced_sizes_are_those_of_a_trace(traces: Traces) -> None:
    """At sizes that were never traced, order and bytes agree with a trace of that very size."""
    assert traces.is_affine
    assert all(traces.is_exact_at(size) for size in (3, 37, 777))


def test_the_true_maximum_is_the_largest_size_that_runs(traces: Traces) -> None:
    """Every size above it up to the bound of live bytes fails, and it runs itself."""
    rig = Rig(
        subject=SUBJECTS["lstm"],
        card=simulated("RTX3080-10GB", 3),
        events_at=traces.at,
        margin=0.03,
    )
    maximum = rig.true_maximum()
    assert rig.runs(maximum)
    assert not any(rig.runs(size) for size in range(maximum + 1, int(1.5 * maximum)))


def test_a_case_is_run_by_every_method(traces: Traces) -> None:
    """The probe finds a size that runs, in few trials; a row says what it cost."""
    rig = Rig(
        subject=SUBJECTS["lstm"],
        card=simulated("RTX3080-10GB", 3),
        events_at=traces.at,
        margin=0.03,
    )
    row = bench.run_case(rig, traces, 3, with_peers=False)
    for method in ("probe", "growth alone"):
        found = row["methods"][method]
        assert rig.runs(found["answer"])
        assert found["trials"] == len(found["sizes"]) <= 6
    assert bench.is_good(row["methods"]["probe"]["answer"], row["maximum"])


@pytest.mark.parametrize(
    ("answer", "maximum", "good"),
    [(96, 100, True), (95, 100, False), (101, 100, False), (4, 5, True), (3, 5, False)],
)
def test_good_means_near_and_never_above(answer: int, maximum: int, *, good: bool) -> None:
    """At least 96 % or one sample below; an answer above the maximum is never good."""
    assert bench.is_good(answer, maximum) is good


def test_peers_meet_the_error_that_torch_raises() -> None:
    """A simulated step that runs out raises torch's own type with CUDA's words."""
    steps = Steps(lambda size: size <= 10)
    steps.step(8)
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        steps.step(16)
    assert doubling(lambda size: size <= 100, 4096).answer == 64
    assert doubling(lambda size: size <= 100, 4096).out_of_memory == 1


def test_the_suite_for_a_card_runs_on_simulated_ones_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A case is run once however often it is called; its document says that no card was there."""
    lines, result = tmp_path / "rows.jsonl", tmp_path / "document.json"
    arguments = ["gpu.py", "--device", "sim", "--subjects", "lstm", "--limits", "10"]
    monkeypatch.setattr(sys, "argv", [*arguments, "--out", str(lines)])
    gpu.main()
    gpu.main()
    (row,) = [json.loads(line) for line in lines.read_text().splitlines()]
    assert row["answer"] <= row["maximum"]
    assert row["out_of_memory"] == 0
    assert all(error["live"] < 0.0 for error in row["errors"])
    document = collected.collect([lines], result)
    assert document["status"] == "not yet run on a real card"
    assert json.loads(result.read_text())["summary"]["cases"] == 1


def test_shards_share_the_cases_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each case falls to exactly one shard."""
    seen: list[str] = []
    monkeypatch.setattr(
        gpu, "run_case", lambda name, card, device: seen.append(f"{name} on {card}") or {"case": ""}
    )
    for shard in ("0/2", "1/2"):
        out = str(tmp_path / f"{shard[0]}.jsonl")
        monkeypatch.setattr(sys, "argv", ["gpu.py", "--shard", shard, "--out", out])
        gpu.main()
    assert sorted(seen) == sorted(
        f"{name} on {gpu.CARDS[limit]}" for name in gpu.USUAL for limit in (10, 24)
    )


def test_the_suite_for_a_card_needs_torch_alone() -> None:
    """It is imported without pydantic, Optuna, SciPy, scikit-learn or psutil."""
    missing = ("pydantic", "optuna", "scipy", "sklearn", "psutil", "lightning", "accelerate")
    code = f"import sys\nfor name in {missing}: sys.modules[name] = None\n"
    code += "import benchmarks.memory.gpu"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
