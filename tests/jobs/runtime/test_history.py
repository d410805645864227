"""Figures beside those of the days before, from numbers written down here."""

from __future__ import annotations

from datetime import date, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.runtime.audit import judge
from jobs.runtime.checks import checks_of
from jobs.runtime.history import bins_of, compare, is_compared, past_days, stability
from schemas import Check, Dataset

DT = "2026-01-29"  # a Thursday


def before(*values: float, name: str = "rows") -> list[tuple[str, dict[str, float]]]:
    """The last so many days before DT, the newest last."""
    days = [date.fromisoformat(DT) - timedelta(days=n) for n in range(len(values), 0, -1)]
    return [(day.isoformat(), {"rows": 1.0, name: value}) for day, value in zip(days, values)]


def binned(name: str, *counts: float) -> dict[str, float]:
    return {f"{name}:{n:02d}": count for n, count in enumerate(counts)}


def test_a_day_is_compared_with_the_median_of_its_weekdays_and_no_other_day() -> None:
    past = [("2026-01-01", {"x": 90.0}), ("2026-01-08", {"x": 100.0}), ("2026-01-15", {"x": 1000.0}), ("2026-01-28", {"x": 5.0})]
    assert compare("x:of_weekday", DT, {"x": 50.0}, past) == 0.5
    assert compare("x:of_weekday", DT, {"x": 50.0}, past[3:]) is None


def test_a_week_needs_three_days_and_looks_no_further_back_than_seven() -> None:
    assert compare("x:of_week", DT, {"x": 6.0}, before(2, 3, name="x")) is None
    assert compare("x:of_week", DT, {"x": 6.0}, before(2, 3, 100, name="x")) == 2.0
    assert compare("x:of_week", DT, {"x": 6.0}, before(*[1000] * 20, *[2] * 4, *[3] * 3, name="x")) == 3.0


def test_the_day_before_is_the_newest_there_is() -> None:
    assert compare("x:of_day_before", DT, {"x": 6.0}, [("2026-01-20", {"x": 4.0}), ("2026-01-26", {"x": 3.0})]) == 2.0
    assert compare("x:of_day_before", DT, {"x": 6.0}, []) is None


def test_a_share_is_compared_by_its_difference() -> None:
    assert compare("x:above_week", DT, {"x": 0.5}, before(0.1, 0.2, 0.3, name="x")) == pytest.approx(0.3)
    assert compare("x:above_week", DT, {"x": 0.5}, before(0.1, 0.2, name="x")) is None


def test_a_figure_that_is_gone_counts_as_nothing_and_nothing_before_as_no_history() -> None:
    assert compare("x:of_week", DT, {}, before(2, 3, 4, name="x")) == 0.0
    assert compare("x:of_week", DT, {"x": 1.0}, before(0, 0, 0, name="x")) is None


def test_a_day_of_a_few_rows_is_no_measure_of_the_next() -> None:
    assert compare("rows:of_day_before", DT, {"rows": 10.0}, before(49)) is None
    assert compare("rows:of_day_before", DT, {"rows": 10.0}, before(50)) == 0.2


def test_an_hour_is_missing_where_fifty_rows_or_more_are_usual_and_under_a_tenth_came() -> None:
    past = [(dt, binned("h", 50, 49, 100)) for dt, _ in before(1, 1, 1)]
    assert compare("h:missing", DT, binned("h", 4, 0, 9), past) == 2.0
    assert compare("h:missing", DT, binned("h", 5, 0, 10), past) == 0.0
    assert compare("h:missing", DT, {}, past) == 2.0
    assert compare("h:missing", DT, binned("h", 4, 0, 9), past[1:]) is None


def test_an_hour_that_one_day_before_lacked_as_well_is_not_missing() -> None:
    past = [(dt, binned("h", n)) for n, (dt, _) in zip((100, 100, 30), before(1, 1, 1))]
    assert compare("h:missing", DT, binned("h", 0), past) == 0.0
    assert compare("h:missing", DT, binned("h", 0), [(dt, binned("h", 100)) for dt, _ in past]) == 1.0


def test_an_hour_that_the_same_weekday_does_not_have_is_not_missing() -> None:
    past = [("2026-01-22", binned("h", 10)), *((dt, binned("h", 100)) for dt, _ in before(1, 1, 1))]
    assert compare("h:missing", DT, binned("h", 0), past) == 0.0


