"""Each attribution rule on a case that fits in the head."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.labels.attribution import attribute
from jobs.labels.requests import merge_requests
from jobs.runtime.sections import LabelSettings
from tests.jobs.labels.streams import Row, at, collected, event, frame, request

CASES: dict[str, tuple[list[Row], list[Row], dict[str, str | None]]] = {
    "a click belongs to the query it names": (
        [request("q1", "ab"), request("q2", "ab", 1)], [event("e", "click", "a", 2, query_id="q1")],
        {"e": "own_query q1"},
    ),
    "a click that names an unknown query goes to the last search of the session that listed the item": (
        [request("q1", "ab"), request("q2", "ab", 5), request("q3", "bc", 6)],
        [event("e", "click", "a", 7, query_id="lost")], {"e": "session_last_touch q2"},
    ),
    "a click 30 minutes after the search still counts, one 31 minutes after it does not": (
        [request("q1", "a")], [event("e1", "click", "a", 30), event("e2", "click", "a", 31)],
        {"e1": "session_last_touch q1", "e2": "none"},
    ),
    "another session, another client or an item that was not listed is no touch": (
        [request("q1", "a")],
        [
            event("e1", "click", "a", 1, session_id="s2"), event("e2", "click", "a", 1, client_id="c2"),
            event("e3", "click", "b", 1), event("e4", "click", "a", 1, session_id=None),
        ],
        {"e1": "none", "e2": "none", "e3": "none", "e4": "none"},
    ),
    "of two searches at the same moment the greater query id wins": (
        [request("q1", "a"), request("q2", "a")], [event("e", "click", "a", 1)], {"e": "session_last_touch q2"},
    ),
    "a user key outranks a client id: the same client under another user is somebody else": (
        [request("q1", "a", user_key="u1")],
        [event("e1", "click", "a", 1, user_key="u2"), event("e2", "click", "a", 1, user_key="u1", client_id="c2")],
        {"e1": "none", "e2": "session_last_touch q1"},
    ),
    "an event before its own search is not attributed to it": (
        [request("q1", "a", 10), request("q0", "a")], [event("e", "click", "a", 9, query_id="q1")],
        {"e": "session_last_touch q0"},
    ),
    "an event more than seven days after its own search is not attributed to it": (
        [request("q1", "a")],
        [event("e1", "purchase", "a", days=7, query_id="q1"), event("e2", "purchase", "a", 1, days=7, query_id="q1")],
        {"e1": "own_query q1", "e2": "none"},
    ),
    "a purchase follows the last cart, even past a later click": (
        [request("q1", "a"), request("q2", "a", 10)],
        [
            event("e1", "add_to_cart", "a", 5, query_id="q1"), event("e2", "click", "a", 15, query_id="q2"),
            event("e3", "purchase", "a", 20, session_id="s9"),
        ],
        {"e1": "own_query q1", "e2": "own_query q2", "e3": "last_cart q1"},
    ),
    "a cart that was emptied before the purchase no longer leads anywhere": (
        [request("q1", "a"), request("q2", "a", 10)],
        [
            event("e1", "add_to_cart", "a", 15, query_id="q1"), event("e2", "click", "a", 12, query_id="q2"),
            event("e3", "remove_from_cart", "a", 16), event("e4", "purchase", "a", 20),
        ],
        {"e1": "own_query q1", "e2": "own_query q2", "e4": "last_clicked_query q2"},
    ),
    "a purchase without a cart goes to the query in which the item was clicked last": (
        [request("q1", "ab"), request("q2", "ab", 10)],
        [
            event("e1", "click", "a", 1, query_id="q1"), event("e2", "click", "b", 11, query_id="q2"),
            event("e3", "purchase", "a", days=3, session_id="later"),
        ],
        {"e1": "own_query q1", "e2": "own_query q2", "e3": "last_clicked_query q1"},
    ),
    "a cart through a click is a cart that a purchase can follow": (
        [request("q1", "a")],
        [
            event("e1", "click", "a", 1, query_id="q1"), event("e2", "add_to_cart", "a", 2),
            event("e3", "purchase", "a", 3),
        ],
        {"e1": "own_query q1", "e2": "last_clicked_query q1", "e3": "last_cart q1"},
    ),
    "one more of the same in the basket follows the cart that named its query": (
        [request("q1", "a"), request("q2", "a", 10)],
        [
            event("e1", "add_to_cart", "a", 1, query_id="q1"), event("e2", "click", "a", 11, query_id="q2"),
            event("e3", "add_to_cart", "a", 12),
        ],
        {"e1": "own_query q1", "e2": "own_query q2", "e3": "last_cart q1"},
    ),
    "nobody's cart follows nobody's click": (
        [request("q1", "a")],
        [
            event("e1", "click", "a", 1, query_id="q1", client_id=None, session_id=None),
            event("e2", "add_to_cart", "a", 2, client_id=None, session_id=None),
        ],
        {"e1": "own_query q1", "e2": "none"},
    ),
    "an order counts once, whoever reports it again": (
        [request("q1", "ab")],
        [
            event("e1", "purchase", "a", 1, query_id="q1", order_id="o"),
            event("e2", "purchase", "a", 2, query_id="q1", order_id="o"),
            event("e3", "purchase", "b", 2, query_id="q1", order_id="o"),
            event("e4", "purchase", "a", 3, query_id="q1"),
        ],
        {"e1": "own_query q1", "e2": "repeated_order", "e3": "own_query q1", "e4": "own_query q1"},
    ),
    "an event delivered twice is one event, its earliest copy": (
        [request("q1", "a")],
        [event("e", "click", "a", 31), event("e", "click", "a", 29), event("e", "click", "a", 31)],
        {"e": "session_last_touch q1"},
    ),
    "views and viewport impressions are no conversions": (
        [request("q1", "a")], [event("e1", "view", "a", 1, query_id="q1"), event("e2", "impression", "a", 1)], {},
    ),
}


@pytest.fixture(scope="module")
def attributed(spark: SparkSession) -> dict[str, dict[str, Row]]:
    """Every case in one job: ids get the number of their case in front, and cases cannot see each other."""
    requests = [apart(n, row) for n, (given, _, _) in enumerate(CASES.values()) for row in given]
    events = [apart(n, row) for n, (_, given, _) in enumerate(CASES.values()) for row in given]
    rows = run(spark, requests, events)
    numbered = {str(n): name for n, name in enumerate(CASES)}
    found: dict[str, dict[str, Row]] = {name: {} for name in CASES}
    for row in rows:
        number, event_id = row["event_id"].split("/")
        found[numbered[number]][event_id] = row
    return found


def run(
    spark: SparkSession, requests: list[Row], events: list[Row], settings: LabelSettings | None = None
) -> list[Row]:
    merged: DataFrame = merge_requests(frame(spark, "requests", requests))
    return collected(attribute(merged, frame(spark, "events", events), settings or LabelSettings()))


def apart(number: int, row: Row) -> Row:
    names = ("query_id", "event_id", "client_id", "session_id", "user_key", "order_id")
    return {**row, **{n: f"{number}/{row[n]}" for n in names if row.get(n) is not None}}


@pytest.mark.parametrize("name", CASES)
def test_rule(attributed: dict[str, dict[str, Row]], name: str) -> None:
    found = {}
    for event_id, row in attributed[name].items():
        query = f" {row['query_id'].split('/')[1]}" if row["query_id"] else ""
        found[event_id] = row["rule"] + query
    assert found == CASES[name][2]


def test_what_is_undone_says_when(spark: SparkSession) -> None:
    rows = run(spark, [request("q1", "abc")], [
        event("cart", "add_to_cart", "a", 1, query_id="q1"), event("r1", "remove_from_cart", "a", 5),
        event("cart again", "add_to_cart", "a", 6, query_id="q1"),
        event("order", "purchase", "b", 1, query_id="q1", order_id="o"),
        event("r2", "refund", "b", days=2, order_id="o", client_id="the shop"),
        event("other order", "purchase", "b", 2, query_id="q1", order_id="o2"),
        event("no order id", "purchase", "c", 1, query_id="q1"), event("r3", "refund", "c", 9),
        event("too late", "purchase", "b", days=6, query_id="q1", order_id="o3"),
        event("r4", "refund", "b", days=8, order_id="o3"),
    ])
    assert {r["event_id"]: r["undone_ts"] for r in rows} == {
        "cart": at(5), "cart again": None, "order": at(days=2), "other order": None, "no order id": at(9),
        "too late": None,
    }


def test_shorter_windows_attribute_less(spark: SparkSession) -> None:
    settings = LabelSettings(click_window_minutes=5, order_window_days=1)
    rows = run(spark, [request("q1", "a")], [
        event("e1", "click", "a", 6), event("e2", "click", "a", 5),
        event("e3", "purchase", "a", 1, days=1, query_id="q1"),
    ], settings)
    assert {r["event_id"]: r["rule"] for r in rows} == {"e1": "none", "e2": "session_last_touch", "e3": "none"}
