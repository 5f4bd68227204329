"""The answer: what was recommended, and the evidence behind every number.

A field that was not measured is null, never invented.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of an answer."""

    # What has a default is read from older answers without it; what is sent has every field.
    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_serialization_defaults_required=True
    )


class Interval(Part):
    """An estimate with its confidence interval."""

    estimate: float
    low: float | None
    high: float | None
    confidence: float = 0.95


class TimeInterval(Interval):
    """Seconds to the target, calibrated; no interval where a run missed or only one ran."""

    runs: int


class RateInterval(Part):
    """Learning rates within 10 % of the best expected time, at the answer's own batch."""

    low: float
    high: float


class StepSeconds(Part):
    """Seconds of one optimizer step as `fixed + per_sample * global_batch_size`."""

    fixed: float
    per_sample: float


class TimeModel(Part):
    """T(B) = steps_minimum * (1 + critical_batch_size / B) * step_seconds(B)."""

    steps_minimum: float
    critical_batch_size: float
    step_seconds: StepSeconds


class SharpnessAnswer(Part):
    """Sharpness where the target was crossed, mean over the confirming runs."""

    asam: float | None
    keskar: float | None
    hessian_top_eigenvalue: float | None


class DeviceAnswer(Part):
    """What was measured on."""

    kind: str
    name: str
    memory_bytes: int


class Candidate(Part):
    """A confirmed configuration, its time and its sharpness."""

    global_batch_size: int
    micro_batch_size: int
    gradient_accumulation_steps: int
    learning_rate: float
    runs: int
    runs_reached: int
    time_to_target_seconds: TimeInterval | None
    final_metric: float | None
    sharpness: SharpnessAnswer | None


class Caution(Part):
    """Something the user should know about this answer."""

    code: str
    detail: str


class HeldFixed(Part):
    """What was not searched, also in steps at the recommended batch."""

    optimizer: dict[str, float | bool | str]
    schedule: str
    gradient_clip_norm: float | None
    warmup_samples: int | None
    warmup_steps: int | None
    horizon_samples: int | None
    horizon_steps: int | None


class Stacking(Part):
    """What of the race was trained side by side, weights stacked, and what that gained.

    `runs` training runs took `device_seconds` in stacks; `separate_seconds` is what the same
    steps and evaluations take one run after the other, at the pace of lone steps that were timed
    beside the stacks. `expected_gain` was measured before the race: seconds of lone steps over
    those of stacked ones, at the width where it was largest. It is null where nothing could be
    tried, and `refused` says why these runs cannot be stacked, null if they can.
    """

    runs: int
    device_seconds: float
    separate_seconds: float
    expected_gain: float | None
    refused: str | None


class Spending(Part):
    """What the answer cost; `stacking` is null where no race asked for it."""

    device_seconds: float
    device_seconds_by_stage: dict[str, float]
    search_trials: int
    training_runs: int
    stacking: Stacking | None = None


class MemoryPoint(Part):
    """One size of the memory curve: highest live bytes of any phase, as predicted and as run.

    `measured_bytes` is null where the size was not run or ran out of memory, `out_of_memory`
    where it was not run, `predicted_bytes` where the workload could not be traced.
    """

    micro_batch_size: int
    predicted_bytes: int | None
    measured_bytes: int | None
    out_of_memory: bool | None


class Reused(Part):
    """What was taken over from a past job instead of being searched, and how it held here.

    `learning_rate` at `global_batch_size` is the winner of the past race, `steps` what it took
    to the target (or its whole training budget). Two runs on unseen seeds verified what these,
    the critical batch size and the past trials let expect on this device: `expected_seconds`
    to the target, or `expected_metric` at the end of the training budget.
    """

    job_id: str
    answered_at: str
    device_kind: str
    device_name: str
    global_batch_size: int
    learning_rate: float
    steps: float
    target: float | None
    critical_batch_size: Interval | None
    trials: int
    expected_seconds: float | None
    expected_metric: float | None
    measured_to_expected: float


class AnsweredFrom(Part):
    """The job that measured an answer which is given again, and when it had ended."""

    job_id: str
    measured_at: str


class Recommendation(Part):
    """The answer to one tuning job.

    `answered_from` is null where the job measured by itself. Otherwise all but `spec_digest` is
    what that past job found for the same fingerprint, its spending included.
    """

    micro_batch_size: int
    gradient_accumulation_steps: int
    data_parallel_size: int
    global_batch_size: int
    learning_rate: float | None
    objective: Literal["time_to_target", "loss_at_budget"]
    metric: Literal["validation_loss", "accuracy"]
    target: float | None
    target_origin: Literal["user", "automatic", "none"]
    target_reached: bool | None
    runs: int
    runs_reached: int
    closest_metric: float | None
    evidence: Literal["full", "proxy", "throughput_only"]
    limited_by: Literal["none", "memory", "dataset", "search_space", "budget"]
    time_to_target_seconds: TimeInterval | None
    metric_at_budget: Interval | None
    steps_to_target: float | None
    step_time_seconds: float
    wall_to_calibrated: float | None
    evaluation_seconds: float
    samples_per_second: float
    max_micro_batch_size: int
    peak_memory_bytes: int
    memory_limit_bytes: int
    memory_curve: list[MemoryPoint]
    learning_rate_range: RateInterval | None
    critical_batch_size: Interval | None
    time_model: TimeModel | None
    sharpness: SharpnessAnswer | None
    device: DeviceAnswer
    pareto: list[Candidate]
    rivals: list[Candidate]
    held_fixed: HeldFixed
    reused: Reused | None
    spending: Spending
    warnings: list[Caution]
    spec_digest: str
    fingerprint: str
    answered_from: AnsweredFrom | None = None