def test_one_lively_night_is_no_measure_of_an_hour() -> None:
    """63 events came in that hour a week ago, and 25 are usual: 3 are few, and nothing is missing."""
    lively = [("2026-01-22", binned("h", 63)), *((dt, binned("h", n)) for n, (dt, _) in zip((9, 25, 36), before(1, 1, 1)))]
    assert compare("h:missing", DT, binned("h", 3), lively) == 0.0
    assert compare("h:missing", DT, binned("h", 3), lively[:1]) is None
    thursdays = [(f"2026-01-{day:02d}", binned("h", 63)) for day in (8, 15, 22)]
    assert compare("h:missing", DT, binned("h", 3), thursdays) == 1.0


def test_the_stability_index_is_that_of_the_formula_less_what_chance_gives() -> None:
    """Half and half against three to one: (.5 - .75) ln(.5 / .75) + (.5 - .25) ln(.5 / .25) = .2747."""
    assert stability([5e6, 5e6], [7.5e6, 2.5e6]) == pytest.approx(0.2747, abs=1e-4)
    past = [(dt, binned("p", 25, 8)) for dt, _ in before(1, 1, 1)]
    assert compare("p:psi", DT, binned("p", 50, 50), past) == stability([50, 50], [75, 24])
    assert compare("p:psi", DT, binned("p", 10, 9), past) is None, "under ten rows a bin"
    assert compare("p:psi", DT, binned("p", 1, 2, 3), past) is None, "other bins than today's"


@given(st.lists(st.integers(0, 10_000), min_size=2, max_size=30).filter(any), st.integers(1, 50))
def test_the_same_shares_are_no_drift_whatever_the_size(counts: list[int], times: int) -> None:
    assert stability(counts, [times * c for c in counts]) == pytest.approx(0, abs=0.35 if sum(counts) < 100 else 0.05)
    assert stability(counts, counts) == 0


def test_bins_are_read_in_order_and_end_at_the_first_that_is_not_there() -> None:
    assert bins_of("h", {**binned("h", *range(12)), "h:13": 5.0}) == list(range(12))
    assert bins_of("other", binned("h", 1)) == []


def test_days_before_come_from_the_entry_and_first_from_the_run_itself(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    manifest = lambda rows: SimpleNamespace(rows=rows, metrics={"x": float(rows)})  # noqa: E731
    published = {"2026-01-27": manifest(1), "2026-01-28": manifest(2), "2025-12-31": manifest(3), "2026-01-26": manifest(0)}
    entry = SimpleNamespace(run=lambda dataset, day: day if day in published else None)
    monkeypatch.setattr("jobs.runtime.history.Manifest", SimpleNamespace(read=lambda folder: published[folder.parent.name[3:]]))
    own = {("events", "2026-01-28"): manifest(20), ("requests", "2026-01-27"): manifest(30)}
    assert past_days(tmp_path, entry, "events", DT, own) == [
        ("2026-01-27", {"rows": 1.0, "x": 1.0}), ("2026-01-28", {"rows": 20.0, "x": 20.0}),
    ], "neither 29 days ago nor an empty day"


def test_a_shop_is_not_judged_by_a_history_that_it_does_not_have_yet() -> None:
    check = Check("x:of_week", "critical", low=0.5)
    data = Dataset(name="figures", doc="", checks=(check,))
    results, _ = judge(data, checks_of(data), {DT: {"rows": 1.0, "x": 1.0}, "2026-01-30": {"rows": 1.0, "x:of_week": 0.1}}, False, "t")
    first, second = results[DT][0], results["2026-01-30"][0]
    assert (first.success, first.value, first.note) == (True, None, "not judged: too few days before, or too few rows on them")
    assert (second.success, second.value) == (False, 0.1)
    assert is_compared(check.metric) and not is_compared("rows") and not is_compared("nulls:week")


def test_a_figure_that_its_check_lets_be_absent_is_not_judged_without_it_and_judged_with_it() -> None:
    may, must = Check("x", "warning", low=0.5, absent="no day before"), Check("y", "warning", low=0.5)
    data = Dataset(name="figures", doc="", checks=(may, must))
    bounds = {"figures.x.warning": SimpleNamespace(low=0.2, high=None)}
    results, _ = judge(data, checks_of(data, bounds), {DT: {"rows": 1.0}, "2026-01-30": {"rows": 1.0, "x": 0.1, "y": 0.5}}, False, "t")
    x, y = results[DT]
    assert (x.success, x.value, x.low, x.note) == (True, None, 0.2, "not judged: no day before")
    assert (y.success, y.note) == (False, "the figure is missing")
    assert [check.success for check in results["2026-01-30"]] == [False, True]
