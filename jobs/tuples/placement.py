"""Where each row of a training dataset stands on disk: global hash order, full files of one row group each.

Whoever reads file after file reads rows that are already shuffled, and every file but the last of its split has the
same number of rows, whatever the number of partitions or tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

from pyspark.sql import Window as Over
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BUCKET_BITS = 10


def place(rows: DataFrame, seed: int, keys: Sequence[str], rows_per_file: int, split: str | None = None) -> DataFrame:
    """Adds `_split`, `_rank` (0-based in hash order within the split) and `_file` = `_rank` // `rows_per_file`.

    Two passes: the rows of each of 1,024 ranges of hashes are counted, then numbered within their range. Only the
    counts come to the driver.
    """
    split_column = F.col(split) if split else F.lit("")
    order = F.xxhash64(F.lit(seed), F.lit("order"), *keys)
    hashed = rows.withColumns({"_split": split_column, "_order": order}).withColumn(
        "_bucket", F.shiftright("_order", 64 - BUCKET_BITS)
    )
    in_bucket = Over.partitionBy("_split", "_bucket").orderBy("_order", *keys)
    numbered = hashed.withColumn("_rank", F.row_number().over(in_bucket) - 1)
    placed = numbered.join(F.broadcast(bucket_starts(hashed)), ["_split", "_bucket"])
    ranked = placed.withColumn("_rank", F.col("_rank") + F.col("_start"))
    return ranked.withColumn("_file", F.floor(F.col("_rank") / rows_per_file)).drop("_order", "_bucket", "_start")


def bucket_starts(hashed: DataFrame) -> DataFrame:
    """`_split, _bucket, _start`: how many rows of the split stand before the bucket."""
    counts = hashed.groupBy("_split", "_bucket").count().collect()
    rows = []
    for split, group in groupby(sorted(tuple(r) for r in counts), key=lambda r: r[0]):
        buckets = list(group)
        starts = accumulate((n for _, _, n in buckets), initial=0)
        rows += [(split, bucket, start) for (_, bucket, _), start in zip(buckets, starts)]
    return hashed.sparkSession.createDataFrame(rows, "_split string, _bucket bigint, _start bigint")


def in_files(rows: DataFrame) -> DataFrame:
    """Placed rows, all of one file in one partition; sort by `SORTED` before writing."""
    return rows.repartition("_split", "_file")


SORTED = ("_split", "_rank")


def writer_options(packed: Sequence[str], rows_per_file: int) -> dict[str, str]:
    """Parquet options: one row group a file, and no dictionaries for packed columns, whose values hardly repeat.

    zstd halves the bytes of snappy and is read as fast: most of a packed row is padding.
    """
    options = {"maxRecordsPerFile": str(rows_per_file), "parquet.block.size": str(1 << 30), "compression": "zstd"}
    return {**options, **{f"parquet.enable.dictionary#{name}": "false" for name in packed}}
