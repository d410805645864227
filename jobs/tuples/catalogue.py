"""The catalogue, of which only the items that tuples and stream may need ever leave the scan.

A catalogue has up to a billion items; a night's requests show some millions, and the stream draws some more. One full
scan picks both: an item that the hash may draw is kept as it is read, every other one has to meet an id that was
shown. That meeting is a broadcast where the ids are few; where they are many, Spark builds a Bloom filter over them
and tests every item before the shuffle. The filter is of bounded size; where more ids are wanted than it can tell
apart, more items are shuffled and the result is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from jobs.items.locales import FACT, available_by_locale, locale_column
from jobs.tuples.proposal import chance

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.job import JobContext

ITEM_TEXT = ("title", "brand", "category_path", "shop", "price")
NARROW = ("object_id", "dense_id", "valid_from", "available")
DRAWN = 256
"""Keys that items of the stream are spread over, for want of an id that was shown."""
BLOOM_FILTERS = {
    "spark.sql.optimizer.runtime.bloomFilter.enabled": "true",
    "spark.sql.optimizer.runtime.bloomFilter.creationSideThreshold": "16g",
    "spark.sql.optimizer.runtime.bloomFilter.applicationSideScanSizeThreshold": "0",
    "spark.sql.optimizer.runtime.bloomFilter.expectedNumItems": "4000000",
    "spark.sql.optimizer.runtime.bloomFilter.maxNumItems": "4000000",
    "spark.sql.optimizer.runtime.bloomFilter.maxNumBits": "67108864",
}
"""8 MiB and 17 bits an id at most; built however small the catalogue's files are."""


def listed(items: DataFrame, *more: str) -> DataFrame:
    """NARROW, `locale` ('' where there is none) and more columns of every item."""
    return items.select(*NARROW, locale_column(), *more)


def available_items(context: JobContext, items: DataFrame) -> dict[str, int]:
    """Available items by locale, as ingest counted them; a catalogue published without the count is counted here."""
    return context.manifest("items").facts.get(FACT) or available_by_locale(items)


def may_be_drawn(available: Mapping[str, int], entries: int, seed: int) -> Column:
    """Whether the stream may draw an item that nobody bought: it cannot where even all of the stream were its locale's."""
    bounds = [F.when(F.col("locale") == locale, entries / n) for locale, n in available.items() if n]
    return F.col("available") & (chance(seed) < F.coalesce(*bounds, F.lit(0.0)))


def picking_keys(staged: DataFrame) -> DataFrame:
    """`key` of everything that `pick_items` keeps: one for each object id that was shown, and DRAWN places of the stream."""
    places = staged.sparkSession.range(DRAWN).select(F.col("id").alias("key"))
    return staged.select(shown_key().alias("key")).distinct().unionByName(places)


def shown_key() -> Column:
    """63 bits of an object id: numbers meet several times as fast as strings.

    Two ids of one key would let an item in that nobody was shown; what is picked is looked up by its full id afterwards.
    """
    return F.shiftrightunsigned(F.xxhash64("object_id"), 1)


def pick_items(items: DataFrame, keys: DataFrame, drawn: Column) -> DataFrame:
    """NARROW, `locale`, ITEM_TEXT and `drawn` of the items that were shown or may be drawn, in one scan.

    `keys` are `picking_keys`, on disk; `drawn` is `may_be_drawn`.
    """
    marked = listed(items, *ITEM_TEXT).withColumn("drawn", drawn)
    place = F.pmod("dense_id", F.lit(DRAWN))
    keyed = marked.withColumn("key", F.when(F.col("drawn"), place).otherwise(shown_key()))
    return keyed.join(selective(keys, "key"), "key", "left_semi").drop("key")


def wanted_items(items: DataFrame, wanted: DataFrame) -> DataFrame:
    """The items whose dense id is in `wanted` (dense_id, distinct, on disk), all columns."""
    return items.join(selective(wanted, "dense_id"), "dense_id", "left_semi")


def selective(kept: DataFrame, key: str) -> DataFrame:
    """The same rows of a frame on disk, with a predicate that every key, a number of -1 or more, meets.

    Spark builds a Bloom filter only over rows that some predicate selected: this says that these are selected already.
    """
    return kept.where(F.col(key) >= -1)


@contextmanager
def bloom_filters(spark: Any, configured: Mapping[str, str]) -> Iterator[None]:
    """Joins with the catalogue are filtered before the shuffle inside the block; `configured` settings win."""
    ours = {key: value for key, value in BLOOM_FILTERS.items() if key not in configured}
    before = {key: spark.conf.get(key) for key in ours}
    for key, value in ours.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key, value in before.items():
            spark.conf.set(key, value)
