"""Ray Tune itself: its ASHA scheduler over its Optuna search, with a trainable that replays.

One local Ray with one core. A trial trains from rung to rung and keeps its state in between,
so nothing is trained twice: Ray's ASHA stops trials, it does not pause them. Rungs are equal in
seconds, not in steps, so that no batch size is judged earlier than another. `max_t` and
`reduction_factor` are Ray's defaults; `grace_period` is the kindest of those that were tried
on generated grids.

Source: Li et al. 2020, arXiv:1810.05934.
"""

from __future__ import annotations

import logging
import math
import os
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.search.card import Card
from benchmarks.search.draw import Draw
from benchmarks.search.grid import Cell, Grid, load
from benchmarks.search.peers.rig import DIVERGED_EXCESS, Rig

MAX_T: Final = 100
"""Units of time of a whole run: Ray's default."""

REDUCTION_FACTOR: Final = 4
"""Ray's default."""

GRACE_PERIOD: Final = 4
"""Units before a trial may be stopped."""

QUIET: Final = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "PYTHONWARNINGS": "ignore",
}
"""Ray writes no logs and keeps no checkpoints of its search: it is timed in simulated seconds."""


def rungs(grace_period: int) -> tuple[int, ...]:
    """Units at which a trial reports: the scheduler's milestones, and the end."""
    units, at = [], grace_period
    while at < MAX_T:
        units.append(at)
        at *= REDUCTION_FACTOR
    return (*units, MAX_T)


def start() -> None:
    """Start a local Ray of one core; `stop` ends it."""
    os.environ.update(QUIET)
    import ray  # noqa: PLC0415 - a heavy peer that only its own bench loads

    if not ray.is_initialized():
        logging.getLogger("ray.tune").setLevel(logging.ERROR)
        ray.init(
            num_cpus=1,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=100 * 2**20,
            runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}},
        )


def stop() -> None:
    """End Ray and its processes."""
    import ray  # noqa: PLC0415 - a heavy peer that only its own bench loads

    ray.shutdown()


def search(rig: Rig, path: Path, grace_period: int = GRACE_PERIOD) -> None:
    """Spend the budget; Ray must have been started.

    Args:
        rig: Who pays.
        path: File of the grid; Ray's worker process reads it itself.
        grace_period: Units before a trial may be stopped.
    """
    from ray import tune  # noqa: PLC0415 - a heavy peer that only its own bench loads
    from ray.tune.schedulers import AsyncHyperBandScheduler  # noqa: PLC0415
    from ray.tune.search.optuna import OptunaSearch  # noqa: PLC0415

    low, high = (int(math.log2(rig.grid.batches[end])) for end in (0, -1))
    with tempfile.TemporaryDirectory() as folder:
        tune.Tuner(
            trainable(),
            param_space={
                "log2_batch": tune.randint(low, high + 1),
                "learning_rate": tune.loguniform(
                    float(rig.grid.rates[0]), float(rig.grid.rates[-1])
                ),
                "situation": Situation(
                    path=path,
                    card=rig.card,
                    drawn=rig.drawn,
                    horizon_seconds=rig.horizon_seconds,
                    grace_period=grace_period,
                ),
            },
            tune_config=tune.TuneConfig(
                metric="score",
                mode="min",
                search_alg=OptunaSearch(seed=int(rig.rng.integers(2**31))),
                scheduler=AsyncHyperBandScheduler(
                    time_attr="units",
                    max_t=MAX_T,
                    grace_period=grace_period,
                    reduction_factor=REDUCTION_FACTOR,
                ),
                num_samples=-1,
                max_concurrent_trials=1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(verbose=0, storage_path=folder, stop=bookkeeper(rig)),
        ).fit()


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What a trial has to know to replay: plain values, so that it travels to a process."""

    path: Path
    card: Card
    drawn: Draw
    horizon_seconds: float
    grace_period: int


@cache
def grid_at(path: Path) -> Grid:
    """Read a grid once in each process."""
    return load(path)


@cache
def trainable() -> type:
    """Make the trainable; a function, since its base class is Ray's."""
    from ray import tune  # noqa: PLC0415 - a heavy peer that only its own bench loads

    class Replay(tune.Trainable):
        """One trial: trains from rung to rung until it has reached the target."""

        def setup(self, config: dict[str, Any]) -> None:
            """Begin a trial, on a seed that follows from its configuration."""
            where: Situation = config["situation"]
            seconds, rate = where.horizon_seconds, config["learning_rate"]
            self.rig = Rig(
                grid=grid_at(where.path),
                card=where.card,
                drawn=where.drawn,
                horizon_seconds=seconds,
                budget_seconds=math.inf,
                rng=np.random.default_rng([where.drawn.repeat, int(rate * 1e12)]),
            )
            self.rungs = rungs(where.grace_period)
            self.cell = self.rig.grid.cell(2 ** config["log2_batch"], rate)
            self.seed_index = self.rig.any_seed()
            self.rung = 0
            self.trained_seconds = 0.0

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            """Begin another trial in the same process."""
            self.setup(new_config)
            return True

        def step(self) -> dict[str, Any]:
            """Train to the next rung, or to the target if that comes first."""
            units = self.rungs[self.rung]
            limit = self.rig.horizon_seconds * units / MAX_T
            one = self.rig.train(self.cell, self.seed_index, limit, self.trained_seconds)
            self.rung, self.trained_seconds = self.rung + 1, one.trained_seconds
            is_over = one.seconds is not None or units == MAX_T or one.excess >= DIVERGED_EXCESS
            return {
                "score": one.score,
                "units": MAX_T if is_over else units,
                "charged_seconds": one.charged_seconds,
                "beyond_memory": self.rig.beyond_memory,
                "is_new": self.rung == 1,
                "batch_index": self.cell.batch_index,
                "rate_index": self.cell.rate_index,
                "done": is_over,
            }

        def save_checkpoint(self, checkpoint_dir: str) -> dict[str, Any]:
            """Keep nothing: the state lives in the process."""
            return {"folder": checkpoint_dir}

        def load_checkpoint(self, checkpoint: dict[str, Any] | None) -> None:
            """Go on with what the process has."""

    return Replay


def bookkeeper(rig: Rig) -> Any:
    """Make a stopper that charges every report, and ends the search when the budget is spent."""
    from ray import tune  # noqa: PLC0415 - a heavy peer that only its own bench loads

    class Bookkeeper(tune.Stopper):
        """Adds up what trials cost, and puts down the best so far after each report."""

        def __init__(self) -> None:
            self.best = math.inf
            self.cell: Cell | None = None

        def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:  # noqa: ARG002 - Ray's
            """Charge one report; a trial is never ended here."""
            rig.spent_seconds += result["charged_seconds"]
            rig.trials += result["is_new"]
            rig.beyond_memory += result["is_new"] and result["beyond_memory"]
            if result["score"] < self.best:
                self.best = result["score"]
                self.cell = Cell(batch_index=result["batch_index"], rate_index=result["rate_index"])
            if self.cell is not None:
                rig.advise(self.cell)
            return False

        def stop_all(self) -> bool:
            """Whether the budget is spent."""
            return rig.is_spent

    return Bookkeeper()
