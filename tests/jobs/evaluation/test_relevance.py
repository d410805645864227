"""What counts as relevant, and what a system may know, on a log small enough to read."""

from __future__ import annotations

from datetime import date, datetime, timezone
from typing import Any

import pytest

from jobs.evaluation.relevance import (
    Days,
    conversion_counts,
    conversions,
    frequency_of_frequencies,
    oracle_items,
    popular_items,
    query_frequency,
    relevant_items,
    sample_queries,
)

NOON = datetime(2026, 1, 8, 12, tzinfo=timezone.utc)


def requests_of(spark: Any, *rows: tuple[str, str]) -> Any:
    return spark.createDataFrame(list(rows), "query_id string, query_norm string")


def impressions_of(spark: Any, *rows: tuple[str, str, datetime | None, datetime | None]) -> Any:
    return spark.createDataFrame(
        list(rows), "query_id string, object_id string, clicked_ts timestamp, ordered_ts timestamp"
    )


@pytest.fixture(scope="module")
def candidates(spark: Any) -> Any:
    return spark.createDataFrame([(1, "a"), (2, "b"), (3, "c")], "dense_id bigint, object_id string")


def test_the_last_days_are_judged_and_the_validation_days_are_nobodys() -> None:
    days = Days.ending(date(2026, 1, 8), window=8, validation=1, test=1)
    assert days.test == ["2026-01-08"]
    assert (days.train[0], days.train[-1], days.cut) == ("2026-01-01", "2026-01-06", date(2026, 1, 7))
    assert days.validation == ["2026-01-07"]
    assert Days.ending(date(2026, 1, 8), window=4, validation=1, test=2) == Days(
        ["2026-01-05"], ["2026-01-06"], ["2026-01-07", "2026-01-08"], date(2026, 1, 6)
    )


def test_the_items_of_every_request_with_the_query_are_relevant_once(spark: Any, candidates: Any) -> None:
    requests = requests_of(spark, ("q1", "usb"), ("q2", "usb"), ("q3", "lamp"), ("q4", ""))
    impressions = impressions_of(
        spark, ("q1", "a", NOON, None), ("q2", "a", NOON, NOON), ("q2", "b", None, NOON), ("q2", "c", None, None),
        ("q3", "gone", NOON, None), ("q4", "c", NOON, None),
    )
    truth = conversions(requests, impressions, candidates)
    assert sorted(tuple(row) for row in truth.where("dense_id is not null").collect()) == [
        ("usb", 1, True, True), ("usb", 2, True, False),
    ]
    assert conversion_counts(truth).first().asDict() == {
        "queries": 2, "ordered": 2, "clicked": 2, "ordered_without_vector": 0, "clicked_without_vector": 1,
    }
    assert [row.query_norm for row in sample_queries(truth, 7, 10).collect()] == ["usb"]


def test_the_sample_is_the_same_however_the_rows_lie_and_grows_by_adding(spark: Any) -> None:
    truth = spark.createDataFrame([(f"q{n}", n) for n in range(40)], "query_norm string, dense_id bigint")

    def sample(partitions: int, limit: int, seed: int = 7) -> list[str]:
        return [row.query_norm for row in sample_queries(truth.repartition(partitions), seed, limit).collect()]

    assert sample(1, 10) == sample(7, 10) == sample(3, 20)[:10]
    assert sample(1, 10) != sample(1, 10, seed=8)


def test_a_query_brings_no_more_relevant_items_than_allowed(spark: Any) -> None:
    rows = [("usb", n, True, True) for n in range(30)] + [("lamp", 5, False, True)]
    truth = spark.createDataFrame(rows, "query_norm string, dense_id bigint, ordered boolean, clicked boolean")
    queries = spark.createDataFrame([(0, "lamp"), (1, "usb")], "query bigint, query_norm string")
    kept = relevant_items(truth, queries, seed=7, limit=4).collect()
    assert sorted(row.query for row in kept) == [0, 1, 1, 1, 1]


def test_popularity_counts_orders_then_clicks_before_the_cut_only(spark: Any, candidates: Any) -> None:
    early, late = datetime(2026, 1, 6, 23, 59, tzinfo=timezone.utc), datetime(2026, 1, 7, tzinfo=timezone.utc)
    impressions = impressions_of(
        spark, ("q1", "a", early, late), ("q2", "a", early, late), ("q3", "b", None, early), ("q4", "c", early, None),
        ("q5", "c", late, late), ("q6", "gone", early, early),
    )
    best = popular_items(impressions, candidates, date(2026, 1, 7), 3).collect()
    assert [row.dense_id for row in best] == [2, 1, 3]
    assert [row.dense_id for row in popular_items(impressions, candidates, date(2026, 1, 7), 1).collect()] == [2]


def test_a_query_is_seen_when_training_asked_it(spark: Any) -> None:
    rows = [("usb", "2026-01-05"), ("usb", "2026-01-06"), ("lamp", "2026-01-06"), ("new", "2026-01-07"),
            ("", "2026-01-05")]
    requests = spark.createDataFrame(rows, "query_norm string, day string").selectExpr(
        "query_norm", "cast(day as date) event_date"
    )
    frequency = query_frequency(requests, date(2026, 1, 7))
    assert {row.query_norm: row.requests for row in frequency.collect()} == {"usb": 2, "lamp": 1}
    assert [tuple(row) for row in frequency_of_frequencies(frequency).collect()] == [(2, 1), (1, 1)]


def test_the_oracle_ranks_by_the_order_probability_of_the_intents_behind_the_query(spark: Any, candidates: Any) -> None:
    # Two of three requests for "usb" meant intent 10, one meant 20: a = 2 x .3, b = 2 x .2 + .4, c = .7
    requests = requests_of(spark, ("q1", "usb"), ("q2", "usb"), ("q3", "usb"), ("q4", "other"))
    queries = spark.createDataFrame([(0, "usb")], "query bigint, query_norm string")
    intents = spark.createDataFrame(
        [("q1", 10), ("q2", 10), ("q3", 20), ("q4", 30)], "query_id string, intent_id bigint"
    )
    utility = spark.createDataFrame(
        [(10, "a", 0.3), (10, "b", 0.2), (20, "b", 0.4), (20, "c", 0.7), (20, "gone", 0.9), (30, "a", 1.0),
         (10, "c", 0.0)],
        "intent_id bigint, object_id string, order_probability double",
    )
    found = oracle_items(requests, queries, intents, utility, candidates, 2)
    assert sorted((row.place, row.dense_id) for row in found.collect()) == [(1, 2), (2, 3)]
