"""Intervals and tests whose answers follow by hand."""

from itertools import product

import numpy as np
import pytest

from mmse_model import bootstrap
from mmse_model.bootstrap import bootstrap_intervals, bootstrap_means, paired_interval, randomisation_test


def test_a_constant_has_an_interval_of_no_width() -> None:
    (interval,) = bootstrap_intervals(np.full((20, 1), 0.25), 200, seed=1)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.25, 0.25, 0.25))


def test_the_resampled_means_of_two_queries_are_binomial() -> None:
    means = bootstrap_means([[0.0], [1.0]], 40_000, seed=2)[:, 0]
    assert [np.mean(means == m) for m in (0.0, 0.5, 1.0)] == pytest.approx([0.25, 0.5, 0.25], abs=0.01)


def test_the_interval_of_many_coin_flips_is_the_normal_one() -> None:
    (interval,) = bootstrap_intervals(np.tile([[0.0], [1.0]], (200, 1)), 4_000, seed=3)
    # standard error sqrt(.25 / 400) = .025
    assert (interval.low, interval.high) == pytest.approx((0.5 - 1.96 * 0.025, 0.5 + 1.96 * 0.025), abs=0.004)


def test_systems_share_their_resamples_so_that_a_fixed_lead_has_no_width() -> None:
    values = np.random.default_rng(4).random(50)
    interval = paired_interval(values + 0.125, values, 500, seed=4)
    assert (interval.low, interval.high) == pytest.approx((0.125, 0.125))
    means = bootstrap_means(np.stack([values, 1 - values], axis=1), 100, seed=4)
    assert means.sum(axis=1) == pytest.approx(np.ones(100))


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(5).random((30, 1))
    assert bootstrap_intervals(values, 100, seed=6) == bootstrap_intervals(values, 100, seed=6)
    assert bootstrap_intervals(values, 100, seed=6) != bootstrap_intervals(values, 100, seed=7)


def test_small_blocks_give_as_many_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "BLOCK_CELLS", 70)
    assert bootstrap_means(np.ones((30, 2)), 11, seed=8).shape == (11, 2)


def test_four_wins_of_four_have_p_two_in_sixteen() -> None:
    assert randomisation_test([0.4, 0.3, 0.2, 0.1], [0, 0, 0, 0], 100, seed=1) == 2 / 16


def test_queries_on_which_both_agree_do_not_change_p() -> None:
    assert randomisation_test([0.4, 0.3, 0.2, 0.1, 1, 1], [0, 0, 0, 0, 1, 1], 100, seed=1) == 2 / 16


def test_a_system_against_itself_has_p_one() -> None:
    assert randomisation_test([0.1, 0.7], [0.1, 0.7], 100, seed=1) == 1.0


def test_the_enumerated_p_is_that_of_every_flip_of_signs() -> None:
    difference = np.random.default_rng(9).normal(0.3, 1, 8)
    sums = [abs(np.dot(signs, difference)) for signs in product((1, -1), repeat=8)]
    expected = np.mean([s >= abs(difference.sum()) - 1e-9 for s in sums])
    assert randomisation_test(difference, np.zeros(8), 10, seed=1) == pytest.approx(expected)


def test_the_sampled_p_agrees_with_the_enumerated_one(monkeypatch: pytest.MonkeyPatch) -> None:
    difference = np.random.default_rng(10).normal(0.4, 1, 12)
    exact = randomisation_test(difference, np.zeros(12), 10, seed=1)
    monkeypatch.setattr(bootstrap, "EXACT_QUERIES", 0)
    assert randomisation_test(difference, np.zeros(12), 20_000, seed=1) == pytest.approx(exact, abs=0.015)


def test_values_of_different_queries_are_refused() -> None:
    with pytest.raises(ValueError, match="one value per query"):
        paired_interval([1.0, 2.0], [1.0], 100, seed=1)
