"""The catalogue, of which only the items that tuples and stream need ever leave the scan.

A catalogue has up to a billion items; a night's tuples and stream name some millions. Narrow columns are scanned to
find out which, and one full scan fetches their text: Spark builds a Bloom filter over the wanted ids and tests
every item before the shuffle. The filter is of bounded size; where more ids are wanted than it can tell
apart, more items are shuffled and the result is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from jobs.runtime.errors import InputError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MOST_LOCALES = 1_000
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
    """`object_id, dense_id, valid_from, available, locale` of every item, and more of its columns; no locale is ''."""
    locale = F.coalesce("locale", F.lit("")).alias("locale")
    return items.select("object_id", "dense_id", "valid_from", "available", locale, *more)


def available_by_locale(items: DataFrame) -> dict[str, int]:
    """Available items of each locale. Raises InputError where there are more locales than any shop has."""
    counts = listed(items).where("available").groupBy("locale").count().limit(MOST_LOCALES + 1).collect()
    if len(counts) > MOST_LOCALES:
        raise InputError(f"items: locale has more than {MOST_LOCALES:,} values; expected a language or market in it")
    return {row["locale"]: row["count"] for row in sorted(counts)}


def wanted_items(items: DataFrame, wanted: DataFrame) -> DataFrame:
    """The items whose dense id is in `wanted` (dense_id, distinct, kept on disk), all columns."""
    return items.join(selective(wanted, "dense_id"), "dense_id", "left_semi")


def selective(kept: DataFrame, key: str) -> DataFrame:
    """The same rows of a frame on disk, with a predicate that every key meets.

    Spark builds a Bloom filter only over rows that some predicate selected: this says that these are selected already.
    """
    return kept.where(F.col(key) >= (F.lit("") if dict(kept.dtypes)[key] == "string" else F.lit(-1)))


@contextmanager
def bloom_filters(spark: Any, configured: dict[str, str]) -> Iterator[None]:
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
