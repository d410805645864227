"""The proposal that random items are drawn from, and how often each item is drawn.

    p(i) = w_l (u_l / N_l + (1 - u_l) popularity(i)^alpha / sum_j popularity(j)^alpha)

over the N_l available items of the item's locale l. popularity counts the positive slots of the training tuples; u_l is
`uniform_share`, 1 where a locale has no positive; w_l is the locale's share of the positives (one added to each), so
that a large catalogue with little traffic does not take the negatives of the others. Item i appears floor(e) or
floor(e) + 1 times, e = entries p(i), the fraction decided by the hash of (seed, dense id): a pure function, in one
pass, and closer to the proposal than independent draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from schemas.tuples import SPLITS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.sections import StreamSettings

RESOLUTION = 1 << 40


@dataclass(frozen=True)
class Locale:
    """What p(i) needs of a locale beside the item's own count."""

    available: int
    """N_l: available items."""
    mass: float = 0.0
    """Sum of popularity^alpha over them."""
    positives: int = 0
    """Positive slots of the training tuples."""

    def rates(self, weight: float, uniform_share: float) -> tuple[float, float]:
        """(probability that every available item has, probability per unit of popularity^alpha)."""
        uniform = uniform_share if self.mass > 0 else 1.0
        return weight * uniform / max(self.available, 1), weight * (1 - uniform) / (self.mass or 1.0)


@dataclass(frozen=True)
class Proposal:
    """p(i) of every item, from one row per locale."""

    settings: StreamSettings
    locales: Mapping[str, Locale]

    @staticmethod
    def of(available: Mapping[str, int], popularity: DataFrame, settings: StreamSettings) -> Proposal:
        """Measures `popularity` (locale, available, positives); `available` counts the catalogue by locale.

        The mass is a sum of decimals: floating-point sums depend on the order of the rows.
        """
        weight = F.when(F.col("available") & (F.col("positives") > 0), popular(settings.popularity_alpha))
        rows = popularity.groupBy("locale").agg(
            F.coalesce(F.sum(weight.cast("decimal(38, 12)")), F.lit(0)).alias("mass"), F.sum("positives").alias("positives")
        ).collect()
        counted = {r["locale"]: (float(r["mass"]), int(r["positives"])) for r in rows}
        names = sorted({*available, *counted})
        return Proposal(settings, {n: Locale(available.get(n, 0), *counted.get(n, (0.0, 0))) for n in names})

    @property
    def available(self) -> int:
        """Available items of all locales."""
        return sum(locale.available for locale in self.locales.values())

    @property
    def positives(self) -> int:
        """Positive slots of all training tuples."""
        return sum(locale.positives for locale in self.locales.values())

    def weights(self) -> dict[str, float]:
        """w_l of the locales that have an available item; they add up to 1."""
        counts = {name: x.positives + 1 for name, x in self.locales.items() if x.available}
        return {name: n / sum(counts.values()) for name, n in counts.items()}

    def with_probability(self, items: DataFrame) -> DataFrame:
        """Adds `share` (among the positive slots) and `probability` to rows of `locale, available, positives`."""
        rates = [(n, *self.locales[n].rates(w, self.settings.uniform_share)) for n, w in self.weights().items()]
        by_locale = items.sparkSession.createDataFrame(rates, "locale string, _uniform double, _popular double")
        joined = items.join(F.broadcast(by_locale), "locale", "left")
        weighed = F.col("_popular") * F.when(F.col("positives") > 0, popular(self.settings.popularity_alpha)).otherwise(0.0)
        probability = F.when(F.col("available"), F.col("_uniform") + weighed).otherwise(0.0)
        share = F.col("positives") / F.lit(float(max(self.positives, 1)))
        return joined.withColumns({"share": share, "probability": probability}).drop("_uniform", "_popular")

    def draw(self, items: DataFrame, popularity: DataFrame, entries: int, seed: int) -> DataFrame:
        """The stream's entries: `dense_id, copy, share, probability`, copies counted from 0.

        `items` (dense_id, locale, available) are all that may be drawn; those that have a positive, by `popularity`
        (dense_id, locale, available, positives), are drawn apart.
        """
        known = popularity.where("available and positives > 0")
        rest = items.where("available").select("dense_id", "locale", "available", F.lit(0).cast("bigint").alias("positives"))
        uniform = self.copied(rest, entries, seed).join(known.select("dense_id"), "dense_id", "left_anti")
        own = self.copied(known.select("dense_id", "locale", "available", "positives"), entries, seed)
        return uniform.unionByName(own).select(
            "dense_id", F.explode(F.sequence(F.lit(0), F.col("_copies") - 1)).alias("copy"),
            F.col("share").cast("float").alias("share"), F.col("probability").cast("float").alias("probability"),
        )

    def copied(self, items: DataFrame, entries: int, seed: int) -> DataFrame:
        """The items that are drawn at all, with their number of copies, `_copies`."""
        expected = F.col("probability") * entries
        one_more = (chance(seed) < expected - F.floor(expected)).cast("bigint")
        copies = (F.floor(expected) + one_more).cast("int")
        return self.with_probability(items).withColumn("_copies", copies).where("_copies > 0")


def popularity_of(slots: DataFrame) -> DataFrame:
    """`dense_id, locale, available, valid_from, positives` of every item in a slot of a training tuple."""
    train = slots.where(F.col("split") == SPLITS[0])
    facts = [F.first(name).alias(name) for name in ("locale", "available", "valid_from")]
    return train.groupBy("dense_id").agg(*facts, F.count_if("positive").alias("positives"))


def stream_entries(settings: StreamSettings, needed: int) -> int:
    """Expected length of the stream: as configured, else what training takes, within `most_entries`."""
    return settings.entries or max(1, min(needed, settings.most_entries))


def chance(seed: int) -> Column:
    """A number in [0, 1) for each `dense_id`: what decides over the fraction of a copy."""
    hashed = F.xxhash64(F.lit(seed), F.lit("copies"), "dense_id")
    return F.pmod(hashed, F.lit(RESOLUTION)) / F.lit(float(RESOLUTION))


def popular(alpha: float) -> Column:
    """popularity^alpha of a row with `positives`."""
    return F.pow(F.col("positives").cast("double"), F.lit(alpha))
