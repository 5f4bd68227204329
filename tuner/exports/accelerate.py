"""`accelerate`: a Python snippet for a loop of one's own around `Accelerator`."""

from __future__ import annotations

from typing import Final

from tuner.exports.format import Format, Keys, Written
from tuner.exports.lines import comment
from tuner.exports.numbers import number
from tuner.exports.plan import Plan
from tuner.exports.remarks import remarks
from tuner.exports.torch_optimizer import torch_optimizer, written

ABOUT: Final = (
    "`model` and `dataset` are yours. batch_size holds for each process, since split_batches is "
    "off; clip and step inside of `with accelerator.accumulate(model):`."
)
NO_OPTIMIZER: Final = "The optimizer is left out: it is none of torch's that is known here."


def write(plan: Plan, _: Keys) -> Written:
    """Write statements to be pasted above the loop."""
    optimizer = _optimizer(plan)
    left_out = plan.learning_rate is not None and not optimizer
    notes = [ABOUT, *([NO_OPTIMIZER] if left_out else [])]
    clip = plan.gradient_clip_norm
    clipping = (
        f"MAX_GRAD_NORM = {number(clip)}  # accelerator.clip_grad_norm_(…, MAX_GRAD_NORM)\n"
        if clip is not None
        else "# Gradients were not clipped.\n"
    )
    text = f"""{comment(remarks(plan, *notes))}
import torch
from accelerate import Accelerator
from accelerate.utils import DataLoaderConfiguration
from torch.utils.data import DataLoader

accelerator = Accelerator(
    gradient_accumulation_steps={plan.gradient_accumulation_steps},
    dataloader_config=DataLoaderConfiguration(split_batches=False),
)
if accelerator.num_processes != {plan.data_parallel_size}:
    raise SystemExit("measured for {plan.data_parallel_size} process(es): start as many")
loader = DataLoader(dataset, batch_size={plan.micro_batch_size}, shuffle=True)
{clipping}{optimizer}"""
    return Written(text=text)


def _optimizer(plan: Plan) -> str:
    optimizer = torch_optimizer(plan)
    if optimizer is None or plan.learning_rate is None:
        return ""
    arguments = {"lr": plan.learning_rate, **optimizer.arguments}
    lines = "".join(f"    {name}={written(value)},\n" for name, value in arguments.items())
    return f"optimizer = torch.optim.{optimizer.name}(\n    model.parameters(),\n{lines})\n"


FORMAT = Format(
    name="accelerate",
    media_type="text/x-python",
    suffix=".py",
    summary="Python snippet for Hugging Face Accelerate",
    has_comments=True,
    write=write,
)
