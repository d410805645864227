from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import functions as F

from jobs.tuples.placement import number_rows, rows_per_group


@pytest.mark.parametrize("partitions", [1, 7])
def test_ranks_are_the_hash_order_of_each_split_without_gaps(spark: Any, partitions: int) -> None:
    rows = spark.range(3_000).selectExpr("id", "case when id % 3 = 0 then 'b' else 'a' end as split")
    numbered = number_rows(rows.repartition(partitions), 5, ["id"], split="split")
    assert numbered.rows == {"a": 2_000, "b": 1_000}
    hashed = numbered.in_row_groups(300).withColumn("hash", F.xxhash64(F.lit(5), F.lit("order"), "id")).collect()
    for split, size in numbered.rows.items():
        ordered = sorted((r for r in hashed if r["_split"] == split), key=lambda r: r["hash"])
        assert [r["_rank"] for r in ordered] == list(range(size))
        assert [r["_file"] for r in ordered] == [n // 300 for n in range(size)]


def test_without_a_split_all_rows_share_one_order(spark: Any) -> None:
    placed = number_rows(spark.range(10), 5, ["id"]).in_row_groups(4).collect()
    assert sorted((r["_split"], r["_rank"], r["_file"]) for r in placed) == [("", n, n // 4) for n in range(10)]


def test_row_groups_are_as_large_as_asked_for_and_divide_among_the_ranks() -> None:
    assert rows_per_group(100, 30, 1) == 30  # 30, 30, 30, 10
    assert rows_per_group(100, 30, 2) == 30  # four groups
    assert rows_per_group(100, 30, 3) == 19  # five of 19 and one of 5: six groups; with 20 rows there would be five
    assert rows_per_group(2, 30, 4) == 30  # two rows make no four groups
    assert rows_per_group(0, 30, 4) == 30


@given(rows=st.integers(0, 5_000), most=st.integers(1, 700), ranks=st.integers(1, 8))
def test_groups_divide_among_the_ranks_wherever_sizes_are_many_enough_to_choose_from(rows: int, most: int, ranks: int) -> None:
    """Between `most` and the root of `rows`, one row a group less makes one group more at most: none is skipped."""
    size = rows_per_group(rows, most, ranks)
    assert 1 <= size <= most
    if rows >= (2 * ranks + 2) ** 2 and 4 * rows <= most**2:
        assert -(-rows // size) % ranks == 0
        assert all(-(-rows // larger) % ranks for larger in range(size + 1, most + 1))
