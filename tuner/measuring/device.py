"""The device that a measurement runs on."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch

from tuner.machine import available_memory_bytes, total_memory_bytes
from tuner.records import Device
from tuner.workloads.build import device_of

if TYPE_CHECKING:
    from tuner.records import Workload

CPU_SHARE: Final = 0.8
"""Share of the available memory that a run on the CPU may use by default."""

CPUINFO: Final = Path("/proc/cpuinfo")


def describe_device(workload: Workload) -> Device:
    """Describe the device of a workload, and how much of it a run may use.

    On CUDA that is what is free once the context is up, together with what this process
    already holds; on the CPU, 80 % of the available memory. A cap of the user's own holds
    instead, as far as there is so much.

    Args:
        workload: Names the accelerator and perhaps a cap.

    Returns:
        Its record.

    Raises:
        InvalidWorkload: There is no such device here.
    """
    device = device_of(workload)
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        kind, free, total = f"cuda:{name}", *_cuda_memory(device)
        usual = free
    else:
        kind, name = "cpu", _processor()
        free, total = available_memory_bytes(), total_memory_bytes()
        usual = int(CPU_SHARE * free)
    cap = workload.memory_limit_bytes
    return Device(
        kind=kind,
        name=name,
        memory_bytes=total,
        limit_bytes=usual if cap is None else min(cap, free),
        torch_version=torch.__version__,
    )


def _cuda_memory(device: torch.device) -> tuple[int, int]:
    torch.zeros(1, device=device)  # the context itself takes hundreds of megabytes
    free, total = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device), total


def _processor() -> str:
    if CPUINFO.exists():
        for line in CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()
