"""GA4 rows of every shape: sessions and pages, words for nothing, times, what is refused and what is rescued."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError
from pyspark.sql import SparkSession

from jobs.adapters.ga4 import TOLERANCES, to_records
from jobs.ingest.screen import screen
from jobs.runtime.sections import IngestSettings
from tests.jobs.adapters.ga4_cases import Document, as_export, item, micros, results, row, search
from tests.jobs.ingest_cases import lines_of

SETTINGS = IngestSettings(adapter="ga4")
Records = dict[str, list[dict[str, Any]]]


def texts(cases: dict[str, list[Document | str]]) -> list[tuple[str, str]]:
    """(case, line) of every row; clients are named after cases, so that all go in one frame."""
    def line(name: str, document: Document | str) -> str:
        if isinstance(document, str):
            return document
        client = document["user_pseudo_id"]
        return as_export({**document, "user_pseudo_id": client and f"{name}{client}"})

    return [(name, line(name, document)) for name, documents in cases.items() for document in documents]


def records(spark: SparkSession, cases: dict[str, list[Document | str]], chosen: IngestSettings = SETTINGS) -> Records:
    """The screened records of each case."""
    lines = texts(cases)
    found = screen(to_records(lines_of(spark, [text for _, text in lines], file="events_20260101.json"), chosen), chosen)
    by_case: Records = {name: [] for name in cases}
    for r in found.orderBy("line", "record").collect():
        plain = r.asDict()
        plain["rules"] = [rule for n, rule in enumerate(TOLERANCES) if plain["tolerated"] >> n & 1 and rule != "int64_as_text"]
        by_case[lines[r["line"] - 1][0]].append(plain)
    return by_case


TWICE = [search("10:00:00", "usb"), results("10:00:01", item("a", 1)), search("10:10:00", "USB"), results("10:10:01", item("b", 1))]
PAGED = {"page_location": "https://shop.example/?q=usb&page=2"}

CASES: dict[str, list[Document | str]] = {
    "again": TWICE,
    "second page": [search("10:00:00", "usb", item("a", 1)), search("10:01:00", "usb", item("b", 2), params=PAGED)],
    "other term": [search("10:00:00", "usb"), search("10:01:00", "hub"), results("10:02:00", item("a", 1), params={"search_term": "usb"})],
    "no term": [search("10:00:00", "usb"), search("10:01:00", "hub"), results("10:02:00", item("a", 1))],
    "no search": [results("10:00:00", item("a", 1), params={"search_term": "usb"}), results("10:01:00", item("b", 2), params={"search_term": "usb"})],
    "lost term": [results("10:00:00", item("a", 1))],
    "gap": [search("10:00:00", "usb", item("a", 1), item("b", 4))],
    "same place": [search("10:00:00", "usb", item("a", 1), item("b", 1))],
    "far place": [search("10:00:00", "usb", item("a", 1), item("b", 5000))],
    "odd place": [search("10:00:00", "usb", item("a", "left"))],
    "consentless": [search("10:00:00", "usb", client=None, session=None), results("10:00:01", item("a", 1), client=None, session=None)],
    "two clients": [search("10:00:00", "usb", client="x"), search("10:00:00", "usb", client="y")],
    "unnamed list": [row("view_item_list", "10:00:00", item("a", 1), params={"search_term": "usb"}), row("view_item_list", "10:01:00", item("b", 1))],
    "address": [search("10:00:00", None, params={"page_location": "https://shop.example/?x=1&q=caf%C3%A9+au%20lait&sort=price_asc#top"})],
    "broken address": [search("10:00:00", None, params={"page_location": "https://shop.example/?q=100%zz"})],
    "old names": [row("select_item", "10:00:00", {"item_id": "a", "index": "3"}), row("purchase", "10:01:00", item("a"), params={"transaction_id": "T"})],
    "nothing": [row("purchase", "10:00:00", item("a", "(not set)"), ecommerce={"transaction_id": "(not set)"}, user_id="(not set)")],
    "below base": [row("select_item", "10:00:00", item("a", 0))],
    "device": [search("10:00:00", "usb", user_id="u", device={"language": "en-gb", "web_info": {"browser": "Chrome"}})],
    "float time": [row("view_item", "10:00:00", item("a"), event_timestamp="1.7672616E15")],
    "iso time": [row("view_item", "10:00:00", item("a"), event_timestamp="2026-01-01 10:00:00.5 UTC")],
    "naive time": [row("view_item", "10:00:00", item("a"), event_timestamp="2026-01-01 10:00:00")],
    "bad time": [row("purchase", "10:00:00", item("a"), event_timestamp="soon")],
    "bad item": [row("purchase", "10:00:00", item("a", quantity="many"), item("b", price="3.5"), item(None), item("c", "first"))],
    "no event": [{k: v for k, v in row("", "10:00:00").items() if k != "event_name"}],
    "no array": [json.dumps({"event_name": "purchase", "event_timestamp": micros("10:00:00"), "items": {"item_id": "a"}})],
    "nested": [json.dumps({"event_name": "purchase", "event_timestamp": micros("10:00:00"), "user_pseudo_id": {"id": "a"}})],
    "half": ['{"event_name":"purchase"'], "list": ["[1]"],
}


@pytest.fixture(scope="module")
def found(spark: SparkSession) -> Records:
    return records(spark, CASES)


def ids(rows: list[dict[str, Any]]) -> list[int]:
    """Query ids as numbers in the order of their first appearance."""
    seen: dict[str, int] = {}
    return [seen.setdefault(r["query_id"], len(seen)) for r in rows]


def refusals(rows: list[dict[str, Any]]) -> list[tuple[str | None, str | None]]:
    return [(r["reason"], r["field"]) for r in rows]


def test_a_term_searched_for_again_is_another_search_and_a_later_page_is_not(found: Records) -> None:
    assert ids(found["again"]) == [0, 0, 1, 1]
    assert [r["hit_ids"] for r in found["again"]] == [["a"], ["a"], ["b"], ["b"]]
    assert ids(found["second page"]) == [0, 0]
    assert found["second page"][0]["hit_ids"] == ["a", "b"]


def test_a_list_belongs_to_the_last_search_of_its_term_and_without_a_term_to_the_last_search(found: Records) -> None:
    assert ids(found["other term"]) == [0, 1, 0]
    assert ids(found["no term"]) == [0, 1, 1]
    assert (found["no term"][2]["query_text"], found["no term"][2]["rules"]) == ("hub", ["term_of_session"])


def test_a_list_that_nobody_searched_for_begins_a_search_if_it_says_its_term(found: Records) -> None:
    assert ids(found["no search"]) == [0, 0]
    assert found["no search"][0]["hit_ids"] == ["a", "b"]
    assert (found["lost term"][0]["kind"], found["lost term"][0]["query_text"]) == ("query", None)


def test_an_item_stands_where_it_was_logged_or_after_what_was_shown(found: Records) -> None:
    assert found["gap"][0]["hit_ids"] == ["a", None, None, "b"]
    for case in ("same place", "far place"):
        assert (found[case][0]["hit_ids"], found[case][0]["rules"]) == (["a", "b"], ["order_of_appearance"])
    assert refusals(found["odd place"]) == [("bad_number", "item_list_index")]


def test_rows_without_a_client_are_tied_to_nobody(found: Records) -> None:
    assert ids(found["consentless"]) == [0, 1]
    assert [(r["client_id"], r["session_id"]) for r in found["consentless"]] == [(None, None)] * 2
    assert ids(found["two clients"]) == [0, 1]
    assert found["two clients"][0]["session_id"] == "two clientsx.11"


def test_a_list_without_a_name_is_one_of_results_where_it_has_a_term(found: Records) -> None:
    assert [(r["kind"], r["disposition"]) for r in found["unnamed list"]] == [("query", None), ("other", "unused")]


def test_the_address_tells_term_and_order(found: Records) -> None:
    [r] = found["address"]
    assert (r["query_text"], r["sort"], r["rules"]) == ("café au lait", "price_asc", ["term_in_page_location"])
    assert found["broken address"][0]["query_text"] is None


def test_other_places_of_a_value_are_read_and_counted(found: Records) -> None:
    click, order = found["old names"]
    assert (click["position"], click["rules"], order["order_id"], order["rules"]) == (
        3, ["index_without_list"], "T", ["order_in_event_params"]
    )
    [nothing] = found["nothing"]
    assert (nothing["order_id"], nothing["user_id"], nothing["position"], nothing["rules"]) == (None, None, None, ["not_set"])
    [below] = found["below base"]
    assert (below["ordinal"], below["position"], below["rules"]) == (0, None, ["position_below_base"])
    [device] = found["device"]
    assert (device["locale"], device["user_agent"], device["user_id"], device["application"]) == ("en-gb", "Chrome", "u", "1")


def test_times_are_read_in_every_way_they_are_exported(found: Records) -> None:
    seconds = {case: found[case][0]["ts"].timestamp() for case in ("float time", "iso time", "naive time")}
    start = micros("10:00:00") / 1_000_000
    assert seconds == {"float time": start, "iso time": start + 0.5, "naive time": start}
    assert [found[case][0]["rules"] for case in seconds] == [["float_time"], ["iso_time"], ["iso_time", "zoneless_time"]]


def test_what_has_the_wrong_type_is_refused_item_by_item_or_as_a_whole(found: Records) -> None:
    assert refusals(found["bad time"]) == [("bad_timestamp", "event_timestamp")]
    assert refusals(found["bad item"]) == [
        ("bad_number", "quantity"), (None, None), ("missing_object_id", "object_id"), ("bad_number", "position")
    ]
    assert [r["record"] for r in found["bad item"]] == [1, 2, 3, 4]
    assert [refusals(found[case]) for case in ("no event", "no array", "nested", "half", "list")] == [
        [("unknown_kind", None)], [("wrong_type", "items")], [("wrong_type", "user_pseudo_id")], [("not_json", None)],
        [("not_an_object", None)],
    ]


def test_neither_the_order_of_rows_nor_how_they_are_split_changes_a_record(spark: SparkSession, found: Records) -> None:
    documents = [text for _, text in texts(CASES)]
    Random(3).shuffle(documents)
    lines = lines_of(spark, documents + documents[:10], file="events_20260101.json").repartition(7)
    names = ("kind", "record", "query_id", "session_id", "query_text", "hit_ids", "action", "object_id", "position", "tolerated")

    def content(r: Any) -> str:
        return repr([r[name] for name in names])

    assert {content(r) for r in to_records(lines, SETTINGS).collect()} == {content(r) for rows in found.values() for r in rows}


def test_every_setting_has_its_effect(spark: SparkSession) -> None:
    address = {"page_location": "https://shop.example/?text=usb&p=2&by=price&brand=acme"}
    cases: dict[str, list[Document | str]] = {
        "names": [search("10:00:00", "usb", item("a", 0)), row("find", "10:01:00", params=address),
                  row("shelf", "10:01:30", item("b", 1), params={"item_list_id": "Results"}),
                  row("view_item", "10:02:00", item("a"))],
    }
    chosen = IngestSettings(adapter="ga4", position_base_by_application={"1": 0}, ga4={
        "search_events": ["find", "view_search_results"], "list_events": ["shelf"], "search_lists": ["results"],
        "actions": {"view_item": "click"}, "term_parameters": ["text"], "page_parameters": ["p"], "sort_parameters": ["by"],
        "filter_parameters": ["brand", "size"], "lists_are_viewports": True,
    })
    rows = records(spark, cases, chosen)["names"]
    assert [(r["kind"], r["record"], r["action"], r["object_id"], r["position"]) for r in rows] == [
        ("query", 1, None, None, None), ("event", 2, "impression", "a", 1), ("query", 1, None, None, None),
        ("query", 1, None, None, None), ("event", 2, "impression", "b", 2), ("event", 1, "click", "a", None),
    ]
    assert len({r["query_id"] for r in rows[:5]}) == 1  # page 2 and the shelf continue the search; impressions name it
    assert (rows[2]["sort"], rows[2]["filters"], rows[2]["hit_ids"]) == ("price", ["brand=acme"], ["a", "b"])
    assert "position_from_zero" in rows[0]["rules"]


@pytest.mark.parametrize(("wrong", "says"), [
    ({"ga4": {"actions": {"select_item": "tap"}}}, "unknown action 'tap'"),
    ({"ga4": {"list_events": ["view_search_results"]}}, "'view_search_results' stands twice"),
    ({"action_aliases": {"tap": "click"}}, "expected the names in ga4.actions"),
    ({"adapter": "ubi", "ga4": {}}, "ga4 has no meaning for adapter ubi"),
    ({"ga4": {"lists": []}}, "Extra inputs are not permitted"),
])
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        IngestSettings.model_validate({"adapter": "ga4", **wrong})
