"""Training tuples by query: who has more than the cap, and what the most frequent have."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.tuples.spread import head_of, head_query_share, over_cap, share_of


def tuples(spark: SparkSession, **counts: int) -> DataFrame:
    """Training rows by query, and one of validation each."""
    rows = [(query, "train") for query, n in counts.items() for _ in range(n)]
    return spark.createDataFrame(rows + [(query, "validation") for query in counts], "query_norm string, split string")


def test_the_cap_is_of_training_tuples_alone(spark: SparkSession) -> None:
    assert [row["query_norm"] for row in over_cap(tuples(spark, often=4, exactly=3, once=1), 3).collect()] == ["often"]


def test_of_three_queries_one_is_the_head(spark: SparkSession) -> None:
    for partitions in (1, 3, 7):
        assert head_query_share(tuples(spark, a=6, b=3, c=1).repartition(partitions)) == pytest.approx(0.6)
    assert head_query_share(tuples(spark, a=1).where("split = 'test'")) == 0


@pytest.mark.parametrize("queries, head", [(0, 0), (1, 1), (10, 1), (11, 2), (999, 100), (1_000, 100), (10**9, 100)])
def test_the_head_is_a_hundred_queries_or_a_tenth(queries: int, head: int) -> None:
    assert head_of(queries) == head


def test_a_share_of_nothing_is_nothing() -> None:
    assert (share_of([], 0), share_of([2, 1], 12)) == (0, 0.25)
