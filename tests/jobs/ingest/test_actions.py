"""Which names of actions are new."""

from __future__ import annotations

from pyspark.sql import SparkSession

from jobs.ingest.actions import MOST, new_names, unknown_actions


def test_a_name_is_new_where_no_day_of_the_28_before_had_it() -> None:
    earlier = {"2026-01-01": ["hover"], "2025-12-01": ["share"]}
    found = {"2026-01-02": {"hover": 3, "share": 1}, "2026-01-03": {"share": 2, "zoom": 1}}
    assert new_names(found, ["2026-01-03", "2026-01-02"], earlier) == {"2026-01-02": ["share"], "2026-01-03": ["zoom"]}


def test_on_the_first_day_nothing_is_new() -> None:
    found = {"2026-01-02": {"hover": 3}, "2026-01-03": {"hover": 3}}
    assert new_names(found, ["2026-01-02", "2026-01-03"], {}) == {"2026-01-02": [], "2026-01-03": []}


def test_names_are_counted_by_day_and_only_the_most_frequent_are_kept(spark: SparkSession) -> None:
    rows = [("dt=2026-01-02/events.json", "unknown_action", f"name{n:03d}") for n in range(60)]
    rows += [("dt=2026-01-02/more.json", "unknown_action", "often"), ("dt=2026-01-02/events.json", "unknown_action", "often")]
    rows += [("dt=2026-01-03/events.json", "unknown_action", None), ("dt=2026-01-03/events.json", "bad_price", "7")]
    found = unknown_actions(spark.createDataFrame(rows, "file string, reason string, value string"))
    assert len(found["2026-01-02"]) == MOST and next(iter(found["2026-01-02"].items())) == ("often", 2)
    assert found["2026-01-03"] == {"": 1}
