"""A test that may be looked at as often as one likes: an asymptotic confidence sequence with a normal mixture.

The mixture is Robbins' (1970); as a test it is the mixture SPRT of R. Johari, P. Koomen, L. Pekelis and D. Walsh,
"Always Valid Inference: Continuous Monitoring of A/B Tests", Operations Research 70(3), 2022. The form with an estimated
variance, and its validity at all times together, are those of I. Waudby-Smith, D. Arbour, R. Sinha, E. Kennedy and
A. Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of Statistics 52(6), 2024.
With t users, estimate d and standard error s, sigma^2 = t s^2, the interval at time t is

    d +- sigma * sqrt((t rho^2 + 1) / (t^2 rho^2) * log((t rho^2 + 1) / alpha^2)).

Like a z interval it rests on a central limit theorem: it says nothing of a handful of users.
"""

from __future__ import annotations

from math import log

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def tuned_rho(planned: float, alpha: float) -> float:
    """The rho that makes the interval narrowest at `planned` users: s = planned rho^2 solves s = log(1 + s) - 2 log alpha.

    That is where the derivative of (s + 1) / s * log((s + 1) / alpha^2) vanishes; the iteration contracts by 1 / (1 + s).
    """
    s = -2 * log(alpha)
    for _ in range(60):
        s = log(1 + s) - 2 * log(alpha)
    return float(np.sqrt(s / planned))


def half_width(variance: Floats, users: Floats, rho: float, alpha: float) -> Floats:
    """Half the interval at each look: variance of the estimate (J,) and users so far (J,) -> (J,)."""
    s = users * rho**2
    return np.sqrt(variance * (s + 1) / s * np.log((s + 1) / alpha**2))


def always_valid_p(difference: Floats, variance: Floats, users: Floats, rho: float) -> Floats:
    """(J,) p at each look that stays valid however often one looks: the least so far of 1 / the mixture's likelihood ratio.

    It is at most alpha exactly where some interval of `half_width` has excluded zero.
    """
    s = users * rho**2
    known = np.isfinite(variance) & (variance > 0)
    squares = np.where(known, difference**2 / np.where(known, variance, 1.0), 0.0)
    return np.minimum.accumulate(np.minimum(1.0, np.sqrt(s + 1) * np.exp(-squares / 2 * s / (s + 1))))
