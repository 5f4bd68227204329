"""How colours are seen: contrast, distance, and without one kind of cone.

Contrast as WCAG 2.2 has it; distance in CIELAB (CIE 1976); full dichromacy by the matrices of
Machado, Oliveira and Fernandes 2009, for linear RGB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PROTAN = np.array(
    [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ]
)
_DEUTAN = np.array(
    [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ]
)
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = _TO_XYZ @ np.ones(3)

Linear = NDArray[np.float64]


def contrast(one: str, other: str) -> float:
    """Ratio of luminances, each with the flare of a screen."""
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def distance(one: str, other: str) -> float:
    """Euclidean distance in CIELAB."""
    return float(np.linalg.norm(_lab(one) - _lab(other)))


def seen_without_red(colour: str) -> str:
    """What a protanope sees."""
    return _written(_PROTAN @ _linear(colour))


def seen_without_green(colour: str) -> str:
    """What a deuteranope sees."""
    return _written(_DEUTAN @ _linear(colour))


def _linear(colour: str) -> Linear:
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def _written(linear: Linear) -> str:
    parts = np.clip(linear, 0.0, 1.0)
    shown = np.where(parts <= 0.0031308, 12.92 * parts, 1.055 * parts ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(255 * part):02x}" for part in shown)


def _luminance(colour: str) -> float:
    return float((_TO_XYZ @ _linear(colour))[1])


def _lab(colour: str) -> Linear:
    shares = (_TO_XYZ @ _linear(colour)) / _WHITE
    roots = np.where(shares > (6 / 29) ** 3, np.cbrt(shares), shares / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = roots
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
