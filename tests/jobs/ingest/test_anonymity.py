"""Query text is shown where enough people searched for it, and counted where they did not."""

from __future__ import annotations

from pyspark.sql import SparkSession

from jobs.ingest.anonymity import readable_queries

COLUMNS = "query_norm string, user_key string, client_id string"


def test_a_query_of_fewer_than_k_people_is_a_count(spark: SparkSession) -> None:
    rows = [
        *[("usb cable", f"u{n}", "c") for n in range(3)], ("usb cable", "u0", "d"), ("usb cable", None, None),
        *[("lamp", None, f"c{n % 2}") for n in range(9)],  # two clients, nine searches
        *[("desk", f"u{n}", None) for n in range(3)],
        ("anna's secret", "u1", "c1"), ("nobody's", None, None),
    ]
    found = readable_queries(spark.createDataFrame(rows, COLUMNS), k=3, most=1)
    assert found == {
        "k": 3, "shown": [["usb cable", 5, 3]], "queries": 2, "searches": 8, "hidden_queries": 3, "hidden_searches": 11,
    }
    everything = readable_queries(spark.createDataFrame(rows, COLUMNS), k=1, most=10)
    assert [text for text, _, _ in everything["shown"]] == ["lamp", "usb cable", "desk", "anna's secret"]


def test_no_searches_no_queries(spark: SparkSession) -> None:
    found = readable_queries(spark.createDataFrame([], COLUMNS), k=3, most=5)
    assert (found["shown"], found["queries"], found["hidden_searches"]) == ([], 0, 0)
