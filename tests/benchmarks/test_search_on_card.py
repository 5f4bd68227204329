"""The search bench on a card, in small and on a processor: it goes on, and it does not flatter."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.search import gpu
from benchmarks.search.on_card import needed
from benchmarks.search.on_card.ledger import Ledger, OtherSetting, lines_of
from benchmarks.search.on_card.picks import GRID, GRID_SECOND, LARGEST, OURS, spec_of
from benchmarks.search.on_card.report import NOT_RUN, collect, ratio, status
from benchmarks.search.on_card.resnet import resnet
from benchmarks.search.on_card.rig import OutOfTime, Rig
from benchmarks.search.on_card.session import workload_of
from benchmarks.search.on_card.subjects import SUBJECTS, TINY, Subject
from tuner.deciding import timing
from tuner.measuring.workbench import set_up
from tuner.places import Places

pytestmark = pytest.mark.full  # half a minute, for a bench that few change

ROOT = Path(__file__).resolve().parents[2]


EACH_CALL = 12
"""Measurements after which a call of these tests is out of time."""

METHODS = ("--methods", OURS, GRID, LARGEST)


def call(out: Path, *more: str) -> tuple[int, str]:
    """Call the bench on the residual network's stand-in; return exit code and what it said."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = gpu.main(
            [
                *("--workload", "resnet", "--tiny", "--accelerator", "cpu", "--seeds", "2"),
                *("--reference-seconds", "0.2", "--budget-runs", "20", "--out", str(out)),
                *(*METHODS, *more),
            ]
        )
    return code, said.getvalue()


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Lines of a workload that several calls have completed, each but the last out of time."""
    out = tmp_path_factory.mktemp("search") / "lines.jsonl"
    left = iter(range(EACH_CALL))

    def reserve(_rig: Rig, _seconds: float) -> None:
        if next(left, None) is None:
            raise OutOfTime

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "WINDOW_SECONDS", 0.1)
        patch.setattr(Rig, "reserve", reserve)
        codes = [call(out)[0]]
        while codes[-1] == gpu.INCOMPLETE:
            left = iter(range(EACH_CALL))
            codes.append(call(out)[0])
        assert codes[-1] == 0
        assert len(codes) >= 3
        left = iter(())
        yield out


def test_what_is_done_is_not_done_again(lines: Path) -> None:
    """Over several calls nothing is measured twice, and one more call measures nothing."""
    keys = [line["key"] for line in lines_of(lines)]
    measured = [key for key in keys if not key.startswith("score/")]
    assert len(measured) == len(set(measured))
    code, said = call(lines)
    assert code == 0
    assert "complete" in said
    assert {line["key"] for line in lines_of(lines)} == set(keys)


def test_every_pick_is_scored_on_the_same_unseen_seeds(lines: Path) -> None:
    """Each pick has its runs, on seeds that no run of a search had."""
    document = collect([lines], lines.with_name("document.json"))
    picks = {pick["method"]: pick for pick in document["workloads"][0]["picks"]}
    assert set(picks) == {OURS, GRID, GRID_SECOND, LARGEST}
    scored = [pick for pick in picks.values() if pick["learning_rate"] is not None]
    assert {GRID, GRID_SECOND, LARGEST} <= {pick["method"] for pick in scored}
    for pick in scored:
        assert [score["seed"] for score in pick["scores"]] == [9001, 9002]
        assert pick["spent_seconds"] > 0.0
    searched = [line["key"] for line in lines_of(lines) if line["key"].startswith("run/")]
    others = {key.split("/")[3] for key in searched} - {"9001", "9002"}
    assert others <= {"1001", "1002", "2001"}


def test_stand_ins_are_never_taken_for_a_card(lines: Path) -> None:
    """A document of them says so, and one of nothing says that nothing was run."""
    document = collect([lines], lines.with_name("document.json"))
    assert "say nothing of a card" in document["status"]
    assert status([]) == NOT_RUN
    card = {"setting": {"tiny": False, "device": "cuda:X"}}
    assert status([card]) == "run on cuda:X"
    assert status([card, {"setting": {"tiny": True, "device": "cuda:X"}}]) == document["status"]


def test_lines_of_another_setting_are_not_continued(lines: Path) -> None:
    """Another length of the reference is refused, with what differs and the way out."""
    code, said = call(lines, "--reference-seconds", "0.5")
    assert code == 2
    assert "reference_seconds: 0.2, now 0.5" in said
    assert "--out" in said


def test_a_broken_line_costs_itself_alone(tmp_path: Path) -> None:
    """What a killed call left half written is dropped, and the next line stands by itself."""
    path = tmp_path / "lines.jsonl"
    Ledger(path, "vit").put("one", {"n": 1})
    with path.open("a") as file:
        file.write('{"workload": "vit", "key": "tw')
    ledger = Ledger(path, "vit")
    assert ledger.get("one") == {"n": 1}
    assert ledger.get("two") is None
    ledger.put("three", {"n": 3})
    assert Ledger(path, "vit").get("three") == {"n": 3}
    assert Ledger(path, "gpt").get("one") is None


def test_a_ledger_names_what_differs(tmp_path: Path) -> None:
    """The first setting is kept, facts may change, anything else is refused."""
    ledger = Ledger(tmp_path / "lines.jsonl", "vit")
    ledger.agree({"device": "cuda:A"}, {"date": "one"})
    ledger.agree({"device": "cuda:A"}, {"date": "two"})
    with pytest.raises(OtherSetting, match="device: cuda:A, now cuda:B"):
        ledger.agree({"device": "cuda:B"}, {})


def scores(*seconds: float | None) -> list[dict[str, Any]]:
    """Scored runs, given up at 20 s where they missed."""
    return [
        {"seed": seed, "seconds": each, "given_up_seconds": 20.0 if each is None else None}
        for seed, each in enumerate(seconds)
    ]


def test_ratios_are_paired_and_a_miss_makes_them_bounds() -> None:
    """A pick that takes half the time on every seed has ratio 0.5; a miss is at least its cap."""
    half = ratio(scores(2.0, 4.0, 5.0), scores(4.0, 8.0, 10.0))
    assert half is not None
    assert half["estimate"] == pytest.approx(0.5)
    assert half["low"] == pytest.approx(half["high"])
    assert not half["is_at_least"]
    missed = ratio(scores(None, 8.0), scores(10.0, 8.0))
    assert missed is not None
    assert missed["estimate"] == pytest.approx(2.0**0.5)
    assert missed["is_at_least"]
    assert not missed["is_at_most"]
    both = ratio(scores(None), scores(None))
    assert both is not None
    assert both["is_unclear"]


def test_what_is_missing_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is not there is named with its version, and a folder for it; no host is."""
    monkeypatch.setitem(needed.REQUIRED, "no_such_module", "no-such-package>=1")
    assert needed.missing(list(needed.REQUIRED)) == ["no_such_module"]
    line = needed.way_out(["no_such_module"])
    assert "'no-such-package>=1'" in line
    assert "--target" in line
    assert "://" not in line


