"""Devices found without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers import devices
from workers.devices import cards, cpu, discover, visible

TABLE = """\
0, GPU-aaaa-1, NVIDIA H100 80GB HBM3, 81559
1, GPU-bbbb-2, NVIDIA A10, 23028
"""


def test_the_processor_is_always_there() -> None:
    """It has a name and no more memory than the machine."""
    found = cpu()
    assert (found.id, found.kind, found.accelerator) == ("cpu", "cpu", "cpu")
    assert found.name
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < found.memory_bytes <= machine


def test_cards_are_read_from_the_driver_s_table() -> None:
    """Index, UUID, name and memory become a device of its own kind."""
    first, second = cards(TABLE)
    assert (first.id, first.kind) == ("cuda:0", "cuda:NVIDIA H100 80GB HBM3")
    assert first.memory_bytes == 81559 * 2**20
    assert (second.name, second.visible_devices) == ("NVIDIA A10", "GPU-bbbb-2")


@pytest.mark.parametrize(
    "table",
    [
        "",
        "No devices were found\n",
        "NVIDIA-SMI has failed because it couldn't communicate with the driver.\n",
        "0, GPU-a\n",
        ", , ,\n",
    ],
)
def test_what_is_no_card_is_left_out(table: str) -> None:
    """Messages of the driver are not devices."""
    assert cards(table) == ()


def test_a_card_that_shares_the_machine_s_memory_has_as_much() -> None:
    """Where the driver states no memory, the machine's counts."""
    (card,) = cards("0, GPU-a, NVIDIA GB10, [N/A]\n")
    assert card.memory_bytes == cpu().memory_bytes


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        (None, ["cuda:0", "cuda:1"]),
        ("", []),
        ("-1", []),
        ("1", ["cuda:1"]),
        ("1,0", ["cuda:1", "cuda:0"]),
        ("GPU-bbbb", ["cuda:1"]),
        ("0,7,1", ["cuda:0"]),
        ("GPU-", []),
    ],
)
def test_only_the_cards_that_the_operator_shows_are_used(value, ids) -> None:
    """`CUDA_VISIBLE_DEVICES` holds as the CUDA library reads it."""
    environment = {} if value is None else {"CUDA_VISIBLE_DEVICES": value}
    assert [card.id for card in visible(cards(TABLE), environment)] == ids


def _driver(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_the_driver_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that answers adds its cards after the processor."""
    _driver(tmp_path, f"cat <<'END'\n{TABLE}END", monkeypatch)
    assert [device.id for device in discover()] == ["cpu", "cuda:0", "cuda:1"]


@pytest.mark.parametrize("script", ["exit 9", "exec sleep 60"])
def test_a_driver_that_fails_or_hangs_means_no_card(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken driver leaves the processor alone."""
    monkeypatch.setattr(devices, "QUERY_SECONDS", 0.2)
    _driver(tmp_path, script, monkeypatch)
    assert [device.id for device in discover()] == ["cpu"]


def test_no_session_module_loads_torch() -> None:
    """Everything on the session's side is imported without torch."""
    code = (
        "import sys, workers.executors.local, workers.measure, workers.child;"
        "sys.exit('torch' in sys.modules)"
    )
    root = Path(devices.__file__).parent.parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
