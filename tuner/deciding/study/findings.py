"""Findings: everything that was measured, put together, and the claims held against it."""

from __future__ import annotations

from typing import Final

from tuner.deciding.errand import Wants
from tuner.deciding.study.arms import settled
from tuner.deciding.study.cautions import cautions
from tuner.deciding.study.claims import Evidence, judged
from tuner.deciding.study.job import StudyJob
from tuner.deciding.study.pictures import gradient_noise, landscapes, lines
from tuner.deciding.study.summaries import arm, heat_cell
from tuner.recommendation import DeviceAnswer
from tuner.spec import digest
from tuner.study_findings import StudyFindings

ALGORITHM_VERSION: Final = 1
"""Raised whenever the same measurements would be read in another way."""


def finding(job: StudyJob) -> StudyFindings:
    """Put the answer together; nothing is measured any more."""
    trained = settled(job)
    arms = tuple(arm(job, one) for one in trained)
    facts = job.subject.facts
    device = facts.device
    return StudyFindings(
        arms=arms,
        gradients=gradient_noise(job),
        lines=lines(job),
        landscapes=landscapes(job),
        heat_map=tuple(heat_cell(one) for one in arms if one.rule == "optimizer"),
        claims=judged(Evidence(job=job, arms=trained)),
        num_train=facts.num_train,
        num_validation=facts.num_validation,
        parameter_count=facts.parameter_count,
        device=DeviceAnswer(kind=device.kind, name=device.name, memory_bytes=device.memory_bytes),
        device_seconds=job.history.device_seconds,
        device_seconds_by_stage=job.history.seconds_by_stage(),
        warnings=cautions(job, trained),
        spec_digest=job.spec_digest,
        fingerprint=fingerprint(job),
    )


def wants(_job: StudyJob) -> Wants:
    """Want nothing."""
    return Wants()


def fingerprint(job: StudyJob) -> str:
    """Digest all that the answer depends on: spec, budget, data, code, device, software."""
    facts = job.subject.facts
    return digest(
        {
            "kind": "batch_size_study",
            "spec": job.spec.model_dump(mode="json"),
            "data": facts.data_digest,
            "code": facts.code_digest,
            "device": [facts.device.kind, facts.device.name, facts.device.memory_bytes],
            "torch": ".".join(facts.device.torch_version.split(".")[:2]),
            "algorithm": ALGORITHM_VERSION,
        }
    )
