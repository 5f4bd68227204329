"""The document: what was fixed beforehand, every workload, the whole, and every run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from benchmarks.tiebreak import setting as settings
from benchmarks.tiebreak import splits
from benchmarks.tiebreak.effects import Effect, Floats, effect, pooled, rank_correlation
from benchmarks.tiebreak.picks import FINALISTS, RULES, Rule, picks
from benchmarks.tiebreak.setting import Setting, job_of
from benchmarks.tiebreak.splits import ThreeWay
from benchmarks.tiebreak.training import SEEDS, Trained
from tuner.deciding.comparison import interval
from tuner.deciding.history import Run
from tuner.deciding.limits import CONFIRM_LIMIT
from tuner.deciding.runs import seconds_to

ENOUGH: Final = 20
"""A workload counts where sharpness chose in this many confirmations at least."""

MEASURES: Final = ("asam", "keskar", "hessian_top_eigenvalue")

VERDICT: Final = (
    "there is a gain if the pooled mean of ln test loss, pick less fastest, lies below 0 with "
    "both of its 95 % intervals: that of these workloads and that of workloads like them"
)


def fixed() -> dict[str, Any]:
    """State what was fixed before a result was looked at."""
    return {
        "test_part": {
            "share_of_training_samples": splits.TEST_SHARE,
            "at_most": splits.MOST_TEST_SAMPLES,
        },
        "candidates": {
            "within_of_best": settings.NEAR,
            "at_most": settings.MOST,
            "at_most_of_one_batch": settings.MOST_PER_BATCH,
            "at_least": settings.LEAST,
            "clock": "this machine's own, measured for every batch",
        },
        "target": "median over three seeds of the smoothed validation loss of the quickest "
        "candidate at its recorded steps to the recorded target",
        "run_ends": f"at the target, or at {CONFIRM_LIMIT} x the quickest candidate's time",
        "seeds": SEEDS,
        "confirmations": f"every {FINALISTS} candidates on every few seeds",
        "rules": [
            {"name": one.name, "rounds": one.rounds, "sharpness_tolerance": one.tolerance}
            for one in RULES
        ],
        "judged_by": "held-out seeds, where sharpness and not time chose",
        "enough_confirmations": ENOUGH,
        "verdict": VERDICT,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one workload says.

    Args:
        plain: As JSON.
        effects: Of each rule, by what is compared; empty where too few confirmations were decided
            by sharpness.
    """

    plain: dict[str, Any]
    effects: dict[str, dict[str, Effect]]


def document(found: Mapping[str, Judged]) -> dict[str, Any]:
    """Put everything together but the machine.

    Args:
        found: By workload.
    """
    judged = list(found.values())
    whole = {rule.name: _whole([one.effects[rule.name] for one in judged]) for rule in RULES}
    first = whole[RULES[0].name].get("ln_test_loss", {})
    ends = [
        first[key]["high"] for key in ("these_workloads", "workloads_like_them") if key in first
    ]
    return {
        "fixed_in_advance": fixed(),
        "gain": bool(ends) and max(ends) < 0.0,
        "pooled": whole,
        "rank_correlation_with_test_loss": _correlations([one.plain for one in judged]),
        "workloads": {name: one.plain for name, one in found.items()},
    }


def judge(split: ThreeWay, setting: Setting, trained: Sequence[Trained]) -> Judged:
    """Decide every confirmation of one workload by every rule, and hold the picks to account."""
    tables = _tables(split, setting, trained)
    by_rule, stated = {}, {}
    for rule in RULES:
        by_rule[rule.name], stated[rule.name] = _ruled(split, setting, trained, tables, rule)
    plain = {
        "samples": dict(zip(("train", "validation", "test"), split.samples, strict=True)),
        "target": setting.target,
        "rules": stated,
        "kendall_tau_with_test_loss": {
            name: rank_correlation(tables[name], tables["ln_test_loss"]) for name in MEASURES
        },
        "candidates": [_candidate(setting, tables, at) for at in range(len(setting.candidates))],
        "runs": {name: _plain(table) for name, table in tables.items()},
    }
    return Judged(plain=plain, effects=by_rule)


def _ruled(
    split: ThreeWay,
    setting: Setting,
    trained: Sequence[Trained],
    tables: dict[str, Floats],
    rule: Rule,
) -> tuple[dict[str, Effect], dict[str, Any]]:
    made = list(picks(split, setting, trained, rule))
    decided = [one for one in made if one.chosen != one.fastest]
    effects = {
        name: effect(decided, tables[name])
        for name in ("ln_test_loss", "test_accuracy", "ln_validation_loss", "ln_seconds")
    }
    stated: dict[str, Any] = {
        "confirmations": len(made),
        "chosen_by_sharpness": len(decided),
        **{name: one.plain() for name, one in effects.items()},
    }
    return (effects if len(decided) >= ENOUGH else {}), stated


def _whole(each: Sequence[dict[str, Effect]]) -> dict[str, Any]:
    names = sorted({name for one in each for name in one})
    return {name: pooled([one[name] for one in each if name in one]) for name in names}


def _correlations(each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Average Kendall's tau over workloads."""
    stated: dict[str, Any] = {}
    for name in MEASURES:
        values = [one["kendall_tau_with_test_loss"][name] for one in each]
        known = [value for value in values if value is not None]
        ends = interval(known) if len(known) > 1 else ()
        stated[name] = {"workloads": len(known)} | {
            end: round(value, 4) for end, value in zip(("mean", "low", "high"), ends, strict=False)
        }
    return stated


def _tables(split: ThreeWay, setting: Setting, trained: Sequence[Trained]) -> dict[str, Floats]:
    """Lay what the runs gave out by candidate and seed, (C, S); NaN for none."""
    job = job_of(split, setting)

    def table(value: Callable[[Trained], float | None]) -> Floats:
        laid = np.full((len(setting.candidates), SEEDS), np.nan)
        for one in trained:
            found = value(one)
            laid[one.candidate, one.seed] = np.nan if found is None else found
        return laid

    def seconds(one: Trained) -> float | None:
        return seconds_to(job, Run(request=one.request, result=one.result), setting.target)

    def sharpness(one: Trained, name: str) -> float | None:
        measured = one.result.sharpness
        return None if measured is None else getattr(measured, name)

    return {
        "ln_test_loss": np.log(table(lambda one: one.test_loss)),
        "test_accuracy": table(lambda one: one.test_accuracy),
        "ln_validation_loss": np.log(table(lambda one: one.result.curve[-1].value)),
        "ln_seconds": np.log(table(seconds)),
        "asam": table(lambda one: sharpness(one, "asam")),
        "keskar": table(lambda one: sharpness(one, "keskar")),
        "hessian_top_eigenvalue": table(lambda one: sharpness(one, "hessian_top_eigenvalue")),
    }


def _candidate(setting: Setting, tables: dict[str, Floats], at: int) -> dict[str, Any]:
    one = setting.candidates[at]
    return {
        "global_batch_size": one.global_batch_size,
        "learning_rate": one.learning_rate,
        "reached": int(np.isfinite(tables["ln_seconds"][at]).sum()),
    }


def _plain(table: Floats) -> list[list[float | None]]:
    return [[round(float(x), 5) if np.isfinite(x) else None for x in row] for row in table]
