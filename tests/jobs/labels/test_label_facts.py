"""Figures of labelled days from counts that are written down here."""

from __future__ import annotations

from jobs.labels.facts import clicks_at


def test_clicks_are_counted_by_position_and_from_the_24th_on_together() -> None:
    rows = [{"place": place, "clicks": clicks} for place, clicks in ((1, 5), (1, 2), (2, 1), (24, 3), (48, 4), (None, 9))]
    found = clicks_at(rows)
    assert (found["clicks_at:00"], found["clicks_at:01"], found["clicks_at:23"], len(found)) == (7.0, 1.0, 7.0, 24)
    assert sum(found.values()) == 15
