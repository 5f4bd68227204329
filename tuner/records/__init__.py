"""What is asked of a device, and what it answered: frozen, JSON-able, versioned records.

Everything that crosses a process or is stored is one of these. They need the standard
library alone, so that a bare GPU image can read and write them.

A *request* carries all that its measurement needs: a worker never calls back to learn when
to stop. A *result* states the facts, never a verdict: whether something fits, is fast or is
good is decided elsewhere, purely, from results.
"""

from tuner.records.actions import (
    Action,
    Start,
    Tighten,
    Withdraw,
)
from tuner.records.codec import (
    RECORD_VERSION,
    RECORDS,
    decode,
    encode,
)
from tuner.records.events import (
    Answered,
    AttemptLost,
    CapacityChanged,
    Event,
    Failed,
    Recalled,
    Result,
    Started,
    Stop,
)
from tuner.records.knowledge import (
    Knowledge,
    KnownCaution,
    KnownTrial,
    PastAnswer,
)
from tuner.records.requests import (
    BatchPlan,
    CardModel,
    Inspect,
    Measure,
    MemoryReplay,
    MemoryTrace,
    MemoryTrial,
    Request,
    StackedRuns,
    StackTiming,
    StepTiming,
    TrainingRun,
    Workload,
)
from tuner.records.results import (
    CurvePoint,
    Device,
    Inspection,
    Measurement,
    MemoryMeasurement,
    MemoryPrediction,
    MemoryReplayed,
    NoiseWindow,
    Outcome,
    PassTiming,
    PredictedPeak,
    Sharpness,
    StackedResults,
    StackPace,
    StackPaces,
    TimingMeasurement,
    TrainingResult,
)

__all__ = [
    "RECORDS",
    "RECORD_VERSION",
    "Action",
    "Answered",
    "AttemptLost",
    "BatchPlan",
    "CapacityChanged",
    "CardModel",
    "CurvePoint",
    "Device",
    "Event",
    "Failed",
    "Inspect",
    "Inspection",
    "Knowledge",
    "KnownCaution",
    "KnownTrial",
    "Measure",
    "Measurement",
    "MemoryMeasurement",
    "MemoryPrediction",
    "MemoryReplay",
    "MemoryReplayed",
    "MemoryTrace",
    "MemoryTrial",
    "NoiseWindow",
    "Outcome",
    "PassTiming",
    "PastAnswer",
    "PredictedPeak",
    "Recalled",
    "Request",
    "Result",
    "Sharpness",
    "StackPace",
    "StackPaces",
    "StackTiming",
    "StackedResults",
    "StackedRuns",
    "Start",
    "Started",
    "StepTiming",
    "Stop",
    "Tighten",
    "TimingMeasurement",
    "TrainingResult",
    "TrainingRun",
    "Withdraw",
    "Workload",
    "decode",
    "encode",
]
