"""Ratio metrics whose unit is the user: orders per session and the like, by the delta method.

A. Deng, U. Knoblich and J. Lu, "Applying the Delta Method in Metric Analytics: A Practical Guide with Novel Ideas",
KDD 2018. Sessions of one user are not independent, users are: with y and x the sums of a user,

    R = sum y / sum x,      var(R) ~ n / (n - 1) * sum (y - R x)^2 / (sum x)^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ratio:
    """A ratio metric at J looks: value, variance of the estimate, users behind it; (J,) each."""

    value: Floats
    variance: Floats
    users: Floats


@dataclass(frozen=True)
class Difference:
    """B - A at one moment, with a two-sided interval and p of the fixed-horizon z test; `uplift` is relative to A."""

    a: float
    b: float
    difference: float
    low: float
    high: float
    p: float
    uplift: float
    uplift_low: float
    uplift_high: float


def ratio_at(y: Floats, x: Floats, mine: NDArray[np.bool_], looks: NDArray[np.int64]) -> Ratio:
    """The ratio of those users that are `mine` among the first n, for each n of `looks`; y, x and mine are (U,).

    The variance is infinite while there are fewer than two users: nothing is known yet of how they differ.
    """
    rows = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y]) * mine
    n, sx, sy, sxx, sxy, syy = np.cumsum(rows, axis=1)[:, looks - 1]
    total = np.where(sx > 0, sx, 1.0)
    value = sy / total
    squares = np.maximum(syy - 2 * value * sxy + value**2 * sxx, 0.0)  # rounding may leave -1e-17
    return Ratio(value, np.where(n > 1, n / np.maximum(n - 1, 1) * squares / total**2, np.inf), n)


def p_value(z: Floats) -> Floats:
    """Two-sided p of standard normal z."""
    normal = NormalDist()
    return np.vectorize(lambda value: 2 * normal.cdf(-abs(value)), otypes=[float])(z)


def quantile(alpha: float) -> float:
    """The z that a standard normal exceeds on either side with probability alpha in all."""
    return NormalDist().inv_cdf(1 - alpha / 2)


def z_of(difference: Floats, variance: Floats) -> Floats:
    """difference / its standard error; 0 where neither side varies, as before the first click."""
    certain = variance > 0
    return np.where(certain, difference / np.sqrt(np.where(certain, variance, 1.0)), 0.0)


def difference_of(a: Ratio, b: Ratio, alpha: float, look: int = -1) -> Difference:
    """B - A of independent sides at one look, and B / A - 1 with the delta method's interval."""
    ra, rb, va, vb = (float(v[look]) for v in (a.value, b.value, a.variance, b.variance))
    z, half = quantile(alpha), quantile(alpha) * np.sqrt(va + vb)
    p = float(p_value(z_of(np.array(rb - ra), np.array(va + vb))))
    uplift = rb / ra - 1 if ra else np.nan
    spread = z * np.sqrt(vb / ra**2 + rb**2 * va / ra**4) if ra else np.nan
    return Difference(ra, rb, rb - ra, rb - ra - half, rb - ra + half, p, uplift, uplift - spread, uplift + spread)


def paired_difference(a: Floats, b: Floats, x: Floats, alpha: float) -> tuple[float, float, float]:
    """(b - a) per x where every user is known on both sides, with its interval over users; a, b and x are (U,)."""
    ratio = ratio_at(b - a, x, np.ones(len(x), bool), np.array([len(x)]))
    half = quantile(alpha) * float(np.sqrt(ratio.variance[0]))
    return float(ratio.value[0]), float(ratio.value[0]) - half, float(ratio.value[0]) + half
