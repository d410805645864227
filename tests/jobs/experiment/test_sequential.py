"""The always-valid interval: its formula by hand, its tuning, and how often it errs under peeking."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.experiment.sequential import always_valid_p, half_width, tuned_rho


def test_the_half_width_by_hand() -> None:
    # t = 100, sigma^2 = 4, so variance .04; rho = .2, s = t rho^2 = 4: 2 * sqrt(5 / (100 * 4) * log(5 / .0025)).
    found = half_width(np.array([0.04]), np.array([100.0]), rho=0.2, alpha=0.05)
    assert found[0] == pytest.approx(2 * sqrt(5 / 400 * log(2000)))


def test_nothing_is_excluded_before_anything_is_known() -> None:
    assert half_width(np.array([np.inf]), np.array([3.0]), 0.2, 0.05)[0] == np.inf
    assert always_valid_p(np.array([9.0]), np.array([np.inf]), np.array([3.0]), 0.2)[0] == 1.0


@given(st.floats(10, 1e7), st.floats(0.001, 0.2))
def test_the_tuned_interval_is_narrowest_where_it_was_planned(planned: float, alpha: float) -> None:
    rho = tuned_rho(planned, alpha)
    widths = [half_width(np.array([1 / planned]), np.array([planned]), rho * f, alpha)[0] for f in (0.9, 1.0, 1.1)]
    assert widths[1] < min(widths[0], widths[2])


@given(st.floats(-0.5, 0.5), st.floats(1e-4, 1e-2), st.integers(2, 10_000))
def test_p_is_at_most_alpha_exactly_where_the_interval_leaves_zero_out(d: float, variance: float, users: int) -> None:
    half = half_width(np.array([variance]), np.array([float(users)]), 0.05, 0.05)[0]
    p = always_valid_p(np.array([d]), np.array([variance]), np.array([float(users)]), 0.05)[0]
    if abs(abs(d) - half) > 1e-9:
        assert (p <= 0.05) == (abs(d) > half)


def test_evidence_once_found_is_not_lost_again() -> None:
    p = always_valid_p(np.array([0.1, 1.0, 0.0]), np.full(3, 0.01), np.array([10.0, 20, 30]), 0.3)
    assert p[0] > p[1] == p[2]


def test_it_errs_seldom_however_often_one_looks_and_a_fixed_test_does_not() -> None:
    draw, n, experiments, alpha = np.random.default_rng(2), 2_000, 2_000, 0.05
    looks = np.arange(1, 21) * n // 20
    x = draw.exponential(size=(experiments, n)) - 1  # skewed, variance 1
    means = np.cumsum(x, axis=1)[:, looks - 1] / looks
    variance = (np.cumsum(x**2, axis=1)[:, looks - 1] / looks - means**2) / looks
    half = half_width(variance, looks.astype(float), tuned_rho(n, alpha), alpha)
    assert np.mean((np.abs(means) > half).any(axis=1)) < alpha
    assert np.mean((np.abs(means) > 1.96 * np.sqrt(variance)).any(axis=1)) > 0.2


def test_it_finds_what_is_there() -> None:
    draw, n = np.random.default_rng(3), 4_000
    looks = np.arange(1, 21) * n // 20
    x = draw.normal(0.1, 1, size=(500, n))  # six standard errors at the end
    means = np.cumsum(x, axis=1)[:, looks - 1] / looks
    variance = np.broadcast_to(1 / looks, means.shape)
    half = half_width(variance, looks.astype(float), tuned_rho(n, 0.05), 0.05)
    assert np.mean((np.abs(means) > half).any(axis=1)) > 0.95
