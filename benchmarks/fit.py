"""Straight lines through measured seconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Point = tuple[float, float]
"""(events, seconds)"""


def line(points: Sequence[Point]) -> tuple[float, float]:
    """Least squares (a, b) of seconds = a + b * events; needs two sizes."""
    events, seconds = np.array(points, dtype=float).T
    b, a = np.polyfit(events, seconds, 1)
    return float(a), float(b)


def growth(points: Sequence[Point]) -> float | None:
    """How much dearer one more event is among the larger sizes: b of the upper half over b of the lower, less 1.

    The halves share the middle sizes: of four, the first three and the last three. None below three sizes.
    """
    if len(points) < 3:
        return None
    ordered = sorted(points)
    half = len(ordered) // 2 + 1
    return line(ordered[-half:])[1] / line(ordered[:half])[1] - 1
