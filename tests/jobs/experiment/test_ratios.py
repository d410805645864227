"""The delta method: by hand, and against what a thousand draws show."""

from __future__ import annotations

import numpy as np
import pytest

from jobs.experiment.ratios import difference_of, p_value, paired_difference, quantile, ratio_at, z_of

ALL = np.ones(3, bool)


def end(rows: np.ndarray) -> np.ndarray:
    return np.array([len(rows)])


def test_three_users_by_hand() -> None:
    # Orders 1, 0, 2 in sessions 1, 1, 3: R = 3/5; y - R x = .4, -.6, .2; squares add up to .56.
    # 3/2 * .56 / 25 = .0336
    ratio = ratio_at(np.array([1.0, 0, 2]), np.array([1.0, 1, 3]), ALL, np.array([3]))
    assert ratio.value[0] == pytest.approx(0.6)
    assert ratio.variance[0] == pytest.approx(0.0336)
    assert ratio.users[0] == 3


def test_with_one_session_each_it_is_the_variance_of_a_mean() -> None:
    y = np.array([1.0, 0, 2, 5])
    ratio = ratio_at(y, np.ones(4), np.ones(4, bool), np.array([4]))
    assert ratio.variance[0] == pytest.approx(np.var(y, ddof=1) / 4)


def test_a_look_sees_the_first_users_of_its_side_and_nobody_else() -> None:
    y, x, mine = np.array([1.0, 9, 0, 2]), np.array([1.0, 9, 1, 3]), np.array([True, False, True, True])
    looks = ratio_at(y, x, mine, np.array([1, 3, 4]))
    assert looks.users.tolist() == [1, 2, 3]
    assert looks.value == pytest.approx([1.0, 0.5, 0.6])
    assert looks.variance[0] == np.inf  # one user says nothing of how users differ
    assert looks.variance[2] == pytest.approx(0.0336)


def test_a_side_without_anybody_is_unknown_and_no_error() -> None:
    ratio = ratio_at(np.ones(3), np.ones(3), ~ALL, np.array([3]))
    assert (ratio.value[0], ratio.variance[0]) == (0.0, np.inf)


def test_the_variance_is_that_of_repeated_experiments_where_sessions_of_a_user_are_alike() -> None:
    draw, n, repeats = np.random.default_rng(1), 400, 2_000
    values, variances = [], []
    for _ in range(repeats):
        sessions = draw.geometric(0.5, n).astype(float)
        taste = draw.beta(1, 4, n)  # a user buys in all sessions or in none: far from independent sessions
        orders = draw.binomial(sessions.astype(int), taste).astype(float)
        ratio = ratio_at(orders, sessions, np.ones(n, bool), end(orders))
        values.append(ratio.value[0])
        variances.append(ratio.variance[0])
    assert np.mean(variances) == pytest.approx(np.var(values), rel=0.1)
    naive = np.mean(values) * (1 - np.mean(values)) / (2 * n)  # as if 2 n sessions were independent
    assert np.var(values) > 1.25 * naive


def test_the_difference_of_two_sides_by_hand() -> None:
    # A: .6 with variance .0336. B: orders 1, 1 in sessions 1, 2: R = 2/3, y - R x = 1/3, -1/3; 2 * 2/9 / 9 = 4/81.
    a = ratio_at(np.array([1.0, 0, 2]), np.array([1.0, 1, 3]), ALL, np.array([3]))
    b = ratio_at(np.array([1.0, 1]), np.array([1.0, 2]), np.ones(2, bool), np.array([2]))
    found, half = difference_of(a, b, 0.05), 1.959964 * np.sqrt(0.0336 + 4 / 81)
    assert (found.a, found.b, found.difference) == pytest.approx((0.6, 2 / 3, 1 / 15))
    assert (found.low, found.high) == pytest.approx((1 / 15 - half, 1 / 15 + half))
    assert found.uplift == pytest.approx(1 / 9)
    spread = 1.959964 * np.sqrt(4 / 81 / 0.36 + (4 / 9) * 0.0336 / 0.6**4)
    assert (found.uplift_low, found.uplift_high) == pytest.approx((1 / 9 - spread, 1 / 9 + spread))


def test_p_values_of_well_known_z() -> None:
    assert p_value(np.array([0.0, 1.959964, -1.959964, 2.575829])) == pytest.approx([1, 0.05, 0.05, 0.01], abs=1e-6)
    assert quantile(0.05) == pytest.approx(1.959964, abs=1e-6)
    assert z_of(np.array([0.0, 0.3]), np.array([0.0, 0.01])) == pytest.approx([0, 3])


def test_a_paired_difference_is_free_of_what_both_sides_share() -> None:
    a = np.array([5.0, 0, 2])
    difference, low, high = paired_difference(a, a + np.array([1.0, 1, 3]), np.array([1.0, 1, 3]), 0.05)
    assert (difference, low, high) == pytest.approx((1, 1, 1))
