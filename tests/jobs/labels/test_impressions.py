"""Examination, positions, stages and flags of labelled impressions, by hand."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from jobs.labels.attribution import attribute
from jobs.labels.impressions import label
from jobs.labels.requests import merge_requests
from jobs.runtime.config import DEFAULT_STAGES
from jobs.runtime.sections import LabelSettings
from mmse_model.config import StageSettings
from tests.jobs.labels.streams import Row, at, collected, event, frame, request

Labels = dict[tuple[str, str], Row]

REQUESTS = [
    request("deep", "abcdef"),
    request("idle", "abc"),
    request("page 2", "abc", page=2, page_size=3),
    request("cheapest", "abc", sort="price_asc"),
    request("filtered", "abc", filters=["brand=x"]),
    request("best", "abc", sort="Relevance"),
    request("twice listed", "abab"),
    request("unlisted", "ab"),
    request("no list", None),
]
EVENTS = [
    event("e01", "click", "c", 9, query_id="deep"),
    event("e02", "click", "b", 4, query_id="deep"),
    event("e03", "impression", "f", 2, query_id="deep"),
    event("e04", "purchase", "b", 30, query_id="deep"),
    event("e05", "impression", "a", -1, query_id="deep"),
    event("e06", "click", "a", 1, query_id="page 2", position=1),
    event("e07", "click", "b", 1, query_id="cheapest"),
    event("e08", "click", "c", 1, query_id="filtered"),
    event("e09", "click", "c", 1, query_id="best"),
    event("e10", "click", "b", 1, query_id="twice listed"),
    event("e11", "click", "z", 1, query_id="unlisted", position=2),
    event("e12", "add_to_cart", "y", 1, query_id="unlisted"),
    event("e13", "remove_from_cart", "y", 2),
    event("e14", "impression", "x", 3, query_id="no list", position=7),
]


@pytest.fixture(scope="module")
def labels(spark: SparkSession) -> Labels:
    return run(spark, REQUESTS, EVENTS)


def run(
    spark: SparkSession, requests: list[Row], events: list[Row], stages: tuple[StageSettings, ...] = DEFAULT_STAGES,
    settings: LabelSettings | None = None,
) -> Labels:
    settings = settings or LabelSettings()
    merged, logged = merge_requests(frame(spark, "requests", requests)), frame(spark, "events", events)
    found = label(merged, logged, attribute(merged, logged, settings), stages, settings)
    return {(r["query_id"], r["object_id"]): r for r in collected(found)}


def of(labels: Labels, query_id: str, column: str) -> dict[str, object]:
    return {item: row[column] for (query, item), row in labels.items() if query == query_id}


def test_examined_is_what_stands_above_the_deepest_click_and_one_below(labels: Labels) -> None:
    assert of(labels, "deep", "stage") == {
        "a": "unclicked", "b": "ordered", "c": "clicked", "d": "unclicked", "e": None, "f": "unclicked",
    }
    assert of(labels, "deep", "examined") == {"a": True, "b": True, "c": True, "d": True, "e": False, "f": True}


def test_examined_ts_is_the_earliest_event_that_shows_it(labels: Labels) -> None:
    assert of(labels, "deep", "examined_ts") == {
        "a": at(4), "b": at(4), "c": at(4), "d": at(9), "e": None, "f": at(2),
    }


def test_an_impression_event_before_its_search_is_not_believed(labels: Labels) -> None:
    assert of(labels, "deep", "implied") == {"a": True, "b": True, "c": True, "d": True, "e": True, "f": False}


def test_a_page_without_a_click_is_not_examined(labels: Labels) -> None:
    assert of(labels, "idle", "stage") == {"a": None, "b": None, "c": None}


def test_positions_count_over_pages_and_the_list_outranks_the_event(labels: Labels) -> None:
    assert of(labels, "page 2", "position") == {"a": 4, "b": 5, "c": 6}
    assert of(labels, "page 2", "stage") == {"a": "clicked", "b": "unclicked", "c": None}


def test_a_list_that_the_user_sorted_or_filtered_yields_no_unclicked(labels: Labels) -> None:
    assert of(labels, "cheapest", "stage") == {"a": None, "b": "clicked", "c": None}
    assert of(labels, "filtered", "stage") == {"a": None, "b": None, "c": "clicked"}
    assert of(labels, "best", "stage") == {"a": "unclicked", "b": "unclicked", "c": "clicked"}


def test_an_item_listed_twice_is_one_impression_at_its_first_position(labels: Labels) -> None:
    assert of(labels, "twice listed", "position") == {"a": 1, "b": 2}


def test_conversions_outside_the_list_become_implied_impressions(labels: Labels) -> None:
    assert of(labels, "unlisted", "position") == {"a": 1, "b": 2, "z": 2, "y": None}
    assert of(labels, "unlisted", "implied") == {"a": True, "b": True, "z": True, "y": True}
    # The click outside the list says that its user came down to position 2 (and 1 below).
    assert of(labels, "unlisted", "stage") == {"a": "unclicked", "b": "unclicked", "z": "clicked", "y": "clicked"}


def test_an_undone_cart_still_shows_a_choice_and_keeps_its_times(labels: Labels) -> None:
    row = labels["unlisted", "y"]
    assert (row["carted_ts"], row["undone_carts"], row["attribution_rule"]) == (None, [at(1), at(2)], "own_query")


def test_a_viewport_event_is_enough_where_no_list_was_logged(labels: Labels) -> None:
    row = labels["no list", "x"]
    assert (row["position"], row["stage"], row["implied"], row["examined_ts"]) == (7, "unclicked", False, at(3))


def test_stages_are_data(spark: SparkSession) -> None:
    stages = (
        StageSettings(name="any", source="stream"), StageSettings(name="shown"),
        StageSettings(name="wanted", evidence="carted", positive=True),
    )
    found = run(spark, [request("q", "abc")], [
        event("e1", "click", "a", 1, query_id="q"), event("e2", "purchase", "b", 1, query_id="q"),
    ], stages)
    assert of(found, "q", "stage") == {"a": "shown", "b": "wanted", "c": "shown"}


def test_how_far_below_the_click_is_configuration(spark: SparkSession) -> None:
    events = [event("e", "click", "b", 1, query_id="q")]
    found = run(spark, [request("q", "abcd")], events, settings=LabelSettings(examined_below_click=0))
    assert of(found, "q", "examined") == {"a": True, "b": True, "c": False, "d": False}
