"""`deepspeed`: what a DeepSpeed configuration says about batch, optimizer and clipping."""

from __future__ import annotations

from typing import Any, Final

from tuner.exports.format import Format, Keys, Written
from tuner.exports.json_text import json_text
from tuner.exports.plan import Plan
from tuner.exports.remarks import cautions
from tuner.exports.torch_optimizer import torch_optimizer

NO_OPTIMIZER: Final = (
    "The optimizer and its learning rate are left out: DeepSpeed has none by name that does what "
    "was measured. Pass your own to deepspeed.initialize, with the learning rate of the answer."
)


def write(plan: Plan, _: Keys) -> Written:
    """Write one JSON object to be merged into a configuration."""
    config: dict[str, Any] = {
        # DeepSpeed refuses to start where these three and the world size do not multiply.
        "train_batch_size": plan.global_batch_size,
        "train_micro_batch_size_per_gpu": plan.micro_batch_size,
        "gradient_accumulation_steps": plan.gradient_accumulation_steps,
        "gradient_clipping": plan.gradient_clip_norm or 0.0,
    }
    notes = []
    if plan.learning_rate is not None:
        optimizer = _optimizer(plan, plan.learning_rate)
        if optimizer:
            config["optimizer"] = optimizer
        else:
            notes.append(NO_OPTIMIZER)
    return Written(text=json_text(config) + "\n", notes=tuple(cautions(plan, *notes)))


def _optimizer(plan: Plan, learning_rate: float) -> dict[str, Any]:
    optimizer = torch_optimizer(plan)
    if optimizer is None:
        return {}
    arguments = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in optimizer.arguments.items()
    }
    if optimizer.name == "Adam":
        # DeepSpeed's Adam decays weights as AdamW does unless it is told not to.
        arguments["adam_w_mode"] = False
    return {"type": optimizer.name, "params": {"lr": learning_rate, **arguments}}


FORMAT = Format(
    name="deepspeed",
    media_type="application/vnd.batchscout.deepspeed+json",
    suffix=".json",
    summary="DeepSpeed configuration: batch sizes, optimizer, clipping",
    has_comments=False,
    write=write,
)
