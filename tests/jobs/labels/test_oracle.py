"""Spark's labels against the written rules, on many small random logs labelled together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.labels.attribution import attribute
from jobs.labels.impressions import label
from jobs.labels.requests import merge_requests
from jobs.labels.stages import last_event_ts_column, stage_column
from jobs.runtime.manifest import rows_content_hash
from jobs.runtime.profile import profile
from jobs.runtime.sections import LabelSettings
from mmse_model.config import StageSettings
from schemas import ATTRIBUTIONS, IMPRESSIONS
from tests.jobs.labels.oracle import Oracle
from tests.jobs.labels.streams import Row, at, collected, event, frame, random_log, request

SETTINGS = LabelSettings()
STAGES = (
    StageSettings(name="random", source="stream"),
    StageSettings(name="unclicked", evidence="examined"),
    StageSettings(name="clicked", evidence="clicked", positive=True),
    StageSettings(name="carted", evidence="carted", positive=True),
    StageSettings(name="ordered", evidence="ordered", positive=True),
)
ANNA = (
    [request("anna", "abcde")],
    [
        event("click", "click", "b", 1, query_id="anna"), event("cart", "add_to_cart", "b", 2),
        event("order", "purchase", "b", 5, days=1, order_id="o", session_id="checkout"),
        event("order again", "purchase", "b", 6, days=1, order_id="o", session_id="checkout"),
    ],
)
"""The worked example of docs/LABELS.md."""
LOGS = [ANNA, *(random_log(seed) for seed in range(250))]
REQUESTS = [row for requests, _ in LOGS for row in requests]
EVENTS = [row for _, events in LOGS for row in events]


def labels(requests: DataFrame, events: DataFrame) -> tuple[DataFrame, DataFrame]:
    merged = merge_requests(requests)
    attributions = attribute(merged, events, SETTINGS)
    impressions = label(merged, events, attributions, STAGES, SETTINGS)
    return attributions.select(*ATTRIBUTIONS.column_names), impressions.select(*IMPRESSIONS.column_names)


@pytest.fixture(scope="module")
def spark_labels(spark: SparkSession) -> Iterator[tuple[DataFrame, DataFrame]]:
    attributions, impressions = labels(frame(spark, "requests", REQUESTS), frame(spark, "events", EVENTS))
    yield attributions.localCheckpoint(), impressions.localCheckpoint()


@pytest.fixture(scope="module")
def oracles() -> list[Oracle]:
    return [Oracle(requests, events) for requests, events in LOGS]


def test_the_worked_example_is_labelled_as_the_page_says(oracles: list[Oracle]) -> None:
    rows = {item: row for (_, item), row in oracles[0].impressions().items()}
    assert {item: (row["position"], row["stage"]) for item, row in rows.items()} == {
        "a": (1, "unclicked"), "b": (2, "ordered"), "c": (3, "unclicked"), "d": (4, None), "e": (5, None),
    }
    assert (rows["b"]["attribution_rule"], rows["b"]["examined_ts"]) == ("last_cart", at(1))
    assert {name: rule for name, (rule, _, _) in oracles[0].attributions().items()} == {
        "click": "own_query", "cart": "last_clicked_query", "order": "last_cart", "order again": "repeated_order",
    }
    sorted_by_price = Oracle([{**ANNA[0][0], "sort": "price_asc"}], ANNA[1]).impressions()
    assert [sorted_by_price["anna", item]["stage"] for item in "abc"] == [None, "ordered", None]


def test_every_conversion_is_attributed_as_the_rules_say(
    spark_labels: tuple[DataFrame, DataFrame], oracles: list[Oracle]
) -> None:
    expected = {key: value for oracle in oracles for key, value in oracle.attributions().items()}
    found = {r["event_id"]: (r["rule"], r["query_id"], r["undone_ts"]) for r in collected(spark_labels[0])}
    assert found == expected
    assert {rule for rule, _, _ in expected.values()} == {
        "own_query", "session_last_touch", "last_cart", "last_clicked_query", "repeated_order", "none",
    }


def test_every_impression_is_labelled_as_the_rules_say(
    spark_labels: tuple[DataFrame, DataFrame], oracles: list[Oracle]
) -> None:
    expected = {key: value for oracle in oracles for key, value in oracle.impressions().items()}
    found = {(r.pop("query_id"), r.pop("object_id")): r for r in collected(spark_labels[1])}
    assert found.keys() == expected.keys()
    assert [(key, found[key], expected[key]) for key in expected if found[key] != expected[key]] == []
    assert {row["stage"] for row in expected.values()} == {None, "unclicked", "clicked", "carted", "ordered"}


@pytest.mark.parametrize("cut", [at(0), at(20), at(5, days=3), at(31, days=6.5), at(10, days=7)])
def test_the_stage_as_of_a_cut_is_the_stage_of_a_log_that_ends_there(
    spark_labels: tuple[DataFrame, DataFrame], cut: Any
) -> None:
    ending = [Oracle(requests, events, cut=cut) for requests, events in LOGS]
    expected = {key: row["stage"] for oracle in ending for key, row in oracle.impressions().items() if row["stage"]}
    as_of = spark_labels[1].select(
        "query_id", "object_id", stage_column(STAGES, cut), last_event_ts_column(STAGES, cut)
    )
    found = [r for r in collected(as_of) if r["stage"]]
    assert {(r["query_id"], r["object_id"]): r["stage"] for r in found} == expected
    assert all(r["last_event_ts"] < cut for r in found)


@pytest.mark.parametrize(
    ("partitions", "zone", "adaptive"),
    [(1, "UTC", "true"), (3, "America/New_York", "false"), (7, "Asia/Kolkata", "true")],
)
def test_layout_time_zone_and_order_of_arrival_do_not_matter(
    spark: SparkSession, spark_labels: tuple[DataFrame, DataFrame], partitions: int, zone: str, adaptive: str
) -> None:
    wanted = {"spark.sql.session.timeZone": zone, "spark.sql.adaptive.enabled": adaptive, "spark.sql.shuffle.partitions": str(partitions)}
    before = {name: spark.conf.get(name) for name in wanted}
    try:
        for name, value in wanted.items():
            spark.conf.set(name, value)
        requests = frame(spark, "requests", shuffled(REQUESTS, partitions)).repartition(partitions)
        events = frame(spark, "events", shuffled(EVENTS + EVENTS[::3], partitions)).repartition(partitions)
        again = labels(requests, events)
        for dataset, one, other in zip((ATTRIBUTIONS, IMPRESSIONS), spark_labels, again, strict=True):
            assert content(one, dataset) == content(other, dataset)
    finally:
        for name, value in before.items():
            spark.conf.set(name, value)


def shuffled(rows: list[Row], seed: int) -> list[Row]:
    import random

    return random.Random(seed).sample(rows, len(rows))


def content(rows: DataFrame, dataset: Any) -> str:
    count, total, _ = profile(rows, dataset)
    return rows_content_hash(dataset.schema_hash(), count, total)
