"""Straight lines and planes through measured seconds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

Point = tuple[float, float]
"""(events, seconds)"""


def line(points: Sequence[Point]) -> tuple[float, float]:
    """Least squares (a, b) of seconds = a + b * events; needs two sizes."""
    events, seconds = np.array(points, dtype=float).T
    b, a = np.polyfit(events, seconds, 1)
    return float(a), float(b)


def plane(points: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """Least squares (a, b, c) of seconds = a + b * x + c * y over points (x, y, seconds).

    Raises ValueError where the points leave a coefficient open: fewer than three, or x and y on one line.
    """
    x, y, seconds = np.array(points, dtype=float).reshape(-1, 3).T
    # The columns are of the size of 1, 10 million and 5 million: each is scaled to 1 at most.
    columns = np.stack([np.ones_like(x), x, y], axis=1)
    scales = np.maximum(np.abs(columns).max(axis=0, initial=0), np.finfo(float).tiny)
    found, _, rank, _ = np.linalg.lstsq(columns / scales, seconds, rcond=1e-9)
    if rank < 3:
        raise ValueError(f"{len(points)} points determine {rank} of 3 coefficients; expected both sizes to vary on their own")
    a, b, c = found / scales
    return float(a), float(b), float(c)


def growth(points: Sequence[Point]) -> float | None:
    """How much dearer one more event is among the larger sizes: b of the upper half over b of the lower, less 1.

    The halves share the middle sizes: of four, the first three and the last three. None below three sizes.
    """
    if len(points) < 3:
        return None
    ordered = sorted(points)
    half = len(ordered) // 2 + 1
    return line(ordered[-half:])[1] / line(ordered[:half])[1] - 1


def extrapolated(points: Sequence[Point], at: float, level: float = 0.95) -> tuple[float, float, float]:
    """What the least-squares line through three or more points says at `at`: lowest, middle and highest of a `level` interval.

    The interval is that of a further measurement (Student's t with n - 2 degrees of freedom; Draper and Smith 1998, 1.4), if the
    line goes on: it knows nothing of what changes beyond the sizes measured. Raises ValueError below three sizes.
    """
    if len({x for x, _ in points}) < 3:
        raise ValueError(f"{len(points)} points; expected three sizes or more")
    x, y = np.array(points, dtype=float).T
    a, b = line(points)
    freedom, spread = len(x) - 2, float(((x - x.mean()) ** 2).sum())
    variance = float(((y - a - b * x) ** 2).sum()) / freedom
    half = student.ppf((1 + level) / 2, freedom) * np.sqrt(variance * (1 + 1 / len(x) + (at - x.mean()) ** 2 / spread))
    middle = a + b * at
    return float(middle - half), float(middle), float(middle + half)
