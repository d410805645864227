"""How much an item suits an intent: relevance, and the probabilities of a click and of a purchase.

    P(click | examined)        = sigmoid(base + coarse fit + attraction)
    P(order | clicked)         = sigmoid(base + fine fit + quality - price x sensitivity - attraction)
    P(order | examined)        = the product of the two
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from jobs.market.delivery import spread
from jobs.market.draws import Draws
from jobs.market.lexicon import SLOTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import Column, DataFrame

    from jobs.market.config import BehaviourSettings, MarketSettings, RankerSettings


def sigmoid(x: Column) -> Column:
    """1 / (1 + exp(-x))."""
    return 1 / (1 + F.exp(-x))


def utility(intents: DataFrame, items: DataFrame, settings: MarketSettings, draws: Draws) -> DataFrame:
    """Every intent with every item of its noun (its type and the sibling kinds): truth and the ranker's view."""
    wanted = spread(intents, "intent_id").withColumnRenamed("kind", "wish_kind")
    pairs = wanted.join(items, "noun_id").withColumns({
        "sibling": F.coalesce((F.col("kind") != F.col("wish_kind")).cast("int"), F.lit(0)),  # null: any kind will do
        "met": _count_wishes(lambda value, wish: value == wish),
        "missed": _count_wishes(lambda value, wish: value != wish),
    })
    behaviour = settings.behaviour
    click, order = sigmoid(_click_odds(behaviour)), sigmoid(_order_odds(behaviour))
    relevance = F.pow(F.lit(0.3), F.col("sibling")) * F.pow(F.lit(0.6), F.col("missed"))
    return pairs.withColumns({
        "relevance": relevance, "click_probability": click, "order_given_click": order,
        "ranker_score": _ranker_score(settings.ranker, draws),
    }).select(
        "intent_id", "item_id", "relevance", "click_probability", "order_given_click",
        (F.col("click_probability") * F.col("order_given_click")).alias("order_probability"),
        "ranker_score", "price", "brand_id", "listed_from", "listed_to", "sold_out",
    )


def pools(utility: DataFrame, settings: RankerSettings) -> DataFrame:
    """`intent_id`, `pool`: the production ranker's best candidates of each intent, a bounded array."""
    best = Window.partitionBy("intent_id").orderBy(F.desc("ranker_score"), "item_id")
    offered = spread(utility.where(~F.col("sold_out")), "intent_id")
    kept = offered.withColumn("rank", F.row_number().over(best)).where(F.col("rank") <= settings.pool)
    candidate = F.struct(
        "item_id", "ranker_score", "click_probability", "order_given_click", "price", "brand_id", "listed_from",
        "listed_to",
    )
    return kept.groupBy("intent_id").agg(F.sort_array(F.collect_list(candidate)).alias("pool"))


def _count_wishes(test: Callable[[Column, Column], Column]) -> Column:
    """How many of the intent's wishes (brand and attributes) pass a test against the item; no wish, no count."""
    both = [("brand_id", "wish_brand"), *[(f"value{slot}", f"wish{slot}") for slot in range(SLOTS)]]
    passed = [F.coalesce(test(F.col(value), F.col(wish)).cast("int"), F.lit(0)) for value, wish in both]
    return sum(passed, F.lit(0))


def _click_odds(settings: BehaviourSettings) -> Column:
    return (
        settings.click_base + settings.click_attraction * F.col("attraction") + settings.click_fit * F.col("met")
        + settings.click_sibling * F.col("sibling")
    )


def _order_odds(settings: BehaviourSettings) -> Column:
    return (
        settings.order_base + settings.order_quality * F.col("quality")
        + settings.order_attraction * F.col("attraction")
        + settings.order_met * F.col("met") + settings.order_missed * F.col("missed")
        + settings.order_sibling * F.col("sibling")
        + settings.order_price * F.col("sensitivity") * F.col("price_level")
    )


def _ranker_score(settings: RankerSettings, draws: Draws) -> Column:
    """Neither lexical nor perfect: fit and popularity, with a standing error per intent and item."""
    return (
        settings.fit * (F.col("met") - F.col("missed")) + settings.sibling * F.col("sibling")
        + settings.attraction * F.col("attraction")
        + settings.noise * draws.normal("ranker", F.col("intent_id"), F.col("item_id"))
    )
