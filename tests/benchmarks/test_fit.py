"""Lines through measured seconds, and sizes."""

from __future__ import annotations

import pytest

from benchmarks.fit import extrapolated, growth, line, plane
from benchmarks.labels import Measured, report, sizes_of, table


def test_a_line_through_points_on_a_line_is_that_line() -> None:
    assert line([(1, 5), (2, 7), (4, 11)]) == pytest.approx((3, 2))


def test_points_on_a_line_are_extrapolated_without_doubt() -> None:
    assert extrapolated([(1, 5), (2, 7), (4, 11)], 100) == pytest.approx((203, 203, 203))


def test_the_interval_is_that_of_students_t() -> None:
    """Residuals 1/6, -1/3, 1/6 about y = 2/3 + x/2, one degree of freedom, t = 12.706: 12.706 * sqrt(1/6 * (1 + 1/3 + 1/2)) at 3."""
    low, middle, high = extrapolated([(1, 1), (2, 2), (3, 2)], 3)
    half = 12.7062 * (1 / 6 * (1 + 1 / 3 + 1 / 2)) ** 0.5
    assert (low, middle, high) == pytest.approx((13 / 6 - half, 13 / 6, 13 / 6 + half), rel=1e-4)


def test_two_sizes_are_not_extrapolated() -> None:
    with pytest.raises(ValueError, match="expected three sizes"):
        extrapolated([(1, 5), (2, 7), (2, 8)], 100)


def test_growth_is_nothing_on_a_line_and_needs_three_sizes() -> None:
    assert growth([(1, 5), (2, 7), (4, 11), (8, 19)]) == pytest.approx(0)
    assert growth([(1, 5), (2, 7)]) is None


def test_growth_compares_the_dearer_half_with_the_cheaper() -> None:
    # A second costs 1 up to 2 events and 1.5 from there on; of three sizes each half has two.
    assert growth([(4, 5), (1, 1), (2, 2)]) == pytest.approx(0.5)


def test_sizes_double() -> None:
    assert sizes_of(80, 4) == [10, 20, 40, 80]


def test_the_report_takes_ratio_and_skew_from_the_largest_size() -> None:
    small = Measured(10, 1, 20, seconds=2, cpu_seconds=3, duckdb_seconds=1)
    large = Measured(20, 2, 40, seconds=3, cpu_seconds=5, duckdb_seconds=1.5)
    skewed = Measured(20, 2, 39, seconds=4.5, cpu_seconds=5, duckdb_seconds=1, skewed=True)
    found = report([small, large, skewed], 1_000, "3g")
    assert (found["events"], found["seconds"], found["ratio_to_duckdb"], found["skew_ratio"]) == (20, 3, 2, 1.5)
    assert (found["fixed_seconds"], found["seconds_per_million"], found["growth"]) == (1, 100_000, None)
    assert found["equal_rows"] == 99
    assert table([skewed]).splitlines()[-1] == "| skewed | 20 | 2 | 39 | 4.5 | 5.0 | 1.0 | 4.5 |"


def test_a_plane_through_points_on_a_plane_is_that_plane() -> None:
    sizes = [(1_250_000, 100_000), (2_500_000, 100_000), (1_250_000, 5_000_000), (10_000_000, 5_000_000)]
    seconds = [(x, y, 12 + 7e-6 * x + 3e-7 * y) for x, y in sizes]
    assert plane(seconds) == pytest.approx((12, 7e-6, 3e-7))


def test_a_plane_passes_between_points_that_disagree() -> None:
    # The same sizes twice, once a second above and once a second below.
    sizes = [(1, 1), (2, 1), (1, 3)]
    noisy = [(x, y, 4 + 2 * x + 5 * y + error) for x, y in sizes for error in (1, -1)]
    assert plane(noisy) == pytest.approx((4, 2, 5))


@pytest.mark.parametrize("sizes", [[(1, 1), (2, 3)], [(1, 10), (2, 20), (4, 40)], [(1, 5), (2, 5), (4, 5)]])
def test_a_plane_is_refused_where_the_sizes_never_vary_on_their_own(sizes: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="determine 2 of 3"):
        plane([(x, y, 1.0) for x, y in sizes])
