"""`torchtitan`: a Python function that writes the numbers into a `Trainer.Config`.

torchtitan is configured by Python functions (its TOML files are gone) and counts in tokens.
Names after torchtitan's main branch at commit b5bcd76c66d0acb1a08b176d9639425bc55e0b2a.
"""

from __future__ import annotations

from typing import Final

from tuner.exports.format import Format, Keys, Written
from tuner.exports.lines import comment
from tuner.exports.numbers import number
from tuner.exports.plan import Plan
from tuner.exports.remarks import remarks
from tuner.exports.torch_optimizer import torch_optimizer, written

ABOUT: Final = (
    "Call it in your own configuration function: with_measured(base(), sequence_length=4096). "
    "torchtitan counts tokens, the answer counts samples; sequence_length is what one sample has."
)
NO_OPTIMIZER: Final = (
    "The optimizer and its learning rate are left out: torchtitan has none that does what was "
    "measured."
)
NO_SCHEDULE: Final = "The schedule is left out: it is none that torchtitan has."
CAN: Final = frozenset({"Adam", "AdamW"})


def write(plan: Plan, _: Keys) -> Written:
    """Write a module with one function."""
    optimizer, schedule = _optimizer(plan), _schedule(plan)
    notes = [ABOUT]
    if plan.learning_rate is not None and not optimizer:
        notes.append(NO_OPTIMIZER)
    if not schedule:
        notes.append(NO_SCHEDULE)
    clip = plan.gradient_clip_norm
    clipping = 'float("inf")  # gradients were not clipped' if clip is None else number(clip)
    text = f'''{comment(remarks(plan, *notes))}
from torchtitan.components.optimizer import OptimizersContainer, ParamGroupConfig
from torchtitan.trainer import Trainer


def with_measured(config: Trainer.Config, *, sequence_length: int) -> Trainer.Config:
    """Write in what was measured with a data-parallel degree of {plan.data_parallel_size}."""
    training = config.training
    training.max_context_length = sequence_length
    training.num_tokens_per_microbatch_per_dp_rank = {plan.micro_batch_size} * sequence_length
    training.num_tokens_per_train_step = {plan.global_batch_size} * sequence_length
    training.max_norm = {clipping}
{optimizer}{schedule}    return config
'''
    return Written(text=text)


def _optimizer(plan: Plan) -> str:
    optimizer = torch_optimizer(plan)
    if optimizer is None or optimizer.name not in CAN or plan.learning_rate is None:
        return ""
    arguments = {"lr": plan.learning_rate, **optimizer.arguments}
    lines = "".join(f'        "{name}": {written(value)},\n' for name, value in arguments.items())
    return f"""    options = {{
{lines}    }}
    group = ParamGroupConfig(
        pattern=".*", optimizer_name="{optimizer.name}", optimizer_kwargs=options
    )
    config.optimizer = OptimizersContainer.Config(param_groups=[group])
"""


def _schedule(plan: Plan) -> str:
    if plan.schedule == "constant":
        # A decay down to its own beginning is none.
        options = {"warmup_steps": str(plan.warmup_steps), "min_lr_factor": "1.0"}
    elif plan.schedule == "cosine" and plan.horizon_steps is not None:
        options = {
            "warmup_steps": str(plan.warmup_steps),
            "total_steps": str(plan.horizon_steps),
            "decay_ratio": "None",
            "decay_type": '"cosine"',
            "min_lr_factor": "0.0",
        }
    else:
        return ""
    return "".join(f"    config.lr_scheduler.{name} = {value}\n" for name, value in options.items())


FORMAT = Format(
    name="torchtitan",
    media_type="text/x-python",
    suffix=".py",
    summary="Python function for a torchtitan configuration",
    has_comments=True,
    write=write,
)
