from __future__ import annotations

from typing import Any

import pytest

from jobs.tuples.held_out import with_held_out
from jobs.tuples.splits import Window, assign_splits, session_key
from tests.jobs.published import DAY, config_in
from tests.jobs.tuples.shop import at

QUERIES = 2_000


@pytest.fixture(scope="module")
def requests(spark: Any) -> Any:
    """Two requests of each of 2,000 queries."""
    return spark.range(2 * QUERIES).selectExpr("cast(id as string) as query_id", f"concat('query ', id % {QUERIES}) as query_norm")


def test_a_query_is_held_out_with_all_its_requests_and_in_the_share_asked_for(requests: Any) -> None:
    rows = with_held_out(requests, 0.2, seed=1).groupBy("query_norm").agg({"held_out": "max"}).collect()
    chosen = [r for r in rows if r[1]]
    assert len(chosen) == pytest.approx(0.2 * QUERIES, abs=3 * (QUERIES * 0.2 * 0.8) ** 0.5)
    again = with_held_out(requests.repartition(7), 0.2, seed=1).where("held_out").count()
    assert again == 2 * len(chosen)
    assert with_held_out(requests, 0.0, seed=1).where("held_out").count() == 0


def test_intents_are_held_out_whole_and_so_are_their_words_whoever_types_them(requests: Any) -> None:
    """Intent n has the queries 10 n to 10 n + 9, but the last of them belongs to the next intent too."""
    query = f"cast(query_id as bigint) % {QUERIES}"
    shared = f"if({query} % 10 = 9 and cast(query_id as bigint) >= {QUERIES}, 1, 0)"
    intents = requests.selectExpr("query_id", f"({query} + {shared}) div 10 as intent_id")
    marked = with_held_out(requests, 0.3, seed=1, intents=intents).join(intents, "query_id").collect()
    of_query: dict[str, set[bool]] = {}
    for row in marked:
        of_query.setdefault(row["query_norm"], set()).add(row["held_out"])
    assert all(len(flags) == 1 for flags in of_query.values())  # a query is held out, or is not
    own = {r["intent_id"]: {x["held_out"] for x in marked if x["intent_id"] == r["intent_id"]} for r in marked[:200]}
    assert {True} in own.values()
    whole = [n for n, flags in own.items() if flags == {True}]
    assert 0.1 * len(own) < len(whole) < 0.5 * len(own)


def test_what_is_held_out_leaves_training_and_stays_in_the_test(spark: Any, tmp_path: Any) -> None:
    rows = [("a", at(2), "new words", "s1", True), ("b", at(2), "old words", "s2", False), ("c", at(8), "new words", "s3", True)]
    requests = spark.createDataFrame(rows, "query_id string, ts timestamp, query_norm string, session_id string, held_out boolean")
    window = Window.of(config_in(tmp_path), DAY)
    found = assign_splits(requests.withColumn("session", session_key()), window).collect()
    assert {r["query_id"]: (r["split"], r["loss"]) for r in found} == {
        "a": (None, "held_out"), "b": ("train", None), "c": ("test", None),
    }
