"""The synthetic catalogue and labels are what they say, however they are computed."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.shop_catalogue import ShopCatalogue, items_of, query_text
from benchmarks.shop_labels import ShopLabels, impressions_of, labelled_requests
from mmse_model.text import normalise

CATALOGUE, LOG = ShopCatalogue(20_000), ShopLabels.of(60_000, 20_000)


@pytest.fixture(scope="module")
def items(spark: SparkSession) -> DataFrame:
    return items_of(spark, CATALOGUE).cache()


@pytest.fixture(scope="module")
def impressions(spark: SparkSession) -> DataFrame:
    return impressions_of(spark, LOG).cache()


def shares(frame: DataFrame, **conditions: str) -> dict[str, float]:
    """Share of the rows that each condition holds for."""
    return frame.select(*[F.avg(F.expr(c).cast("double")).alias(n) for n, c in conditions.items()]).first().asDict()


def fingerprint(frame: DataFrame) -> tuple[int, ...]:
    return tuple(frame.select(F.count("*"), F.sum(F.xxhash64(*frame.columns).cast("decimal(38,0)"))).first())


def test_every_item_has_its_number_and_a_title_of_six_to_fourteen_words(items: DataFrame) -> None:
    words = F.size(F.split("title", " "))
    found = items.agg(
        F.count("*"), F.countDistinct("object_id"), F.min("dense_id"), F.max("dense_id"), F.countDistinct("dense_id"),
        F.min(words), F.max(words),
    ).first()
    assert tuple(found) == (20_000, 20_000, 0, 19_999, 20_000, 6, 14)


def test_few_words_of_titles_are_frequent_and_many_are_rare(items: DataFrame) -> None:
    counts = [r["count"] for r in items.select(F.explode(F.split(F.lower("title"), " ")).alias("w")).groupBy("w").count().collect()]
    ranked = sorted(counts, reverse=True)
    assert len(ranked) > 20_000
    assert sum(ranked[:100]) > 0.2 * sum(ranked)
    assert sum(n == 1 for n in ranked) > 0.2 * len(ranked)


def test_the_catalogue_has_the_shares_that_it_promises(items: DataFrame) -> None:
    found = shares(items, available="available", priceless="price is null", new="valid_from >= timestamp'2026-01-01 00:00:00'")
    assert found == {
        "available": pytest.approx(0.97, abs=0.01), "priceless": pytest.approx(0.01, abs=0.005),
        "new": pytest.approx(0.05, abs=0.01),
    }
    assert 50 <= items.select("category_path").distinct().count() <= CATALOGUE.categories


def test_impressions_have_one_row_a_request_and_item_twenty_to_a_request(impressions: DataFrame) -> None:
    found = impressions.agg(F.count("*"), F.countDistinct("query_id", "object_id"), F.countDistinct("query_id")).first()
    assert found[0] == found[1] == pytest.approx(60_000, rel=0.02)
    assert found[0] / found[2] == pytest.approx(20, rel=0.02)


def test_the_funnel_narrows_as_in_a_shop(impressions: DataFrame, items: DataFrame) -> None:
    found = shares(
        impressions, examined="examined", clicked="clicked_ts is not null", carted="carted_ts is not null",
        ordered="ordered_ts is not null", refined="user_refined",
    )
    assert 0.25 <= found["examined"] <= 0.32
    assert found["clicked"] == pytest.approx(0.06, abs=0.01) and found["carted"] == pytest.approx(0.016, abs=0.004)
    assert found["ordered"] == pytest.approx(0.01, abs=0.003) and found["refined"] == pytest.approx(0.16, abs=0.02)
    unknown = impressions.join(items, "object_id", "left_anti").count()
    assert 0 < unknown < 0.02 * impressions.count()


def test_orders_and_their_undoing_fall_on_both_sides_of_the_cut(impressions: DataFrame) -> None:
    train = impressions.where("request_ts < timestamp'2026-01-07 00:00:00'")
    late = {name: train.where(f"{name} >= timestamp'2026-01-07 00:00:00'").count() for name in ("ordered_ts", "get(undone_orders, 1)")}
    assert min(late.values()) > 0
    assert train.where("ordered_ts < timestamp'2026-01-07 00:00:00'").count() > max(late.values())
    assert impressions.where("size(undone_carts) > 0").count() > 0
    last = impressions.agg(F.max(F.greatest("examined_ts", "clicked_ts", "carted_ts", "ordered_ts"))).first()[0]
    assert last.isoformat() < "2026-01-09"


def test_stages_are_those_of_the_evidence(impressions: DataFrame) -> None:
    assert impressions.where("stage = 'unclicked' and (user_refined or not examined or clicked_ts is not null)").isEmpty()
    assert impressions.where("(stage = 'ordered') != (ordered_ts is not null)").isEmpty()
    assert impressions.where("least(examined_ts, clicked_ts, carted_ts, ordered_ts) < request_ts").isEmpty()


def test_every_impression_is_of_its_requests_hit_list(spark: SparkSession, impressions: DataFrame) -> None:
    hits = labelled_requests(spark, LOG).where("hit_ids is not null").select("query_id", "hit_ids")
    joined = impressions.join(hits, "query_id")
    assert joined.count() == impressions.count()
    assert joined.where("not array_contains(hit_ids, object_id)").isEmpty()


def test_queries_are_texts_that_normalisation_leaves_as_they_are(spark: SparkSession) -> None:
    texts = [row[0] for row in spark.range(500).select(query_text(CATALOGUE, F.col("id"))).collect()]
    assert [normalise(text) for text in texts] == texts
    assert {len(text.split()) for text in texts} == {2, 3, 4, 5}


def test_rows_are_the_same_however_they_are_computed(spark: SparkSession) -> None:
    small = ShopLabels.of(4_000, 2_000)
    assert fingerprint(impressions_of(spark, small)) == fingerprint(impressions_of(spark, small).coalesce(1))
    assert fingerprint(impressions_of(spark, small)) != fingerprint(impressions_of(spark, ShopLabels.of(4_000, 2_000, seed=8)))
    first = items_of(spark, CATALOGUE, 1_000)
    assert fingerprint(first) == fingerprint(items_of(spark, CATALOGUE).where("dense_id < 1000"))
