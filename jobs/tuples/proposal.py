"""The proposal that random items are drawn from, and how often each item is drawn.

p(i) = uniform_share / N + (1 - uniform_share) popularity(i)^alpha / sum_j popularity(j)^alpha over the N available
items; popularity counts the positive slots of the training tuples. Item i appears floor(e) or floor(e) + 1 times,
e = entries p(i), the fraction decided by the hash of (seed, dense id): a pure function, in one pass, and closer to
the proposal than independent draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from schemas.tuples import SPLITS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.sections import StreamSettings

RESOLUTION = 1 << 40


@dataclass(frozen=True)
class Proposal:
    """Everything that p(i) and the in-batch share need beside the item's own count."""

    settings: StreamSettings
    available: int
    mass: float
    positives: int
    """Positive slots of all training tuples."""

    @staticmethod
    def of(items: DataFrame, popularity: DataFrame, settings: StreamSettings) -> Proposal:
        """Measures the catalogue: `items` (dense_id, available), `popularity` (dense_id, positives).

        The mass is a sum of decimals: floating-point sums depend on the order of the rows.
        """
        counted = items.join(popularity, "dense_id", "left").where("available")
        weight = F.pow(_positives(), F.lit(settings.popularity_alpha)).cast("decimal(38, 12)")
        row = counted.agg(F.count("*").alias("n"), F.coalesce(F.sum(weight), F.lit(0)).alias("mass")).first()
        total = popularity.agg(F.coalesce(F.sum("positives"), F.lit(0)).alias("n")).first()
        return Proposal(settings, int(row["n"]), float(row["mass"]), int(total["n"]))

    def share(self) -> Column:
        """Share of an item among the positive slots of the training tuples, over a column `positives`."""
        return _positives() / F.lit(float(max(self.positives, 1)))

    def probability(self) -> Column:
        """p(i), over columns `positives` and `available`; 0 for an item that is not available."""
        uniform = self.settings.uniform_share if self.mass > 0 else 1.0
        popular = F.pow(_positives(), F.lit(self.settings.popularity_alpha)) / F.lit(self.mass or 1.0)
        mixed = F.lit(uniform / max(self.available, 1)) + F.lit(1 - uniform) * popular
        return F.when(F.col("available"), mixed).otherwise(F.lit(0.0))

    def draw(self, items: DataFrame, popularity: DataFrame, seed: int) -> DataFrame:
        """The stream's entries: `dense_id, copy, share, probability`, copies counted from 0."""
        counted = items.join(popularity, "dense_id", "left").where("available")
        expected = F.col("probability") * self.settings.entries
        hashed = F.xxhash64(F.lit(seed), F.lit("copies"), "dense_id")
        uniform = F.pmod(hashed, F.lit(RESOLUTION)) / F.lit(float(RESOLUTION))
        one_more = (uniform < expected - F.floor(expected)).cast("bigint")
        copies = (F.floor(expected) + one_more).cast("int")
        drawn = counted.withColumns({"share": self.share(), "probability": self.probability()})
        entries = drawn.withColumn("_copies", copies).where("_copies > 0")
        return entries.select(
            "dense_id", F.explode(F.sequence(F.lit(0), F.col("_copies") - 1)).alias("copy"),
            F.col("share").cast("float").alias("share"), F.col("probability").cast("float").alias("probability"),
        )


def popularity_of(slots: DataFrame) -> DataFrame:
    """`dense_id, positives`: positive slots of the training tuples by item."""
    train = slots.where((F.col("split") == SPLITS[0]) & F.col("positive"))
    return train.groupBy("dense_id").agg(F.count("*").alias("positives"))


def _positives() -> Column:
    return F.coalesce(F.col("positives"), F.lit(0)).cast("double")
