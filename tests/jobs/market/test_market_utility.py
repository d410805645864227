"""The formulas of clicks and purchases, by hand."""

from __future__ import annotations

from math import exp, log

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.market.config import MarketSettings
from jobs.market.draws import Draws
from jobs.market.utility import pools, utility

SETTINGS = MarketSettings()
ODDS = SETTINGS.behaviour
INTENT = (
    "intent_id bigint, noun_id bigint, kind int, wish_brand bigint, wish0 int, wish1 int, wish2 int, "
    "sensitivity double"
)
ITEM = (
    "item_id bigint, noun_id bigint, kind int, brand_id bigint, value0 int, value1 int, value2 int, quality double, "
    "attraction double, price double, price_level double, listed_from bigint, listed_to bigint, sold_out boolean"
)


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def items(spark: SparkSession, *rows: tuple[int, int, int, int, float, float]) -> DataFrame:
    """Items by (id, kind, brand, first value, quality, attraction), each at twice the usual price."""
    full = [(i, 0, kind, brand, value, 0, 0, q, a, 20.0, log(2), 0, None, False)
            for i, kind, brand, value, q, a in rows]
    return spark.createDataFrame(full, ITEM)


def judged(spark: SparkSession, *rows: tuple[int, int, int, int, float, float]) -> dict[int, dict[str, float]]:
    """What an intent for kind 1, brand 5 and first value 3, with sensitivity 0.5, makes of the items."""
    wants = spark.createDataFrame([(9, 0, 1, 5, 3, None, None, 0.5)], INTENT)
    found = utility(wants, items(spark, *rows), SETTINGS, Draws(7)).collect()
    return {row["item_id"]: row.asDict() for row in found}


def test_an_item_that_meets_both_wishes(spark: SparkSession) -> None:
    row = judged(spark, (1, 1, 5, 3, 0.4, 0.2))[1]
    click = sigmoid(ODDS.click_base + 0.2 * ODDS.click_attraction + 2 * ODDS.click_fit)
    order = sigmoid(
        ODDS.order_base + 0.4 * ODDS.order_quality + 0.2 * ODDS.order_attraction + 2 * ODDS.order_met
        + ODDS.order_price * 0.5 * log(2)
    )
    assert row["relevance"] == 1.0
    assert row["click_probability"] == pytest.approx(click, abs=1e-12)
    assert row["order_given_click"] == pytest.approx(order, abs=1e-12)
    assert row["order_probability"] == pytest.approx(click * order, abs=1e-12)


def test_another_kind_and_missed_wishes_lower_everything(spark: SparkSession) -> None:
    rows = judged(spark, (1, 1, 5, 3, 0.0, 0.0), (2, 2, 5, 3, 0.0, 0.0), (3, 1, 6, 3, 0.0, 0.0), (4, 1, 6, 4, 0.0, 0.0))
    assert [rows[i]["relevance"] for i in (1, 2, 3, 4)] == pytest.approx([1, 0.3, 0.6, 0.36])
    for column in ("click_probability", "order_given_click"):
        assert rows[1][column] > rows[3][column] > rows[4][column]
        assert rows[1][column] > rows[2][column]


def test_hype_draws_clicks_and_disappoints_buyers_while_quality_only_sells(spark: SparkSession) -> None:
    rows = judged(spark, (1, 1, 5, 3, 0.0, 0.0), (2, 1, 5, 3, 0.0, 2.0), (3, 1, 5, 3, 2.0, 0.0))
    assert rows[2]["click_probability"] > rows[1]["click_probability"] == rows[3]["click_probability"]
    assert rows[3]["order_given_click"] > rows[1]["order_given_click"] > rows[2]["order_given_click"]


def test_a_pool_keeps_the_best_of_the_ranker_and_no_more_than_told(spark: SparkSession) -> None:
    wants = spark.createDataFrame([(9, 0, 1, None, None, None, None, 1.0)], INTENT)
    many = items(spark, *[(i, 1, 5, 3, 0.0, 0.0) for i in range(100)])
    pairs = utility(wants, many, SETTINGS, Draws(7))
    pool = [c["item_id"] for c in pools(pairs, SETTINGS.ranker).first()["pool"]]
    best = sorted(pairs.collect(), key=lambda row: (-row["ranker_score"], row["item_id"]))[: SETTINGS.ranker.pool]
    assert sorted(pool) == sorted(row["item_id"] for row in best)
