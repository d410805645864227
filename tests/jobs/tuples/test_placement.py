from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import functions as F

from jobs.tuples.placement import place


@pytest.mark.parametrize("partitions", [1, 7])
def test_ranks_are_the_hash_order_of_each_split_without_gaps(spark: Any, partitions: int) -> None:
    rows = spark.range(3_000).selectExpr("id", "case when id % 3 = 0 then 'b' else 'a' end as split")
    placed = place(rows.repartition(partitions), 5, ["id"], 300, split="split")
    hashed = placed.withColumn("hash", F.xxhash64(F.lit(5), F.lit("order"), "id")).collect()
    for split, size in (("a", 2_000), ("b", 1_000)):
        ordered = sorted((r for r in hashed if r["_split"] == split), key=lambda r: r["hash"])
        assert [r["_rank"] for r in ordered] == list(range(size))
        assert [r["_file"] for r in ordered] == [n // 300 for n in range(size)]


def test_without_a_split_all_rows_share_one_order(spark: Any) -> None:
    placed = place(spark.range(10), 5, ["id"], 4).collect()
    assert sorted((r["_split"], r["_rank"], r["_file"]) for r in placed) == [("", n, n // 4) for n in range(10)]
