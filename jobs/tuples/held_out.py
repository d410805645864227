"""Queries, or whole latent intents, that training never sees, so that what is new can be judged.

A group is a normalised query; where the source knows the intent behind a request (a simulated market does), the
group is the intent. Groups are chosen by hash. All their requests leave training, and so does every other request in the
same words: a held-out query is unseen whoever typed it.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.job import JobContext

RESOLUTION = 1 << 40
INTENTS = "truth_requests"


def with_held_out(requests: DataFrame, share: float, seed: int, intents: DataFrame | None = None) -> DataFrame:
    """Adds `held_out` (boolean, never null).

    Args:
        requests: `query_id, query_norm` and more.
        share: Of the groups; 0 holds nothing out.
        seed: Of the choice.
        intents: `query_id, intent_id`; a request without one stands for its query.
    """
    if not share:
        return requests.withColumn("held_out", F.lit(False))
    own = F.concat(F.lit("query "), "query_norm")
    if intents is None:
        return requests.withColumn("held_out", drawn(own, share, seed))
    group = F.coalesce(F.concat(F.lit("intent "), F.col("intent_id").cast("string")), own)
    known = requests.join(intents.select("query_id", "intent_id"), "query_id", "left")
    chosen = known.withColumn("_drawn", drawn(group, share, seed)).drop("intent_id")
    words = chosen.where("_drawn").select("query_norm", F.lit(True).alias("held_out")).distinct()
    return chosen.join(words, "query_norm", "left").withColumn("held_out", F.coalesce("held_out", F.lit(False))).drop("_drawn")


def intents_of(context: JobContext) -> DataFrame | None:
    """`query_id, intent_id` where whole intents are to be held out.

    Raises InputError where no day of the window has them. Nothing else of a simulated market's truth is read.
    """
    settings = context.config.tuples
    if not settings.held_out_share or settings.held_out_by == "query":
        return None
    window = context.days_back(context.config.train.window_days)
    days = [day for day in window if context.has(INTENTS, day)] or [context.dt]
    frames = [context.read(INTENTS, day) for day in days]
    return reduce(lambda a, b: a.unionByName(b), frames).select("query_id", "intent_id")


def drawn(group: Column, share: float, seed: int) -> Column:
    """Whether a group is held out: a pure function of (seed, group)."""
    hashed = F.pmod(F.xxhash64(F.lit(seed), F.lit("held out"), group), F.lit(RESOLUTION))
    return hashed < F.lit(round(share * RESOLUTION))
