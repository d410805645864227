"""Labelled impressions of any number over a catalogue of any size, and the requests that they belong to.

The requests are those of `shop_log`, with words to search for and hit lists from the catalogue. Every item of a hit
list is an impression. Of the list the user looks at the upper part, clicks on a fifth of that, and buys a sixth of what
was clicked, minutes to five days later: orders, removals and refunds fall on both sides of every cut. Nothing is
known after the last day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from benchmarks.shop_catalogue import ShopCatalogue, object_id, popular, query_text
from benchmarks.shop_log import (
    DAY,
    DAYS,
    EVENTS_PER_REQUEST,
    SECOND,
    ShopLog,
    filters_brand,
    moment,
    requests_of,
    searches,
    sorts_by_price,
)
from jobs.labels.stages import stage_column
from jobs.runtime.config import DEFAULT_STAGES
from schemas import IMPRESSIONS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

SHORTEST, LONGEST = 14, 26
"""Items of a hit list: 20 impressions a request."""
CLASSES = 32
"""The item at each rank comes from a class of its own, by its place on the popularity list: no list has an item twice."""
POWER = 2.2
UNKNOWN = 0.003
END = DAYS * DAY
"""Microseconds from the begin of the log to its end."""


@dataclass(frozen=True)
class ShopLabels(ShopLog):
    """Size of one log of labels."""

    shortest: int = SHORTEST
    longest: int = LONGEST
    catalogue: ShopCatalogue = ShopCatalogue(100_000)

    @staticmethod
    def of(impressions: int, items: int, seed: int = 7) -> ShopLabels:
        """About so many impressions over so many items."""
        requests = 2 * impressions / (SHORTEST + LONGEST)
        return ShopLabels(round(requests * EVENTS_PER_REQUEST), seed=seed, catalogue=ShopCatalogue(items, seed))

    def item(self, query: Column, page: Column, rank: Column) -> Column:
        """Object id at a rank of a query's result page: popular items by a power law, a few that the catalogue has not."""
        place = self.below(self.catalogue.items // CLASSES, "item", query, page, rank, power=POWER) * CLASSES
        number = popular(self.catalogue, place + F.pmod(query + page + rank, F.lit(CLASSES)))
        gone = self.uniform("unknown", number) < UNKNOWN
        return F.when(gone, F.concat(F.lit("gone"), number.cast("string"))).otherwise(object_id(number))


def labelled_requests(spark: SparkSession, log: ShopLabels) -> DataFrame:
    """Rows of `requests` with their arrival day."""
    return requests_of(spark, log, lambda query: query_text(log.catalogue, query))


def impressions_of(spark: SparkSession, log: ShopLabels) -> DataFrame:
    """Rows of `impressions`, split by their column `event_date`."""
    ranked = searches(spark, log).withColumn("rank", F.explode(F.sequence(F.lit(1), "items")))
    happened = with_conversions(with_looks(ranked, log), log)
    return finished(happened, log)


def with_looks(ranked: DataFrame, log: ShopLabels) -> DataFrame:
    """Adds `refined` and `examined_at` (microseconds since the log began): from the top down to a drawn rank."""
    reach = F.ceil(F.col("items") * (0.05 + 0.45 * log.uniform("reach", "id")))
    examined_at = F.col("at") + SECOND + F.col("rank") * 700_000
    return ranked.withColumns({
        "refined": sorts_by_price(log) | filters_brand(log), "examined_at": F.when(F.col("rank") <= reach, examined_at),
    })


def with_conversions(looked: DataFrame, log: ShopLabels) -> DataFrame:
    """Adds `clicked_at`, `carted_at`, `removed_at`, `ordered_at` and `refunded_at`, each null where it did not happen."""
    keys = ("id", "rank")
    clicked_at = F.col("examined_at") + 2 * SECOND + log.below(120 * SECOND, "click", *keys)
    clicked = looked.withColumn("clicked_at", F.when(log.uniform("clicks", *keys) < 0.22, _known(clicked_at)))
    course, at = log.uniform("course", *keys), F.col("clicked_at")
    order = at + 300 * SECOND + log.below(5 * DAY, "order", *keys, power=2.0)
    steps = clicked.withColumns({
        "carted_at": F.when(course < 0.3, _known(at + 60 * SECOND)), "ordered_at": F.when(course > 0.82, _known(order)),
    })
    return steps.withColumns({
        "removed_at": F.when(course < 0.03, _known(F.col("carted_at") + DAY // 2)),
        "refunded_at": F.when(course > 0.99, _known(F.col("ordered_at") + DAY)),
    })


def _known(at: Column) -> Column:
    """The moment where it is before the end of the log."""
    return F.when(at < END, at)


def finished(happened: DataFrame, log: ShopLabels) -> DataFrame:
    """The dataset's columns."""
    def standing(done: str, undone: str) -> Column:
        return F.when(F.col(undone).isNull(), moment(F.col(done)))

    def pairs(done: str, undone: str) -> Column:
        both = F.array(moment(F.col(done)), moment(F.col(undone)))
        return F.when(F.col(undone).isNotNull(), both).otherwise(F.array().cast("array<timestamp>"))

    looked, asked = F.col("examined_at").isNotNull(), moment(F.col("at"))
    values = {
        "query_id": F.col("query_id"), "object_id": log.item(F.col("query"), F.col("page"), F.col("rank")),
        "request_ts": asked, "position": F.col("rank"), "examined": looked, "implied": ~looked, "user_refined": F.col("refined"),
        "attribution_rule": F.when(F.col("clicked_at").isNotNull(), "own_query"), "examined_ts": moment(F.col("examined_at")),
        "clicked_ts": moment(F.col("clicked_at")), "carted_ts": standing("carted_at", "removed_at"),
        "ordered_ts": standing("ordered_at", "refunded_at"), "undone_carts": pairs("carted_at", "removed_at"),
        "undone_orders": pairs("ordered_at", "refunded_at"), "event_date": F.to_date(asked),
    }
    typed = {c.name: values[c.name].cast(c.type) for c in IMPRESSIONS.columns if c.name != "stage"}
    rows = happened.select(*[value.alias(name) for name, value in typed.items()])
    return rows.withColumn("stage", stage_column(DEFAULT_STAGES)).select(*IMPRESSIONS.column_names)
