"""All requests and all measurements: the two vocabularies between a tuner and a device."""

from __future__ import annotations

from tuner.records.requests import (
    Inspect,
    MemoryReplay,
    MemoryTrace,
    MemoryTrial,
    StackedRuns,
    StackTiming,
    StepTiming,
    TrainingRun,
)
from tuner.records.results import (
    Inspection,
    MemoryMeasurement,
    MemoryPrediction,
    MemoryReplayed,
    StackedResults,
    StackPaces,
    TimingMeasurement,
    TrainingResult,
)
from tuner.records.study import (
    GradientProbe,
    GradientScatters,
    Landscape,
    LandscapeProbe,
    LineProbe,
    LineProfile,
    MinimumProbe,
    MinimumShape,
    StudyRun,
    StudyRunResult,
)

Request = (
    Inspect
    | MemoryTrial
    | MemoryTrace
    | MemoryReplay
    | StepTiming
    | TrainingRun
    | StackTiming
    | StackedRuns
    | StudyRun
    | MinimumProbe
    | GradientProbe
    | LineProbe
    | LandscapeProbe
)

Measurement = (
    Inspection
    | MemoryMeasurement
    | MemoryPrediction
    | MemoryReplayed
    | TimingMeasurement
    | TrainingResult
    | StackPaces
    | StackedResults
    | StudyRunResult
    | MinimumShape
    | GradientScatters
    | LineProfile
    | Landscape
)
