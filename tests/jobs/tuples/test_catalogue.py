from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import functions as F

from jobs.items.locales import available_by_locale
from jobs.runtime.errors import InputError
from jobs.runtime.sections import StreamSettings
from jobs.tuples.catalogue import BLOOM_FILTERS, bloom_filters, may_be_drawn, pick_items, picking_keys
from jobs.tuples.proposal import Proposal

ITEMS = 4_000


@pytest.fixture(scope="module")
def items(spark: Any) -> Any:
    """4,000 items: every fourth Danish, every eighth without a locale, every tenth not available."""
    return spark.range(ITEMS).selectExpr(
        "concat('p', id) as object_id", "id as dense_id", "timestamp '2026-01-01' as valid_from", "id % 10 != 9 as available",
        "case when id % 8 = 1 then null when id % 4 = 0 then 'da' else 'sv' end as locale", "concat('title ', id) as title",
        "'b' as brand", "'c' as category_path", "'s' as shop", "1.5D as price",
    )


def shown(spark: Any, *numbers: int) -> Any:
    return picking_keys(spark.createDataFrame([(f"p{n}",) for n in numbers], "object_id string"))


def test_what_was_shown_and_what_may_be_drawn_is_picked_once_and_nothing_else(spark: Any, items: Any) -> None:
    available = available_by_locale(items)
    drawn = may_be_drawn(available, 40, seed=3)
    picked = pick_items(items, shown(spark, 1, 2, 3), drawn).collect()
    numbers = [r["dense_id"] for r in picked]
    assert len(set(numbers)) == len(numbers)
    assert {1, 2, 3} <= set(numbers)
    likely = {r["dense_id"] for r in picked if r["drawn"]}
    assert {r["dense_id"] for r in picked if not r["drawn"]} <= {1, 2, 3}
    # each of the three locales as if all 40 entries were its own: about 120, give or take four deviations
    assert 120 - 44 < len(likely) < 120 + 44
    assert all(n % 10 != 9 for n in likely)


@pytest.mark.parametrize("threshold", ["-1", "10m"])
def test_shuffled_behind_a_bloom_filter_or_broadcast_the_same_items_are_picked(
    spark: Any, items: Any, tmp_path: Any, threshold: str
) -> None:
    on_disk = {"items": items, "shown": shown(spark, *range(0, ITEMS, 7))}
    for name, frame in on_disk.items():
        frame.write.parquet(str(tmp_path / name))
    before = spark.conf.get("spark.sql.autoBroadcastJoinThreshold")
    spark.conf.set("spark.sql.autoBroadcastJoinThreshold", threshold)
    try:
        with bloom_filters(spark, {}):
            read = [spark.read.parquet(str(tmp_path / name)) for name in on_disk]
            picked = pick_items(*read, F.lit(False))
            filtered = "might_contain" in picked._jdf.queryExecution().optimizedPlan().toString()
            assert {r["dense_id"] for r in picked.collect()} == set(range(0, ITEMS, 7))
    finally:
        spark.conf.set("spark.sql.autoBroadcastJoinThreshold", before)
    assert filtered == (threshold == "-1")


def test_every_item_that_the_stream_draws_may_be_drawn(spark: Any, items: Any) -> None:
    """Of any length, and however the positives are spread over the locales."""
    available = available_by_locale(items)
    narrow = items.select("dense_id", F.coalesce("locale", F.lit("")).alias("locale"), "available")
    positives = narrow.where("dense_id < 40").selectExpr("*", "5L as positives")
    for entries in (10, 300, 9_000):
        drawn = Proposal.of(available, positives, StreamSettings()).draw(narrow, positives, entries, seed=3)
        likely = narrow.where(may_be_drawn(available, entries, seed=3)).unionByName(narrow.where("dense_id < 40"))
        assert drawn.join(likely, "dense_id", "left_anti").count() == 0


def test_settings_of_the_shop_win_and_are_put_back(spark: Any) -> None:
    key = next(iter(BLOOM_FILTERS))
    before = spark.conf.get(key)
    spark.conf.set(key, "false")
    with bloom_filters(spark, {key: "false"}):
        assert spark.conf.get(key) == "false"
        assert spark.conf.get("spark.sql.optimizer.runtime.bloomFilter.maxNumBits") == "67108864"
    spark.conf.set(key, before)


def test_a_locale_that_is_none_is_refused(items: Any) -> None:
    with pytest.raises(InputError, match="items: locale has more than 200 values"):
        available_by_locale(items.withColumn("locale", F.col("object_id")))
