from __future__ import annotations

import numpy as np
import pytest

from mmse_model.two_level import two_level_interval


def test_the_middle_is_the_mean_and_constants_have_no_width() -> None:
    interval = two_level_interval([[0.25, 0.25, 0.25]] * 2, 200, 1)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.25, 0.25, 0.25))


def test_a_difference_that_all_queries_and_runs_share_is_certain_however_the_queries_differ() -> None:
    a = np.array([[0.1, 0.5, 0.9]] * 3)
    interval = two_level_interval(a + 0.05, 500, 1, against=a[:2])
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.05, 0.05, 0.05))


def test_one_run_gives_the_interval_over_queries_alone() -> None:
    # Means of n draws of 0 or 1: standard error 0.5 / sqrt(400) = 0.025.
    values = np.tile([0.0, 1.0], 200)[None]
    interval = two_level_interval(values, 4_000, 3)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 0.025, rel=0.08)


def test_runs_that_differ_widen_it() -> None:
    # Two runs 0.2 apart: a resample has the mean 0.4, 0.5 or 0.6 with probabilities 1/4, 1/2, 1/4.
    values = np.array([[0.4] * 50, [0.6] * 50])
    interval = two_level_interval(values, 4_000, 3)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.5, 0.4, 0.6))


@pytest.mark.parametrize(("values", "against"), [([], None), ([[0.1, 0.2]], [[0.1]]), ([0.1, 0.2], None)])
def test_other_shapes_are_refused(values: list, against: list | None) -> None:
    with pytest.raises(ValueError, match="expected"):
        two_level_interval(values, 100, 1, against=against)
