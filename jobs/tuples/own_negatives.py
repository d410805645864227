"""Negatives of a tuple's own: random items that only this request is ranked above.

Draw d of slot n of a query id is the hash of (seed, kind, query id, n, d) modulo the size of what is drawn from: the
dense numbering (`uniform`), a pool in which an item stands popularity^alpha times (`popular`), a hash sample of the
category of the tuple's furthest item (`category`). All draws of all tuples are looked up in one join per kind, on
numbers that no key makes frequent, and the first draw that may be used is taken. May not be used: what is not in the
catalogue, not available, or listed after the search; what stands in the tuple; and what the same query led to a click,
cart or order of in the training window, which would teach that a wanted item is a wrong one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.sql import Window as Over
from pyspark.sql import functions as F

from jobs.tuples.catalogue import listed, selective
from jobs.tuples.placement import number_rows
from jobs.tuples.splits import TRAIN

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.negative_sections import OwnNegativeSettings
    from jobs.tuples.proposal import Proposal
    from jobs.tuples.scratch import Scratch

POOL_ENTRIES = 1_000_000
"""Expected entries of the popular pool."""
DRAW = ("query_id", "query_norm", "ts", "slot", "draw", "number")
ITEM = ("dense_id", "available", "valid_from")


@dataclass(frozen=True)
class OwnNegatives:
    """Draws for the training tuples of one build; `first` is the slot number of the first own negative."""

    settings: OwnNegativeSettings
    seed: int
    first: int

    def draws(self, heads: DataFrame, kind: str, size: Column) -> DataFrame:
        """DRAW and more columns of `heads`: every slot and draw of a kind for every training tuple."""
        slots = range(self.first + self.offset(kind), self.first + self.offset(kind) + getattr(self.settings, kind))
        every = F.explode(F.array(*map(F.lit, slots))).alias("slot")
        tried = heads.where(F.col("split") == TRAIN).select("*", every)
        tries = tried.withColumn("draw", F.explode(F.sequence(F.lit(0), F.lit(self.settings.draws - 1))))
        hashed = F.xxhash64(F.lit(self.seed), F.lit(f"own {kind}"), "query_id", "slot", "draw")
        return tries.withColumn("number", F.pmod(hashed, size))

    def offset(self, kind: str) -> int:
        """Slots of the kinds before this one."""
        kinds = ("uniform", "popular", "category")
        return sum(getattr(self.settings, name) for name in kinds[: kinds.index(kind)])

    def uniform(self, heads: DataFrame, items: DataFrame, kept: Scratch, numbers: int) -> DataFrame:
        """DRAW and ITEM of uniform draws over dense ids 0 to `numbers` - 1; gaps and absent items give nulls."""
        draws = kept.keep("own_uniform", self.draws(heads, "uniform", F.lit(numbers)).select(*DRAW))
        catalogue = listed(items).select(*ITEM).withColumn("number", F.col("dense_id"))
        return selective(draws, "number").join(catalogue, "number", "left").select(*DRAW, *ITEM)

    def popular(self, heads: DataFrame, popularity: DataFrame, proposal: Proposal, kept: Scratch) -> DataFrame:
        """DRAW and ITEM of draws from a pool in which each item stands popularity^alpha times."""
        only = replace(proposal, settings=proposal.settings.model_copy(update={"uniform_share": 0.0}))
        known = popularity.where("available and positives > 0")
        copies = only.copied(known, POOL_ENTRIES, self.seed).select(
            *ITEM, F.explode(F.sequence(F.lit(0), F.col("_copies") - 1)).alias("copy")
        )
        pool = number_rows(kept.keep("popular_pool", copies), self.seed, ["dense_id", "copy"])
        draws = self.draws(heads, "popular", F.lit(max(1, sum(pool.rows.values()))))
        numbered = pool.frame.withColumnRenamed("_rank", "number").select("number", *ITEM)
        return draws.join(numbered, "number", "left").select(*DRAW, *ITEM)

    def category(self, heads: DataFrame, slots: DataFrame, items: DataFrame, kept: Scratch) -> DataFrame:
        """DRAW and ITEM of draws from the category of each tuple's furthest item."""
        known = slots.where("category_path is not null").groupBy("query_id")
        furthest = known.agg(F.max_by("category_path", "slot").alias("category"))
        pool = kept.keep("category_pool", category_pool(items, furthest, self.seed, self.settings.category_items))
        sizes = pool.groupBy("category").agg((F.max("number") + 1).alias("_size"))
        placed = heads.join(furthest.join(sizes, "category"), "query_id")
        draws = self.draws(placed, "category", F.col("_size"))
        return draws.join(pool, ["category", "number"], "left").select(*DRAW, *ITEM)


def category_pool(items: DataFrame, furthest: DataFrame, seed: int, most: int) -> DataFrame:
    """`category, number, dense_id, available, valid_from`: up to `most` available items of each category, by hash."""
    named = listed(items, "category_path").where("available").withColumnRenamed("category_path", "category")
    wanted = named.join(furthest.select("category").distinct(), "category", "left_semi")
    order = F.xxhash64(F.lit(seed), F.lit("category"), "dense_id")
    rank = F.row_number().over(Over.partitionBy("category").orderBy(order, "dense_id")).cast("bigint")
    numbered = wanted.withColumn("_rank", rank).where(F.col("_rank") <= most)
    return numbered.select("category", (F.col("_rank") - 1).alias("number"), *ITEM)


def judge_draws(drawn: DataFrame, converted: DataFrame, slots: DataFrame) -> DataFrame:
    """Adds `refused`: why a draw cannot be used, null where it can.

    `converted` is the distinct (query_norm, dense_id) that must never be a negative, `slots` (query_id, dense_id) the
    items of the tuples.
    """
    wanted = converted.select("query_norm", "dense_id", F.lit(True).alias("_converted"))
    inside = slots.select("query_id", "dense_id", F.lit(True).alias("_inside"))
    joined = drawn.join(wanted, ["query_norm", "dense_id"], "left").join(inside, ["query_id", "dense_id"], "left")
    refused = (
        F.when(F.col("dense_id").isNull(), "absent").when(~F.col("available"), "unavailable")
        .when(F.col("valid_from") > F.col("ts"), "future_item").when(F.col("_converted"), "positive")
        .when(F.col("_inside"), "in_tuple")
    )
    return joined.withColumn("refused", refused).select("query_id", "slot", "draw", "dense_id", "refused")


def first_usable(judged: DataFrame) -> DataFrame:
    """`query_id, slot, dense_id` (null: no draw was usable) and `redrawn`, the reasons of the draws before it."""
    usable = F.col("refused").isNull()
    gathered = judged.groupBy("query_id", "slot").agg(
        F.min_by("dense_id", F.when(usable, F.col("draw"))).alias("dense_id"),
        F.min(F.when(usable, F.col("draw"))).alias("_taken"),
        F.collect_list(F.when(~usable, F.struct("draw", "refused"))).alias("_refused"),
    )
    before = F.filter("_refused", lambda r: F.col("_taken").isNull() | (r["draw"] < F.col("_taken")))
    return gathered.select("query_id", "slot", "dense_id", F.transform(before, lambda r: r["refused"]).alias("redrawn"))
