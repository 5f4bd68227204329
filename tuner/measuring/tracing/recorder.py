"""Runs a training step on fake tensors and notes the births and deaths of their storages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    unset_fake_temporarily,
)
from torch.utils._pytree import tree_leaves

from tuner.measuring.allocating.events import AllocationEvents, Mark, Phase
from tuner.measuring.meters import Meter
from tuner.measuring.step import TrainingStep
from tuner.measuring.tracing.attention import work_space_bytes
from tuner.measuring.tracing.kernels import corrected, shaped
from tuner.measuring.tracked_memory import TrackedMemory

PHASES: Final = {
    "forward_backward_bytes": Phase.FORWARD_BACKWARD,
    "optimizer_bytes": Phase.OPTIMIZER,
    "evaluation_bytes": Phase.EVALUATION,
}
"""From what a trial calls its phases to what they are called here."""

DEVICE_OF: Final = torch.ops.prim.device.default

MAX_REAL_VALUES: Final = 2**22
"""A tensor of indices larger than this loses its values too."""


class Recorder(TrackedMemory):  # type: ignore[no-untyped-call]
    """Tracked memory that keeps the sequence; it goes on top of a fake mode.

    Floating-point tensors have no values. Indices, masks and single numbers that follow from
    nothing else keep theirs: models look at token ids and padding to choose their way, and so
    a trace goes the way that a real step would go.

    A trial tells it of phases as it tells the peaks of a real one.

    Args:
        is_cuda: Whether the step stands for one on a card: kernels are CUDA's, and single
            numbers that keep their value stay on the host, as those of optimizers do.
    """

    def __init__(self, *, is_cuda: bool = False) -> None:
        super().__init__()
        self.is_cuda = is_cuda
        self.state_bytes = 0
        self._order: list[int] = []
        self._blocks_bytes: list[int] = []
        self._marks: list[Mark] = []
        self._alive: dict[int, int] = {}
        self._steps = 0

    def events(self) -> AllocationEvents:
        """Give the sequence so far."""
        return AllocationEvents(
            order=tuple(self._order),
            sizes_bytes=tuple(self._blocks_bytes),
            marks=tuple(self._marks),
        )

    @contextmanager
    def during(self, phase: str, meter: Meter) -> Iterator[None]:
        """Mark where a phase begins."""
        meter.begin()
        position = len(self._order) if self._marks else 0
        mark = Mark(position=position, phase=PHASES[phase], step=self._steps)
        self._marks.append(mark)
        yield

    def stepped(self, step: TrainingStep, meter: Meter) -> None:
        """Count an optimizer step, and what the optimizer keeps of it on the device."""
        del meter
        self._steps += 1
        state = tree_leaves([dict(kept) for kept in step.optimizer.state.values()])
        self.state_bytes = sum(
            leaf.numel() * leaf.element_size()
            for leaf in state
            if isinstance(leaf, torch.Tensor) and not self._is_elsewhere(leaf)
        )

    def keep(self, size_bytes: int) -> None:
        """Note memory that is taken and never given back."""
        if size_bytes > 0:
            self._order.append(self._new_block(size_bytes))

    def pulse(self, size_bytes: int) -> None:
        """Note memory that a kernel takes and gives back before it returns."""
        if size_bytes > 0:
            block = self._new_block(size_bytes)
            self._order += [block, block]

    def ignore(self, tensors: Iterable[torch.Tensor]) -> None:
        """Do not count tensors that are there already, since they do not lie on the device."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            self._sizes[id(storage)] = storage.nbytes()

    def _see(self, tensor: torch.Tensor) -> None:
        if not self._is_elsewhere(tensor):
            super()._see(tensor)

    def _is_elsewhere(self, tensor: torch.Tensor) -> bool:
        return self.is_cuda and tensor.ndim == 0 and not isinstance(tensor, FakeTensor)

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation; asking for a device, which is most of them, takes a short cut."""
        if func is DEVICE_OF and isinstance(args[0], FakeTensor):
            return args[0].fake_device
        result = super().__torch_dispatch__(func, types, args, kwargs)
        if self.is_cuda:
            self.pulse(work_space_bytes(func, args))
        return result

    def _run(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        # Most calls have a tensor without values for an argument: no need to look further.
        leaves = () if _any_fake(args) else tree_leaves((args, dict(kwargs)))
        if not leaves or _any_fake(leaves):
            result = shaped(func, args, kwargs)
            return corrected(func, args, result, is_cuda=self.is_cuda)
        try:
            result = func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException):
            # It asks for values, and here they are known.
            result = None
        if not any(isinstance(leaf, torch.Tensor) for leaf in [*leaves, *tree_leaves(result)]):
            return result
        if not _has_values(result):
            return result
        # The first run has told the shapes; this one is for the values.
        del result
        with unset_fake_temporarily():
            return func(*args, **kwargs)

    def _changed(self, key: int, before_bytes: int, after_bytes: int) -> None:
        del before_bytes
        gone = self._alive.pop(key, None)
        if gone is not None:
            self._order.append(gone)
        if after_bytes > 0:
            self._alive[key] = block = self._new_block(after_bytes)
            self._order.append(block)

    def _new_block(self, size_bytes: int) -> int:
        self._blocks_bytes.append(size_bytes)
        return len(self._blocks_bytes) - 1


def _any_fake(values: Iterable[Any]) -> bool:
    return any(isinstance(value, FakeTensor) for value in values)


def _has_values(result: Any) -> bool:
    """Say whether an operation on real tensors is worth running for real."""
    return all(
        leaf.ndim == 0 or (_is_index(leaf.dtype) and leaf.numel() <= MAX_REAL_VALUES)
        for leaf in tree_leaves(result)
        if isinstance(leaf, torch.Tensor)
    )


def _is_index(dtype: torch.dtype) -> bool:
    return not dtype.is_floating_point and not dtype.is_complex
