"""Lightning's own finders, run live on the real workloads: `scale_batch_size`, then `lr_find`.

Both have Lightning's defaults. The card's memory is simulated: a batch beyond it raises the
error that CUDA would raise, which is what the batch-size finder looks for. What they found is
kept in `results/search-lightning.json`; the bench reads it, and charges their steps.

    python benchmarks/search/peers/lightning_finders.py [WORKLOAD ...]
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from benchmarks.machine import machine_facts  # noqa: E402
from benchmarks.search.card import CARDS, Card  # noqa: E402
from benchmarks.search.peers.lightning_found import RESULTS, Found  # noqa: E402
from benchmarks.search.prepare_data import FOLDER  # noqa: E402
from benchmarks.search.workloads import BY_NAME, SEEDS, Recorded  # noqa: E402
from tuner.measuring.workbench import Workbench, set_up  # noqa: E402
from tuner.places import Places  # noqa: E402
from tuner.workloads.optimizers import build_optimizer  # noqa: E402

FIRST_RATE: Final = 1e-3
"""Rate that the module starts with; the batch-size finder trains a few steps with it."""


def find(bench: Workbench, card: Card, seed: int) -> Found:
    """Run both finders once.

    Args:
        bench: The workload, its data loaded.
        card: Whose memory is simulated.
        seed: Of the initial weights and the order of the data.
    """
    import lightning.pytorch as pl  # noqa: PLC0415 - a heavy peer that only its own bench loads
    from lightning.pytorch.tuner.tuning import Tuner  # noqa: PLC0415

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    split = bench.train.split
    columns = [split.inputs] if split.targets is None else [split.inputs, split.targets]
    data = TensorDataset(*columns)
    counts = {"out_of_memory": 0}
    steps: dict[int, int] = {}

    class Module(pl.LightningModule):
        """The workload as a user of Lightning writes it."""

        def __init__(self) -> None:
            super().__init__()
            self.batch_size, self.learning_rate = 2, FIRST_RATE
            self.model = bench.model(seed)

        def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
            size = len(batch[0])
            if size > card.largest_micro_batch_size:
                counts["out_of_memory"] += 1
                raise RuntimeError("CUDA out of memory. The card is simulated.")
            steps[size] = steps.get(size, 0) + 1
            targets = batch[1] if len(batch) > 1 else None
            total = bench.criterion.loss_sum(self.model, batch[0], targets)
            return total / (size * (bench.train.items_per_sample or 1))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return build_optimizer(bench.workload.training, self.model, self.learning_rate)

        def train_dataloader(self) -> Any:
            order = torch.Generator().manual_seed(seed)
            return DataLoader(
                data, batch_size=self.batch_size, shuffle=True, generator=order, drop_last=True
            )

    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        module = Module()
        trainer = pl.Trainer(
            accelerator="cpu",
            max_epochs=1000,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=folder,
        )
        finders = Tuner(trainer)
        batch = int(finders.scale_batch_size(module, mode="power") or module.batch_size)
        sweep = finders.lr_find(module)
        suggestion = None if sweep is None else sweep.suggestion()
    return Found(
        batch=batch,
        learning_rate=suggestion,
        steps=dict(sorted(steps.items())),
        out_of_memory=counts["out_of_memory"],
    )


def find_all(workload: Recorded) -> dict[str, list[dict[str, Any]]]:
    """Run both finders on every card with every seed."""
    bench = set_up(workload.workload, Places(artifacts=FOLDER, file_roots=(FOLDER,)))
    return {card.name: [asdict(find(bench, card, seed)) for seed in SEEDS] for card in CARDS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workloads", nargs="*", default=list(BY_NAME))
    names = parser.parse_args().workloads
    known = json.loads(RESULTS.read_text())["found"] if RESULTS.exists() else {}
    for name in names:
        known[name] = find_all(BY_NAME[name])
        print(name, [(one["batch"], one["learning_rate"]) for one in known[name]["late-knee"]])
        report = {
            "bench": "search-lightning",
            "command": "python benchmarks/search/peers/lightning_finders.py",
            "machine": machine_facts(),
            "found": known,
        }
        RESULTS.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
