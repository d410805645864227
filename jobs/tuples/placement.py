"""Where each row of a training dataset stands on disk: global hash order, full files of one row group each.

Whoever reads file after file reads rows that are already shuffled, and every file but the last of its split has the
same number of rows, whatever the number of partitions or tasks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import TYPE_CHECKING

from pyspark.sql import Window as Over
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BUCKET_BITS = 10


@dataclass(frozen=True)
class Numbered:
    """Rows with `_split` and `_rank` (0-based in hash order within the split), and the rows of each split."""

    frame: DataFrame
    rows: dict[str, int]

    def in_row_groups(self, rows_per_group: int) -> DataFrame:
        """Adds `_file` = `_rank` // `rows_per_group`: a file is one row group."""
        return self.frame.withColumn("_file", F.floor(F.col("_rank") / rows_per_group))


def number_rows(rows: DataFrame, seed: int, keys: Sequence[str], split: str | None = None) -> Numbered:
    """Numbers rows in the hash order of (seed, keys), which are unique.

    Two passes: the rows of each of 1,024 ranges of hashes are counted, then numbered within their range. Only the
    counts come to the driver.
    """
    split_column = F.col(split) if split else F.lit("")
    order = F.xxhash64(F.lit(seed), F.lit("order"), *keys)
    hashed = rows.withColumns({"_split": split_column, "_order": order}).withColumn(
        "_bucket", F.shiftright("_order", 64 - BUCKET_BITS)
    )
    counts = sorted(tuple(r) for r in hashed.groupBy("_split", "_bucket").count().collect())
    in_bucket = Over.partitionBy("_split", "_bucket").orderBy("_order", *keys)
    numbered = hashed.withColumn("_rank", F.row_number().over(in_bucket) - 1)
    starts = rows.sparkSession.createDataFrame(bucket_starts(counts), "_split string, _bucket bigint, _start bigint")
    ranked = numbered.join(F.broadcast(starts), ["_split", "_bucket"]).withColumn("_rank", F.col("_rank") + F.col("_start"))
    total: Counter[str] = Counter()
    for name, _, n in counts:
        total[name] += n
    return Numbered(ranked.drop("_order", "_bucket", "_start"), dict(total))


def bucket_starts(counts: Sequence[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """(split, bucket, rows of the split before the bucket) of sorted (split, bucket, rows)."""
    starts = []
    for split, group in groupby(counts, key=lambda r: r[0]):
        buckets = list(group)
        before = accumulate((n for _, _, n in buckets), initial=0)
        starts += [(split, bucket, start) for (_, bucket, _), start in zip(buckets, before)]
    return starts


def rows_per_group(rows: int, most: int, ranks: int) -> int:
    """The largest number of rows a group, up to `most`, with which the number of groups is divisible by `ranks`.

    All groups but the last are full. A handful of rows, or of sizes, may know no such number: `most` then.
    """
    sizes = range(min(rows, most), 0, -1)
    return most if ranks == 1 else next((size for size in sizes if -(-rows // size) % ranks == 0), most)


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
