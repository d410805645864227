"""Which items of a request may stand in its tuple, and in which slot.

Stages are as of the end of what the request's split may know; items are the catalogue's, listed before the search.
Where a stage has more items than slots, the hash of (seed, query, item) decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql import Window as Over
from pyspark.sql import functions as F

from jobs.labels.stages import converted_column, last_event_ts_column, stage_column
from jobs.tuples.splits import TRAIN

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.tuples.splits import Window
    from mmse_model.config import StageSettings

BUCKETS = 64
"""Parts that the requests of one query are first ranked in: the most frequent query must not be one task."""


def slot_stages(stages: Sequence[StageSettings]) -> list[StageSettings]:
    """The stage of each slot of a tuple, weakest first."""
    return [s for s in stages if s.source == "impression" for _ in range(s.per_tuple)]


def staged_items(
    requests: DataFrame, impressions: DataFrame, stages: Sequence[StageSettings], window: Window
) -> DataFrame:
    """Every item that reached a stage in a request of a split.

    Args:
        requests: `query_id, ts, query_norm, split`.
        impressions: The dataset's rows.
        stages: The configured stages, weakest first.
        window: Bounds of the splits.

    Returns:
        `query_id, ts, query_norm, split, object_id, stage, last_event_ts, converted`, all as of what the split may
        know; `converted`: clicked, carted or ordered, whatever stages there are.
    """
    reached = impressions.where(stage_column(stages).isNotNull())
    joined = reached.join(requests.where(F.col("split").isNotNull()), "query_id")
    as_of = joined.withColumns({
        "stage": by_split(lambda cut: stage_column(stages, cut), window),
        "last_event_ts": by_split(lambda cut: last_event_ts_column(stages, cut), window),
        "converted": by_split(converted_column, window),
    })
    return as_of.where(F.col("stage").isNotNull()).select(
        "query_id", "ts", "query_norm", "split", "object_id", "stage", "last_event_ts", "converted"
    )


def with_catalogue(staged: DataFrame, listed: DataFrame) -> DataFrame:
    """Adds what the catalogue says of each item, and `loss`: why it cannot be used, null where it can.

    `listed` is `object_id, dense_id, valid_from` and more. `unknown_item` is not in it, `future_item` was listed after
    the search.
    """
    loss = F.when(F.col("dense_id").isNull(), "unknown_item").when(F.col("valid_from") > F.col("ts"), "future_item")
    return staged.join(listed, "object_id", "left").withColumn("loss", loss)


def by_split(column: object, window: Window) -> Column:
    """`column(cut)` with the cut of the row's split."""
    chosen = F.lit(None)
    for split, cut in window.labels_as_of().items():
        chosen = F.when(F.col("split") == split, column(cut)).otherwise(chosen)  # type: ignore[operator]
    return chosen


def assign_slots(staged: DataFrame, stages: Sequence[StageSettings], seed: int) -> DataFrame:
    """Adds `positive` (of the stage), `slot` (null: no room) and `in_tuple` (its request has a positive in a slot)."""
    slots = slot_stages(stages)
    room, first, positive = (F.lit(0) for _ in range(3))
    for stage in {s.name: s for s in slots}.values():
        is_stage = F.col("stage") == stage.name
        room = F.when(is_stage, stage.per_tuple).otherwise(room)
        first = F.when(is_stage, [s.name for s in slots].index(stage.name)).otherwise(first)
    for stage in stages:
        positive = F.when(F.col("stage") == stage.name, int(stage.positive)).otherwise(positive)
    draw = F.xxhash64(F.lit(seed), F.lit("slot"), "query_id", "object_id")
    order = Over.partitionBy("query_id", "stage").orderBy(F.col("loss").isNotNull(), draw, "object_id")
    fits = F.col("loss").isNull() & (F.col("_rank") <= room)
    slotted = staged.withColumn("_rank", F.row_number().over(order)).withColumns(
        {"positive": positive == 1, "slot": F.when(fits, first + F.col("_rank") - 1)}
    )
    found = F.max(F.col("positive") & F.col("slot").isNotNull()).over(Over.partitionBy("query_id"))
    return slotted.withColumn("in_tuple", found).drop("_rank")


def cap_queries(heads: DataFrame, most: int, seed: int) -> DataFrame:
    """At most `most` training requests per normalised query, chosen by hash; the other splits stay as they are."""
    draw = F.xxhash64(F.lit(seed), F.lit("cap"), "query_id")
    train = F.col("split") == TRAIN
    order = (draw, F.col("query_id"))
    in_bucket = Over.partitionBy("split", "query_norm", F.pmod(draw, F.lit(BUCKETS))).orderBy(*order)
    candidates = heads.withColumn("_rank", F.row_number().over(in_bucket)).where(~train | (F.col("_rank") <= most))
    in_query = Over.partitionBy("query_norm").orderBy(*order)
    capped = candidates.where(train).withColumn("_rank", F.row_number().over(in_query)).where(F.col("_rank") <= most)
    return capped.unionByName(candidates.where(~train)).drop("_rank")
