"""The UBI adapter: every shape in the wild, what each tolerance rescues, and what is refused instead of nulled."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from jobs.adapters.ubi import TOLERANCES, to_records
from jobs.ingest.screen import screen
from jobs.runtime.sections import IngestSettings
from tests.jobs.ingest_cases import event, lines_of, query

EPOCH_MS = 1_767_261_600_000  # 2026-01-01T10:00:00Z


def records(spark: SparkSession, *documents: dict[str, Any] | str, file: str = "ubi.ndjson", **settings: Any) -> list[Row]:
    found = screen(to_records(lines_of(spark, documents, file=file), options := IngestSettings(**settings)), options)
    return sorted(found.collect(), key=lambda r: r["line"])


def used(row: Row) -> set[str]:
    return {name for n, name in enumerate(TOLERANCES) if row["tolerated"] >> n & 1}


def test_wire_documents_of_the_simulators_shape_need_no_tolerance(spark: SparkSession) -> None:
    attributes = {"page": 2, "page_size": 12, "locale": "en", "session_id": "s1", "user_id": "u1", "user_agent": "Firefox",
                  "sort": "price_asc", "filters": {"brand": "x", "color": "red"}}
    details = {"quantity": 2, "price": 9.5, "order_id": "o1", "user_agent": "Firefox"}
    asked, bought = records(
        spark, query(query_attributes=attributes),
        event("purchase", ordinal=13, event_id="e1", session_id="s1", user_id="u1", attributes=details),
    )
    assert (asked["kind"], asked["disposition"], bought["kind"], bought["disposition"]) == ("query", None, "event", None)
    assert (asked["query_text"], asked["page"], asked["page_size"], asked["locale"]) == ("usb cable", 2, 12, "en")
    assert (asked["filters"], asked["sort"], asked["hit_ids"]) == (["brand=x", "color=red"], "price_asc", ["p1", "p2", "p3"])
    assert (bought["action"], bought["object_id"], bought["position"]) == ("purchase", "p1", 13)
    assert (bought["quantity"], bought["price"], bought["order_id"], bought["event_id"]) == (2, 9.5, "o1", "e1")
    assert bought["user_agent"] == asked["user_agent"] == "Firefox"
    assert used(bought) == set() and used(asked) == {"session_in_attributes", "user_in_attributes"}


def test_each_older_or_other_shape_is_read_and_counted(spark: SparkSession) -> None:
    shapes: list[tuple[dict[str, Any], str]] = [
        (event(ts=EPOCH_MS), "epoch_time"),
        (event(ts="2026-01-01T10:00:00"), "zoneless_time"),
        ({"_index": "ubi_events", "_id": "7", "_source": event()}, "index_document"),
        (query(query_response_hit_ids=None, query_response_object_ids=["p9"]), "old_hit_list_name"),
        (event(object_id=None, attributes={"data": {"object_id": "p1"}}), "old_object_name"),
        (event(attributes={"session_id": "s1"}), "session_in_attributes"),
        (event(attributes={"user_id": "u1"}), "user_in_attributes"),
        (event("purchase", attributes={"object": {"object_id": "p1", "transaction_id": "t1"}}), "order_in_object"),
        (event("purchase", attributes={"object": {"object_id": "p1", "price": 4}}), "price_in_object"),
        (event(user_id=""), "blank_id"),
        (event("item_click"), "action_alias"),
        (event(ordinal=0), "position_below_base"),
    ]
    rows = records(spark, *[document for document, _ in shapes], action_aliases={"item_click": "click"})
    assert [used(row) for row in rows] == [{rule} for _, rule in shapes]
    assert [row["disposition"] for row in rows] == [None] * len(shapes)
    by_rule = {rule: row for row, (_, rule) in zip(rows, shapes)}
    assert {row["object_id"] for row in rows if row["kind"] == "event"} == {"p1"}
    assert by_rule["old_hit_list_name"]["hit_ids"] == ["p9"]
    assert (by_rule["order_in_object"]["order_id"], by_rule["price_in_object"]["price"]) == ("t1", 4.0)
    assert (by_rule["action_alias"]["action"], by_rule["blank_id"]["user_id"]) == ("click", None)
    assert by_rule["position_below_base"]["position"] is None
    assert by_rule["epoch_time"]["ts"] == by_rule["zoneless_time"]["ts"]


def test_positions_become_one_based_by_the_declared_base(spark: SparkSession) -> None:
    documents = [event(ordinal=0, application="old"), event(ordinal=4, application="old"), event(ordinal=4, application="new")]
    rows = records(spark, *documents, position_base_by_application={"old": 0})
    assert [row["position"] for row in rows] == [1, 5, 4]
    assert [row["position"] for row in records(spark, *documents[:2], position_base=0)] == [1, 5]


def test_lines_of_the_bulk_format_are_a_kind_of_their_own(spark: SparkSession) -> None:
    rows = records(spark, {"index": {"_index": "ubi_events", "_id": "1"}}, event(), {"create": {}}, query())
    assert [(r["kind"], r["disposition"], r["reason"]) for r in rows] == [
        ("action", "merged", "bulk_action"), ("event", None, None), ("action", "merged", "bulk_action"), ("query", None, None)
    ]


REFUSED: list[tuple[dict[str, Any] | str, str, str | None]] = [
    ('{"action_name": "click"', "not_json", None),
    ('{"action_name": "click"} {"action_name": "click"}', "not_json", None),
    ("[1, 2]", "not_an_object", None),
    ("17", "not_an_object", None),
    ({**event(), "event_attributes": "none"}, "wrong_type", "event_attributes"),
    (event(object_id=None, attributes={"object": "p1"}), "wrong_type", "event_attributes.object"),
    (event(ordinal=None, attributes={"position": 4}), "wrong_type", "event_attributes.position"),
    (query(query_response_hit_ids="p1 p2"), "wrong_type", "query_response_hit_ids"),
    (query(query_response_hit_ids=["p1", {"id": "p2"}]), "wrong_type", "query_response_hit_ids"),
    (query(query_attributes=["a"]), "wrong_type", "query_attributes"),
    (event(object_id={"id": "p1"}), "wrong_type", "event_attributes.object.object_id"),
    (query(text={"q": "usb"}), "wrong_type", "user_query"),  # type: ignore[arg-type]
    (event(ts="last Tuesday"), "bad_timestamp", "timestamp"),
    (event(ts=17), "bad_timestamp", "timestamp"),
    (event(ordinal="two"), "bad_number", "position"),
    (event(ordinal=3.7), "bad_number", "position"),
    (event(attributes={"price": "cheap"}), "bad_number", "price"),
    (event(attributes={"quantity": [1]}), "bad_number", "quantity"),
    (query(query_attributes={"page": "first"}), "bad_number", "page"),
    (query(query_attributes={"page": 0}), "out_of_range", "page"),
    (event(ordinal=-1), "out_of_range", "position"),
    (event(attributes={"quantity": 0}), "out_of_range", "quantity"),
    (event(attributes={"price": -1}), "out_of_range", "price"),
    (event(object_id=None), "missing_object_id", "object_id"),
    (event(object_id="  "), "missing_object_id", "object_id"),
    (event(ts=None), "missing_timestamp", "ts"),
    (query(query_id=None), "missing_query_id", "query_id"),
    (query(query_id="x" * 257), "too_long", "query_id"),
    (event("hover", object_id=None), "unknown_action", "action"),
    ({"event_attributes": {"object": {"object_id": "p1"}}}, "missing_action", "action"),
    (event(ts="2026-01-02T01:30:00Z"), "in_the_future", "ts"),
    ({"level": "debug"}, "unknown_kind", None),
]


def test_nothing_of_the_wrong_type_format_or_range_is_nulled_silently(spark: SparkSession) -> None:
    rows = records(spark, *[document for document, _, _ in REFUSED])
    found = [(row["disposition"], row["reason"], row["field"]) for row in rows]
    assert found == [("quarantined", reason, field) for _, reason, field in REFUSED]


def test_a_text_that_looks_like_json_is_still_a_text(spark: SparkSession) -> None:
    [row] = records(spark, query(text='{"not": "json"} [1]'))
    assert (row["disposition"], row["query_text"]) == (None, '{"not": "json"} [1]')


def test_an_unreadable_line_is_of_the_kind_that_its_file_is_named_after(spark: SparkSession) -> None:
    assert [r["kind"] for name in ("queries-1.json", "events-1.json.gz", "log.json") for r in records(spark, "{", file=name)] == [
        "query", "event", "unknown"
    ]


@pytest.mark.parametrize(("filters", "expected"), [
    ({"b": "2", "a": "1", "none": None}, ["a=1", "b=2"]), (["b=2", "a=1"], ["a=1", "b=2"]), ("a=1", ["a=1"]), ({}, None), ("", None),
])
def test_filters_are_sorted_pairs_in_whatever_way_they_are_written(spark: SparkSession, filters: Any, expected: Any) -> None:
    [row] = records(spark, query(query_attributes={"filters": filters}))
    assert row["filters"] == expected


def test_lateness_is_counted_in_days_before_the_arrival(spark: SparkSession) -> None:
    edge, over = records(spark, event(ts="2025-12-29T00:00:00Z"), event(ts="2025-12-28T23:59:59Z"), late_days=3)
    assert (edge["disposition"], over["disposition"], over["reason"]) == (None, "too_late", "late_days")
