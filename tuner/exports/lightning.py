"""`lightning`: a configuration for `LightningCLI`."""

from __future__ import annotations

from typing import Final

from tuner.exports.format import Format, Keys, Written
from tuner.exports.lines import comment
from tuner.exports.numbers import number
from tuner.exports.plan import Plan
from tuner.exports.remarks import remarks

ABOUT: Final = (
    "data.batch_size and model.learning_rate are arguments of your own data module and module, by "
    "the names that Lightning's tuner looks for; rename them to yours. batch_size holds for each "
    "device; trainer.devices is for one node: over several, devices x num_nodes."
)


def write(plan: Plan, _: Keys) -> Written:
    """Write YAML to be given as `--config`."""
    clip = plan.gradient_clip_norm
    lines = [
        "trainer:",
        f"  devices: {plan.data_parallel_size}",
        f"  accumulate_grad_batches: {plan.gradient_accumulation_steps}",
        f"  gradient_clip_val: {'null' if clip is None else number(clip)}",
        "  gradient_clip_algorithm: norm",
        "data:",
        f"  batch_size: {plan.micro_batch_size}",
    ]
    if plan.learning_rate is not None:
        lines += ["model:", f"  learning_rate: {number(plan.learning_rate)}"]
    return Written(text=comment(remarks(plan, ABOUT)) + "\n".join(lines) + "\n")


FORMAT = Format(
    name="lightning",
    media_type="application/yaml",
    suffix=".yaml",
    summary="configuration of LightningCLI",
    has_comments=True,
    write=write,
)
