"""Documents of one query id become one request, field by field."""

from __future__ import annotations

from itertools import permutations

from pyspark.sql import SparkSession

from jobs.labels.requests import merge_requests
from tests.jobs.labels.streams import at, collected, frame, request

CLIENT = request("q", None, 0, session_id=None, query_text="", query_norm="", page=None)
SERVER = request("q", "ab", 1, client_id=None, user_key="u", key_id="k1", query_text="USB C", query_norm="usb c")
LATE = request("q", "zz", 2, days=1, client_id="c2", user_key="u2", key_id="k2", session_id="s2", sort="newest")


def test_each_field_comes_from_the_earliest_document_that_has_it_in_whatever_order_they_come(
    spark: SparkSession,
) -> None:
    orders = list(permutations([CLIENT, SERVER, LATE]))
    documents = [{**document, "query_id": f"q{n}"} for n, order in enumerate(orders) for document in order]
    rows = collected(merge_requests(frame(spark, "requests", documents)))
    assert len(rows) == 6
    for row in rows:
        assert (row["ts"], row["event_date"], row["sources"]) == (at(0), at(0).date(), 3)
        assert (row["query_text"], row["query_norm"], row["hit_ids"]) == ("USB C", "usb c", ["a", "b"])
        assert (row["client_id"], row["session_id"], row["user_key"], row["key_id"]) == ("c", "s", "u", "k1")
        assert (row["page"], row["sort"]) == (1, "newest")


def test_a_query_without_text_stays_a_request_with_empty_text(spark: SparkSession) -> None:
    (row,) = collected(merge_requests(frame(spark, "requests", [CLIENT])))
    assert (row["query_text"], row["query_norm"], row["hit_ids"], row["sources"]) == ("", "", None, 1)


def test_of_two_hit_lists_of_one_moment_the_longer_counts_whichever_came_first(spark: SparkSession) -> None:
    documents = [request("q", hits, 0) for hits in ("ab", "abc", "a")]
    orders = [{**row, "query_id": f"q{n}"} for n, order in enumerate(permutations(documents)) for row in order]
    rows = collected(merge_requests(frame(spark, "requests", orders)))
    assert [row["hit_ids"] for row in rows] == [["a", "b", "c"]] * 6
