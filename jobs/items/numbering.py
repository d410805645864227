"""Dense ids: append-only, never reused, given out without a window over the whole catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

BUCKETS = 1024


def extend_numbering(known: DataFrame, objects: DataFrame) -> DataFrame:
    """`known` (object_id, dense_id), and the next numbers for the `objects` (object_id) that it lacks.

    New objects are numbered by (hash bucket, object_id): the rank within a bucket plus the sizes of the buckets
    before it. Only the bucket sizes (at most 1,024 numbers) come to the driver.
    """
    bucket = F.pmod(F.xxhash64("object_id"), F.lit(BUCKETS)).cast("int")
    fresh = objects.select("object_id").distinct().join(known, "object_id", "left_anti").withColumn("bucket", bucket)
    highest = known.agg(F.max("dense_id")).first()[0]
    start = 0 if highest is None else int(highest) + 1
    sizes = {row["bucket"]: row["count"] for row in fresh.groupBy("bucket").count().collect()}
    offsets = bucket_offsets(sizes, start)
    if not offsets:
        return known.select("object_id", "dense_id")
    offset = F.element_at(F.create_map(*[F.lit(x) for pair in offsets.items() for x in pair]), F.col("bucket"))
    rank = F.row_number().over(Window.partitionBy("bucket").orderBy("object_id"))
    numbered = fresh.select("object_id", (offset + rank - 1).cast("bigint").alias("dense_id"))
    return known.select("object_id", "dense_id").unionByName(numbered)


def bucket_offsets(sizes: dict[int, int], start: int) -> dict[int, int]:
    """The first number of every bucket: `start` plus the sizes of the buckets with lower numbers."""
    offsets, at = {}, start
    for bucket in sorted(sizes):
        offsets[bucket] = at
        at += sizes[bucket]
    return offsets
