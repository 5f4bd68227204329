"""What the runner is measured on, and the loop that one would write by hand for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from tuner.measuring.train import train
from tuner.measuring.workbench import Workbench
from tuner.records import BatchPlan, TrainingRun, Workload

SEED = 0
SGD = {"kind": "sgd", "momentum": 0.9}
ADAMW = {"kind": "adamw", "beta2": 0.98, "weight_decay": 0.01}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A workload with the batch, the rate and the cadence that it is trained with."""

    name: str
    workload: Workload
    batch: int
    learning_rate: float
    steps: int
    every: int

    def request(self, **changes: Any) -> TrainingRun:
        """Ask the runner for what the bare loop does."""
        fields: dict[str, Any] = {
            "id": self.name,
            "workload": self.workload,
            "plan": BatchPlan(micro_batch_size=self.batch),
            "learning_rate": self.learning_rate,
            "seed": SEED,
            "max_steps": self.steps,
            "evaluate_every_steps": self.every,
            "target": None,
            "device_kind": self.workload.accelerator,
        }
        return TrainingRun(**{**fields, **changes})


def workload(
    model: dict[str, Any],
    dataset: dict[str, Any],
    *,
    task: str,
    optimizer: dict[str, Any],
    accelerator: str = "cpu",
    **options: Any,
) -> Workload:
    """State a workload with a constant rate."""
    training = {
        "task": task,
        "optimizer": optimizer,
        "schedule": {"kind": "constant"},
        "precision": "fp32",
        "gradient_clip_norm": None,
        **options,
    }
    return Workload(
        model=model,
        dataset=dataset,
        training=training,
        metric="validation_loss",
        accelerator=accelerator,
        data_seed=SEED,
    )


def run_ours(bench: Workbench, subject: Subject) -> tuple[float, float]:
    """Train by the runner; return wall seconds, model building included, and the last loss."""
    began = time.perf_counter()
    result = train(lambda: bench, subject.request(), tightened=lambda: None, began=began)
    return time.perf_counter() - began, result.curve[-1].value


def run_bare(bench: Workbench, subject: Subject) -> tuple[float, float]:
    """Train by hand: same model, data, batch and evaluations (step 0 too); return the same."""
    began = time.perf_counter()
    device, data, batch = bench.device, bench.data, subject.batch
    model = bench.model(SEED)
    optimizer = _optimizer(subject.workload, model, subject.learning_rate)
    is_text = subject.workload.training["task"] == "causal_lm"
    clip = subject.workload.training["gradient_clip_norm"]
    score = _text_loss if is_text else _class_loss
    precision = subject.workload.training["precision"]
    train_inputs, train_targets = data.train.inputs, data.train.targets
    samples = len(train_inputs)
    step, loss = 0, _evaluated(bench, model, score, batch, precision)
    while step < subject.steps:
        order = torch.randperm(samples).to(device)
        for start in range(0, samples - batch + 1, batch):
            rows = order[start : start + batch]
            inputs = train_inputs[rows]
            targets = None if train_targets is None else train_targets[rows]
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                mean = score(model, inputs, targets)
            optimizer.zero_grad()
            mean.backward()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
            optimizer.step()
            step += 1
            if step % subject.every == 0:
                loss = _evaluated(bench, model, score, batch, precision)
            if step == subject.steps:
                break
    return time.perf_counter() - began, loss


@torch.no_grad()
def _evaluated(
    bench: Workbench,
    model: torch.nn.Module,
    score: Callable[..., torch.Tensor],
    batch: int,
    precision: str,
) -> float:
    model.eval()
    split = bench.data.validation
    total = torch.zeros((), device=bench.device)
    for start in range(0, len(split), batch):
        inputs = split.inputs[start : start + batch]
        targets = None if split.targets is None else split.targets[start : start + batch]
        with torch.autocast(bench.device.type, torch.bfloat16, enabled=precision == "bf16"):
            total += score(model, inputs, targets) * len(inputs)
    model.train()
    return float(total) / len(split)


def _class_loss(
    model: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    return functional.cross_entropy(model(inputs), targets)


def _text_loss(model: torch.nn.Module, inputs: torch.Tensor, _: None) -> torch.Tensor:
    scores = model(inputs)
    scores = scores if isinstance(scores, torch.Tensor) else scores.logits
    return functional.cross_entropy(scores[:, :-1].float().flatten(0, 1), inputs[:, 1:].flatten())


def _optimizer(
    stated: Workload, model: torch.nn.Module, learning_rate: float
) -> torch.optim.Optimizer:
    options = stated.training["optimizer"]
    if options["kind"] == "sgd":
        return torch.optim.SGD(model.parameters(), lr=learning_rate, momentum=options["momentum"])
    return torch.optim.AdamW(
        model.parameters(),
        lr=learning_rate,
        betas=(0.9, options["beta2"]),
        weight_decay=options["weight_decay"],
    )
