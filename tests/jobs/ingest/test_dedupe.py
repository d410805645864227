"""Duplicates within a day and over days, and documents that become one request."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from jobs.ingest.dedupe import rank_within_day, repeated_events, with_key
from jobs.ingest.merge import merge_documents
from jobs.ingest.staging import stage
from jobs.runtime.sections import IngestSettings
from tests.jobs.ingest_cases import D1, event, lines_of, query

START = date(2026, 1, 1)


def dispositions(spark: SparkSession, *documents: dict) -> list[tuple[str | None, str | None]]:
    rows = stage(lines_of(spark, documents), IngestSettings(), b"k" * 32).select("line", "disposition", "reason").collect()
    return [(r["disposition"], r["reason"]) for r in sorted(rows, key=lambda r: r["line"])]


def test_events_repeat_by_id_else_by_what_they_say_to_the_second(spark: SparkSession) -> None:
    found = dispositions(
        spark, event(event_id="e1"), event(event_id="e1", ts=f"{D1}T10:05:00Z"), event(event_id="e2"),
        event(ts=f"{D1}T10:01:00.100Z"), event(ts=f"{D1}T10:01:00.900Z"), event(ts=f"{D1}T10:01:01Z"),
        event(ts=f"{D1}T10:01:00.100Z", client_id="c2"), event("add_to_cart", ts=f"{D1}T10:01:00.100Z"),
    )
    assert found == [
        (None, None), ("duplicate", "event_id"), (None, None),
        (None, None), ("duplicate", "natural_key"), (None, None), (None, None), (None, None),
    ]


def test_documents_of_an_id_merge_and_the_same_line_twice_is_a_duplicate(spark: SparkSession) -> None:
    client, server = query(ts=f"{D1}T10:00:00Z"), query(ts=f"{D1}T10:00:01Z", locale="en")
    found = dispositions(spark, client, server, client, query("q2"))
    assert found == [(None, None), ("merged", "same_query_id"), ("duplicate", "same_record"), (None, None)]


def merged(spark: SparkSession, *documents: dict) -> list[dict]:
    staged = stage(lines_of(spark, documents), IngestSettings(), b"k" * 32)
    sound = staged.where("kind = 'query' and (disposition is null or disposition = 'merged')")
    return [row.asDict() for row in merge_documents(sound).collect()]


def test_a_request_takes_each_field_from_the_first_document_that_has_it(spark: SparkSession) -> None:
    [row] = merged(
        spark,
        query(text="", ts=f"{D1}T10:00:00Z", query_response_hit_ids=[], client_id=None),
        query(text="usb", ts=f"{D1}T10:00:01Z", query_response_hit_ids=["p1"], query_attributes={"page": 2}),
        query(text="usb cable", ts=f"{D1}T10:00:02Z", query_response_hit_ids=["p2"], query_attributes={"page": 3, "locale": "en"}),
    )
    assert (row["query_text"], row["hit_ids"], row["client_id"], row["page"], row["locale"]) == ("usb", ["p1"], "c1", 2, "en")
    assert (row["sources"], row["ts"].second, row["disposition"]) == (3, 0, None)


def test_a_document_without_a_time_is_completed_by_another_and_refused_alone(spark: SparkSession) -> None:
    rows = merged(spark, query("whole", ts=None, text="usb"), query("whole", text=None), query("part", ts=None), query("mute", text=None))
    found = {r["query_id"]: (r["disposition"], r["reason"], r["query_text"]) for r in rows}
    assert found["whole"] == (None, None, "usb")
    assert found["part"][:2] == ("quarantined", "missing_timestamp")
    assert found["mute"][:2] == ("quarantined", "missing_query_text")
    assert all(r["sha256"] and r["excerpt"] for r in rows if r["disposition"])


def first_events(spark: SparkSession, days: dict[str, dict[int, bool]]) -> DataFrame:
    """One first per key and arrival day; the value says whether a bot made it."""
    rows = [(key, START + timedelta(n), START + timedelta(min(of_key)), "regular" if bot else None)
            for key, of_key in days.items() for n, bot in of_key.items()]
    return spark.createDataFrame(rows, "key string, arrival_date date, first_day date, bot_rule string")


def published(spark: SparkSession, days: dict[str, list[int]]) -> DataFrame:
    rows = [(key, START + timedelta(n)) for key, of_key in days.items() for n in of_key]
    return spark.createDataFrame(rows, "key string, arrival_date date")


def repeats(spark: SparkSession, events: dict[str, dict[int, bool]], earlier: dict[str, list[int]], reach: int) -> set[tuple[str, int]]:
    rows = repeated_events(first_events(spark, events), published(spark, earlier), reach).collect()
    return {(r["key"], (r["arrival_date"] - START).days) for r in rows}


def test_a_copy_counts_once_against_an_accepted_one_within_reach(spark: SparkSession) -> None:
    events = {
        "again": {0: False, 1: False}, "far": {0: False, 5: False}, "chain": {0: False, 3: False, 6: False},
        "bot first": {0: True, 1: False}, "bot second": {0: False, 1: True}, "known": {2: False}, "once": {0: False},
    }
    assert repeats(spark, events, {"known": [1], "elsewhere": [1]}, 4) == {
        ("again", 1), ("chain", 3), ("bot second", 1), ("known", 2)
    }


def greedy(days: dict[int, bool], reach: int) -> set[int]:
    """The rule day by day, as separate runs would apply it."""
    accepted: list[int] = []
    found = set()
    for day in sorted(days):
        if any(0 < day - a <= reach for a in accepted):
            found.add(day)
        elif not days[day]:
            accepted.append(day)
    return found


@settings(max_examples=5, deadline=None)
@given(keys=st.lists(st.dictionaries(st.integers(0, 9), st.booleans(), min_size=1), min_size=20, max_size=40), reach=st.integers(1, 4))
def test_all_days_at_once_give_what_day_by_day_gives(spark: SparkSession, keys: list[dict[int, bool]], reach: int) -> None:
    events = {f"k{n}": days for n, days in enumerate(keys)}
    expected = {(key, day) for key, days in events.items() for day in greedy(days, reach)}
    assert repeats(spark, events, {}, reach) == expected


@pytest.mark.parametrize("kind", ["event", "query"])
def test_records_that_are_out_already_never_push_others_out(spark: SparkSession, kind: str) -> None:
    rows = [("2026-01-01", "f", n, kind, d, "e1", "q1", n) for n, d in ((1, "quarantined"), (2, None), (3, "too_late"), (4, None))]
    frame = spark.createDataFrame(
        rows, "arrival_date string, file string, line bigint, kind string, disposition string, event_id string, query_id string, digest bigint"
    ).selectExpr("*", "cast(null as timestamp) ts", "cast(null as string) reason", "1 record", "'c' client_id", "'s' session_id",
                 "'u' user_key", "'click' action", "'p' object_id")
    found = {r["line"]: r["disposition"] for r in rank_within_day(with_key(frame)).collect()}
    assert found == {1: "quarantined", 2: None, 3: "too_late", 4: "duplicate" if kind == "event" else "merged"}