@pytest.mark.parametrize("subjects", [SUBJECTS, TINY])
def test_every_workload_is_a_request_that_users_can_write(subjects: dict[str, Subject]) -> None:
    """The specs are accepted, and the cells of the grid lie within what is searched."""
    for subject in subjects.values():
        spec = spec_of(subject, accelerator="cpu", target=1.0, device_seconds=10.0)
        assert spec.search.reuse == "never"
        low, high = subject.batches
        assert all(low <= batch <= high for batch in subject.grid_batches)
        assert all(subject.rates[0] <= rate <= subject.rates[1] for rate in subject.grid_rates)
        assert low <= subject.reference_batch <= high


@pytest.mark.parametrize("name", ["vit", "gpt"])
def test_the_other_stand_ins_can_be_trained_on_their_data(name: str, tmp_path: Path) -> None:
    """Data are written and read, the model fits them, and a loss is finite."""
    subject = TINY[name]
    subject.write(tmp_path / f"{name}.npz")
    workload = workload_of(spec_of(subject, accelerator="cpu"), "cpu")
    bench = set_up(workload, Places(artifacts=tmp_path, file_roots=(tmp_path,)))
    inputs, targets = bench.train.fetch(torch.arange(4))
    loss = bench.criterion.loss_sum(bench.model(0), inputs, targets)
    assert torch.isfinite(loss)
    assert not bench.data.synthetic


def test_the_images_are_the_same_for_the_same_seed(tmp_path: Path) -> None:
    """A second making gives the same arrays, so that a later call finds the same data."""
    made = []
    for name in ("one", "two"):
        TINY["resnet"].write(tmp_path / f"{name}.npz")
        with np.load(tmp_path / f"{name}.npz") as archive:
            made.append({key: archive[key] for key in archive})
    assert all(np.array_equal(made[0][key], made[1][key]) for key in made[0])


def test_the_network_is_as_large_as_its_report_says() -> None:
    """The residual network of the bench has 11 million parameters, and no layer of it mixes."""
    network = resnet((3, 32, 32), 20)
    assert 11e6 < sum(parameter.numel() for parameter in network.parameters()) < 12e6
    network.train()
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        alone, together = network(images[:1]), network(images)[:1]
    assert torch.allclose(alone, together, atol=1e-4)


def test_the_committed_document_says_whether_it_was_run() -> None:
    """Without a card's figures it says so."""
    document = json.loads((ROOT / "benchmarks" / "results" / "search-gpu.json").read_text())
    assert document["bench"] == "search-gpu"
    run = document["status"].startswith("run on")
    assert run == bool(document.get("workloads"))
    assert run or document["status"] == NOT_RUN
