"""Drives a tuning, or a study, over a world in any order a test likes, and keeps the sequence."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tuner.records import (
    Action,
    AttemptLost,
    CapacityChanged,
    Event,
    Request,
    Result,
    Start,
    Started,
    Stop,
    Tighten,
    Withdraw,
)
from tuner.spec import TuningSpec
from tuner.study import Study
from tuner.tuning import Tuning

from .study.world import StudyWorld
from .world import World

MAX_EVENTS = 5000


def make_spec(**parts: Any) -> TuningSpec:
    """A small spec; keyword arguments replace whole parts."""
    spec: dict[str, Any] = {
        "model": {"kind": "builtin", "name": "mlp"},
        "dataset": {"kind": "sklearn", "name": "digits"},
        "training": {"task": "classification", "optimizer": {"kind": "sgd", "momentum": 0.9}},
        "objective": {"kind": "time_to_target", "target": 0.1},
        "budget": {"timeout_seconds": 600, "max_trials": 6},
    }
    return TuningSpec.model_validate(spec | parts)


@dataclass(slots=True, kw_only=True)
class Driver:
    """A driver as the service has one, with a random world around it.

    Args:
        tuning: The machine.
        world: What measures.
        rng: Decides the order of completion and which attempts are lost.
        loss_share: Share of attempts that are lost.
        stop_after: Number of events after which `Stop` is applied, or None.
        stop_reason: `cancelled` or `timeout`.
    """

    tuning: Tuning | Study
    world: World | StudyWorld
    rng: random.Random
    loss_share: float = 0.0
    stop_after: int | None = None
    stop_reason: str = "cancelled"
    sequence: list[Event] = field(default_factory=list)
    running: dict[str, Request] = field(default_factory=dict)
    most_running: int = 0
    starts: dict[str, int] = field(default_factory=dict)
    measured: set[str] = field(default_factory=set)
    wished: dict[int, tuple[Action, ...]] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """Keep the event, and apply it."""
        self.sequence.append(event)
        self.tuning.apply(event)

    def run(self, slots: int) -> None:
        """Drive until there is an answer, a failure or a cancellation."""
        self.apply(CapacityChanged(accelerator="cpu", device_kind="cpu", slots=slots))
        while not self.tuning.finished:
            assert len(self.sequence) < MAX_EVENTS, "the tuning never ends"
            self._act()
            if self.tuning.finished or not self._stop():
                continue
            assert self.running, f"nothing to do in stage {self.tuning.stage}"
            self._finish_one()
        self._withdraw()

    def _act(self) -> None:
        actions = self.wished[len(self.sequence)] = self.tuning.actions()
        for action in actions:
            if isinstance(action, Start):
                request = action.request
                assert request.id not in self.measured, f"{request.id} is measured twice"
                assert request.id not in self.running, f"{request.id} runs twice"
                self.starts[request.id] = self.starts.get(request.id, 0) + 1
                self.running[request.id] = request
                self.apply(Started(request=request))
            elif isinstance(action, Tighten):
                assert action.request_id in self.running
        self.most_running = max(self.most_running, len(self.running))

    def _finish_one(self) -> None:
        request_id = self.rng.choice(sorted(self.running))
        request = self.running.pop(request_id)
        if self.rng.random() < self.loss_share:
            cause = self.rng.choice(["crashed", "node_lost", "restarted"])
            self.apply(AttemptLost(request_id=request_id, cause=cause, device_seconds=0.1))
            return
        self.measured.add(request_id)
        result = Result(request_id=request_id, result=self.world.measure(request))
        self.apply(result)
        if self.rng.random() < 0.1:
            self.apply(result)

    def _stop(self) -> bool:
        """Apply the stop when it is due; say whether the driver may go on measuring."""
        if self.stop_after is None or len(self.sequence) < self.stop_after:
            return True
        self.stop_after = None
        self.apply(Stop(reason=self.stop_reason))
        return not self.tuning.finished

    def _withdraw(self) -> None:
        for action in self.tuning.actions():
            assert isinstance(action, Withdraw)
            self.running.pop(action.request_id)
            self.apply(AttemptLost(request_id=action.request_id, cause="withdrawn"))
        assert not self.running
        assert self.tuning.actions() == ()


def replay(spec: TuningSpec, sequence: list[Event]) -> Tuning:
    """Build a tuning anew from a recorded sequence."""
    tuning = Tuning(spec)
    for event in sequence:
        tuning.apply(event)
    return tuning
