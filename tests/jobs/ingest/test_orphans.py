"""The share of events whose search is in no request, of a handful that can be counted by eye."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from jobs.ingest.orphans import orphan_share
from tests.jobs.ingest_cases import D1, D2, config_of, deliver, event, ingest, query


def test_events_are_counted_and_not_searches_and_those_that_name_none_are_left_out(spark: SparkSession) -> None:
    """a has three events and a request, b has one and none; two name no search."""
    events = spark.createDataFrame([("a",), ("a",), ("a",), ("b",), (None,), (None,)], "query_id string")
    known = spark.createDataFrame([("a",), ("a",), ("other",)], "query_id string")
    for partitions in (1, 3, 7):
        assert orphan_share(events.repartition(partitions), known) == pytest.approx(1 / 4)
    assert orphan_share(events.where("query_id is null"), known) == 0


def test_the_request_may_have_come_the_day_before(spark: SparkSession, tmp_path) -> None:
    """Of the second day's four events one names a search of the day before, two one of the day itself, one nobody's."""
    config = config_of(tmp_path)
    deliver(tmp_path, D1, "ubi.ndjson", [query("q1"), event(query_id="q1")])
    at = f"{D2}T09:00:00.000Z"
    named = [event(query_id=name, object_id=f"p{n}", ts=f"{D2}T09:01:00.000Z") for n, name in enumerate(["q1", "q2", "q2", "q9"])]
    deliver(tmp_path, D2, "ubi.ndjson", [query("q2", ts=at), *named])
    shares = {}
    for day in (D1, D2):
        shares[day] = ingest(spark, config, day).outputs["ledger", day].metrics["orphan_event_share"]
    assert shares == {D1: 0, D2: pytest.approx(1 / 4)}
