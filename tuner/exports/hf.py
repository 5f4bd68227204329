"""`hf`: arguments of `transformers.TrainingArguments`, as its JSON.

Written for transformers 5, where `warmup_ratio` is gone and an optimizer other than AdamW takes
its options through `optim_args`.
"""

from __future__ import annotations

from typing import Any, Final

from tuner.exports.format import Format, Keys, Written
from tuner.exports.json_text import json_text
from tuner.exports.numbers import number
from tuner.exports.plan import Plan
from tuner.exports.remarks import cautions
from tuner.exports.torch_optimizer import TorchOptimizer, torch_optimizer

NO_OPTIMIZER: Final = (
    "The optimizer is left out: Trainer has none that does what was measured. Pass your own, since "
    "the learning rate holds for that one."
)
NO_SCHEDULE: Final = "The schedule is left out: it is none that Trainer has by name."
EXEMPT: Final = (
    "Trainer keeps weight decay away from biases and norms; the measurement had it on every "
    "parameter."
)


def write(plan: Plan, _: Keys) -> Written:
    """Write one JSON object for `HfArgumentParser.parse_json_file` or `TrainingArguments(**…)`."""
    notes = []
    arguments: dict[str, Any] = {
        "per_device_train_batch_size": plan.micro_batch_size,
        "gradient_accumulation_steps": plan.gradient_accumulation_steps,
        "auto_find_batch_size": False,
        # Without it Trainer clips at 1.0; zero is how it is told not to.
        "max_grad_norm": plan.gradient_clip_norm or 0.0,
    }
    if plan.learning_rate is not None:
        arguments["learning_rate"] = plan.learning_rate
    schedule = _schedule(plan)
    arguments |= schedule
    if not schedule:
        notes.append(NO_SCHEDULE)
    optimizer = torch_optimizer(plan)
    optim = _optimizer(optimizer) if optimizer else {}
    arguments |= optim
    if not optim:
        notes.append(NO_OPTIMIZER)
    elif arguments["weight_decay"]:
        notes.append(EXEMPT)
    return Written(text=json_text(arguments) + "\n", notes=tuple(cautions(plan, *notes)))


def _schedule(plan: Plan) -> dict[str, Any]:
    if plan.schedule == "constant":
        name = "constant_with_warmup" if plan.warmup_steps else "constant"
        return {"lr_scheduler_type": name, "warmup_steps": plan.warmup_steps}
    if plan.schedule == "cosine" and plan.horizon_steps is not None:
        # Its half cosine ends at the last step, so that the number of steps belongs to it.
        steps = {"warmup_steps": plan.warmup_steps, "max_steps": plan.horizon_steps}
        return {"lr_scheduler_type": "cosine", **steps}
    return {}


def _optimizer(optimizer: TorchOptimizer) -> dict[str, Any]:
    arguments = dict(optimizer.arguments)
    weight_decay = arguments.pop("weight_decay")
    if optimizer.name in {"Adam", "AdamW"}:
        if optimizer.name == "Adam" and weight_decay:
            return {}  # Trainer's Adam is AdamW; the two agree without weight decay alone
        betas = arguments["betas"]
        beta1, beta2 = betas if isinstance(betas, tuple) else (betas, betas)
        return {
            "optim": "adamw_torch",
            "adam_beta1": beta1,
            "adam_beta2": beta2,
            "adam_epsilon": arguments["eps"],
            "weight_decay": weight_decay,
        }
    options = ",".join(f"{name}={_option(value)}" for name, value in arguments.items())
    return {
        "optim": optimizer.name.lower(),
        "optim_args": options,
        "weight_decay": weight_decay,
    }


def _option(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, int | float) else str(value)


FORMAT = Format(
    name="hf",
    media_type="application/vnd.batchscout.hf+json",
    suffix=".json",
    summary="Hugging Face TrainingArguments as JSON",
    has_comments=False,
    write=write,
)
