"""What is concluded from a replay: both metrics, both tests, look by look; and how often they are wrong on A/A."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jobs.experiment.ratios import Difference, Ratio, difference_of, p_value, ratio_at, z_of
from jobs.experiment.replay import Outcome, Stage, replays
from jobs.experiment.sequential import always_valid_p, half_width, tuned_rho
from jobs.runtime.experiment_section import ExperimentSettings

Floats = NDArray[np.float64]

METRICS = {"cvr": "orders", "ctr": "clicks"}
"""Both per session. CVR: items ordered from result pages, CTR: items clicked on them, over the sessions of a side."""


@dataclass(frozen=True)
class Judged:
    """One metric at J looks: the sides, B - A, half the always-valid interval and its p; `users` are those seen so far."""

    a: Ratio
    b: Ratio
    users: Floats
    difference: Floats
    variance: Floats
    half: Floats
    always_valid: Floats

    @property
    def fixed_p(self) -> Floats:
        """(J,) p of the z test at each look; the fixed-horizon test is the last one, looked at alone."""
        return p_value(z_of(self.difference, self.variance))

    def at_the_end(self, alpha: float) -> Difference:
        """The fixed-horizon test."""
        return difference_of(self.a, self.b, alpha)

    def stopped_at(self, alpha: float) -> int | None:
        """The first look (from 1) at which the sequential test rejects; None where it never does."""
        rejected = self.always_valid <= alpha
        return int(np.argmax(rejected)) + 1 if rejected.any() else None


def look_times(users: int, looks: int) -> NDArray[np.int64]:
    """Users at each look, evenly spread, ascending, the last one all of them; fewer looks where there are fewer users."""
    return np.unique(np.ceil(np.arange(1, looks + 1) * users / looks).astype(np.int64))


def judge(outcome: Outcome, metric: str, settings: ExperimentSettings) -> Judged:
    """Both tests of one metric (see METRICS) on one experiment. The mixture is tuned to all users, known beforehand."""
    looks = look_times(len(outcome.sessions), settings.looks)
    y, x = getattr(outcome, METRICS[metric]), outcome.sessions
    a, b = ratio_at(y, x, ~outcome.treated, looks), ratio_at(y, x, outcome.treated, looks)
    users, difference, variance = looks.astype(np.float64), b.value - a.value, a.variance + b.variance
    rho = tuned_rho(len(outcome.sessions), settings.alpha)
    return Judged(
        a, b, users, difference, variance, half_width(variance, users, rho, settings.alpha),
        always_valid_p(difference, variance, users, rho),
    )


@dataclass(frozen=True)
class FalsePositives:
    """Shares of A/A repeats in which a test found a difference that is not there, with Wilson's 95 % interval.

    `peeking` is the fixed-horizon test wrongly looked at every time, which is why the sequential one exists.
    """

    fixed: tuple[float, float, float]
    sequential: tuple[float, float, float]
    peeking: tuple[float, float, float]


def false_positives(on: Stage, repeats: int, settings: ExperimentSettings) -> tuple[dict[str, FalsePositives], float]:
    """A/A: both sides of `on` are the same release. False positives by metric, and seconds.

    Repeats are numbered from 1, so that none draws what the experiment itself (repeat 0) did.
    """
    started = time.monotonic()
    rejected = {metric: np.zeros((repeats, 3), bool) for metric in METRICS}
    for repeat in range(repeats):
        outcome = replays(on, repeat + 1, settings.copies)
        for metric, rows in rejected.items():
            judged = judge(outcome, metric, settings)
            naive = judged.fixed_p <= settings.alpha
            rows[repeat] = naive[-1], judged.stopped_at(settings.alpha) is not None, naive.any()
    rates = {
        metric: FalsePositives(*(wilson(int(hits), repeats) for hits in rows.sum(0))) for metric, rows in rejected.items()
    }
    return rates, time.monotonic() - started


def wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float, float]:
    """Share and Wilson's 95 % interval (Wilson 1927)."""
    share, centre = hits / n, (hits + z * z / 2) / (n + z * z)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return share, float(max(0.0, centre - half)), float(min(1.0, centre + half))
