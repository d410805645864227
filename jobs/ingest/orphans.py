"""Events whose search is in no request: a delivery that lacks its queries, or two logs that name searches differently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def orphan_share(events: DataFrame, known: DataFrame) -> float:
    """Share of the events that name a search (`query_id`) whose search is none of `known` (`query_id`, repeated or not).

    0 where no event names one. Events are counted by search first, so that the join moves a row per search.
    """
    named = events.where(F.col("query_id").isNotNull()).groupBy("query_id").agg(F.count("*").alias("events"))
    there = known.select("query_id").distinct().withColumn("known", F.lit(True))
    without = F.sum(F.when(F.col("known").isNull(), F.col("events")))
    row = named.join(there, "query_id", "left").agg(F.sum("events").alias("all"), without.alias("without")).first()
    return (row["without"] or 0) / row["all"] if row["all"] else 0.0
