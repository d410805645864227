"""Figures of labelled days from counts that are written down here."""

from __future__ import annotations

import pytest

from jobs.labels.facts import clicks_at, describe_impressions

DAY = "2026-01-01"


def test_clicks_are_counted_by_position_and_from_the_24th_on_together() -> None:
    rows = [{"place": place, "clicks": clicks} for place, clicks in ((1, 5), (1, 2), (2, 1), (24, 3), (48, 4), (None, 9))]
    found = clicks_at(rows)
    assert (found["clicks_at:00"], found["clicks_at:01"], found["clicks_at:23"], len(found)) == (7.0, 1.0, 7.0, 24)
    assert sum(found.values()) == 15


@pytest.mark.parametrize(("shown", "clicks", "wrong"), [(1_000, 0, 1.0), (1_000, 1, 0.0), (999, 0, 0.0)])
def test_no_click_is_wrong_where_a_thousand_impressions_were_shown_and_chance_on_a_day_of_fewer(
    shown: int, clicks: int, wrong: float
) -> None:
    cell = {"stage": None, "place": 1, "shown": shown - 10, "clicks": clicks, "not_examined": 0, "refined": 0}
    tally = describe_impressions([DAY], ())
    _, metrics = tally.describe({DAY: [cell, {**cell, "place": 2, "shown": 10, "clicks": 0}]})[DAY]
    assert metrics["nothing_clicked"] == wrong
