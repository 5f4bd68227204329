"""Measuring code that looks, once it is loaded, as if it had initialised the CUDA driver."""

from __future__ import annotations

import sys

from fake_measuring import FakeMeasuring

from workers import processes

if "channel" not in sys.argv[-1]:
    processes.has_opened_card = lambda: True

__all__ = ["FakeMeasuring"]
