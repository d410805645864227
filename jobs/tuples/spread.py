"""How training tuples are spread over queries, measured on the committed rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.tuples.splits import TRAIN

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

HEAD = 100
"""Queries at most whose counts are fetched."""


def by_query(tuples: DataFrame) -> DataFrame:
    """`query_norm, tuples` of the training queries."""
    return tuples.where(F.col("split") == TRAIN).groupBy("query_norm").agg(F.count("*").alias("tuples"))


def over_cap(tuples: DataFrame, most: int) -> DataFrame:
    """Queries with more training tuples than `tuples.max_per_query` allows."""
    return by_query(tuples).where(F.col("tuples") > most)


def head_query_share(tuples: DataFrame) -> float:
    """Share of the training tuples that the most frequent queries have: HEAD of them, a tenth where there are few."""
    counts = by_query(tuples)
    together = counts.agg(F.count("*").alias("queries"), F.sum("tuples").alias("tuples")).first()
    most = counts.orderBy(F.desc("tuples")).limit(head_of(together["queries"])).collect()
    return share_of([row["tuples"] for row in most], together["tuples"] or 0)


def head_of(queries: int) -> int:
    """HEAD, or a tenth of the queries, rounded up, where that is fewer: ten queries are not all head."""
    return min(HEAD, math.ceil(queries / 10))


def share_of(counts: Sequence[int], total: int) -> float:
    """The counts together as a share of all; 0 of nothing."""
    return sum(counts) / total if total else 0.0
