"""Loads one export by the library that it is for, and prints what that made of it as JSON.

Run apart from the tests: `python loaders.py FORMAT FILE FOLDER`. These libraries change what is
imported beside them (DeepSpeed is picked up by accelerate, for example), and take seconds to load.
"""

from __future__ import annotations

import json
import os
import runpy
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

DEVICES = 2
"""Where a library can be told that there are more: the number of the answer that is loaded."""


def load_hf(file: Path, folder: Path) -> dict[str, Any]:
    """By `HfArgumentParser`, and by a `Trainer` that makes optimizer and schedule."""
    import torch
    from transformers import HfArgumentParser, Trainer, TrainingArguments

    (parsed,) = HfArgumentParser(TrainingArguments).parse_json_file(str(file))
    named = TrainingArguments(**json.loads(file.read_text()), output_dir=str(folder), use_cpu=True)
    assert parsed.gradient_accumulation_steps == named.gradient_accumulation_steps
    model = torch.nn.Linear(2, 2)
    trainer = Trainer(model=model, args=named)
    steps = named.max_steps if named.max_steps > 0 else 1000
    trainer.create_optimizer_and_scheduler(steps)
    group = trainer.optimizer.param_groups[0]
    rates = trainer.lr_scheduler.lr_lambdas[0]
    return {
        "global_batch_size": named.train_batch_size * named.gradient_accumulation_steps,
        "learning_rate": named.learning_rate,
        "optimizer": type(trainer.optimizer).__name__,
        # What Trainer keeps away from decay is a group of its own; the first one has all.
        "options": {name: value for name, value in group.items() if name != "params"},
        "rates": [named.learning_rate * rates(step) for step in (0, 5, 10, 500, 999)],
        "max_grad_norm": named.max_grad_norm,
        "auto_find_batch_size": named.auto_find_batch_size,
    }


def load_accelerate(file: Path, folder: Path) -> dict[str, Any]:
    """By running the snippet beside a model and a data set, and preparing all three."""
    import torch

    dataset = torch.utils.data.TensorDataset(torch.zeros(1000, 2))
    given = {"dataset": dataset, "model": torch.nn.Linear(2, 2)}
    made = runpy.run_path(str(file), init_globals=given)
    accelerator = made["accelerator"]
    loader, optimizer = accelerator.prepare(made["loader"], made["optimizer"])
    first = next(iter(loader))[0]
    passes = accelerator.gradient_accumulation_steps * accelerator.num_processes
    assert loader.total_batch_size == len(first) * accelerator.num_processes
    return {
        "global_batch_size": len(first) * passes,
        "learning_rate": optimizer.param_groups[0]["lr"],
    }


def load_lightning(file: Path, folder: Path) -> dict[str, Any]:
    """By `LightningCLI`, for a module and a data module with arguments of the usual names."""
    from lightning import LightningDataModule, LightningModule
    from lightning.pytorch.cli import LightningCLI

    class Module(LightningModule):
        def __init__(self, learning_rate: float) -> None:
            super().__init__()
            self.learning_rate = learning_rate

    class Data(LightningDataModule):
        def __init__(self, batch_size: int) -> None:
            super().__init__()
            self.batch_size = batch_size

    flags = ["--trainer.accelerator=cpu", "--trainer.logger=false", "--config", str(file)]
    cli = LightningCLI(Module, Data, args=flags, run=False, save_config_callback=None)
    trainer = cli.trainer
    passes = trainer.accumulate_grad_batches * trainer.world_size
    return {
        "global_batch_size": cli.datamodule.batch_size * passes,
        "learning_rate": cli.model.learning_rate,
        "max_grad_norm": trainer.gradient_clip_val,
    }


def load_deepspeed(file: Path, folder: Path) -> dict[str, Any]:
    """By `DeepSpeedConfig`, which holds the three numbers against the world size."""
    from deepspeed.runtime import config as module

    world = SimpleNamespace(get_data_parallel_world_size=lambda: DEVICES)
    # Without a group of processes it would take the world for one device.
    with mock.patch.object(module.dist, "get_rank", return_value=0):
        config = module.DeepSpeedConfig(str(file), mpu=world)
    assert config.world_size == DEVICES
    passes = config.gradient_accumulation_steps * config.world_size
    assert config.train_batch_size == config.train_micro_batch_size_per_gpu * passes
    options = dict(config.optimizer_params or {})
    return {
        "global_batch_size": config.train_batch_size,
        "learning_rate": options.get("lr"),
        "max_grad_norm": config.gradient_clipping,
        "optimizer": config.optimizer_name,
    }


def load_hydra(file: Path, folder: Path) -> dict[str, Any]:
    """By composing a configuration with the overrides of the line."""
    from hydra import compose, initialize_config_dir

    config = "train:\n  batch_size: 1\n  gradient_accumulation_steps: 1\noptim:\n  lr: 1.0\n"
    (folder / "config.yaml").write_text(config)
    with initialize_config_dir(str(folder), version_base=None):
        found = compose("config", overrides=shlex.split(file.read_text()))
    passes = found.train.gradient_accumulation_steps
    return {
        "global_batch_size": found.train.batch_size * passes,
        "learning_rate": found.optim.lr,
    }


def load_yaml(file: Path, folder: Path) -> dict[str, Any]:
    """By OmegaConf, which reads floats otherwise than PyYAML does."""
    from omegaconf import OmegaConf

    found = OmegaConf.load(file)
    return {
        "global_batch_size": found.global_batch_size,
        "learning_rate": found.learning_rate,
    }


LOADERS: dict[str, Callable[[Path, Path], dict[str, Any]]] = {
    "hf": load_hf,
    "accelerate": load_accelerate,
    "lightning": load_lightning,
    "deepspeed": load_deepspeed,
    "hydra": load_hydra,
    "yaml": load_yaml,
}

if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    name, text, scratch = sys.argv[1:]
    # Some libraries talk on standard output: the last line is ours.
    print(json.dumps(LOADERS[name](Path(text), Path(scratch)), default=str))  # noqa: T201 - result
