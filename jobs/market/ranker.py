"""The shop's production ranker: one page of results per request, from the intent's bounded pool of candidates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.market.delivery import spread
from jobs.market.draws import Draws
from jobs.market.words import misspelled

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.market.config import MarketSettings

LIFT = 4.0  # what exploration adds to a candidate's score


def pages(visits: DataFrame, intents: DataFrame, settings: MarketSettings, draws: Draws) -> DataFrame:
    """Adds `query_text`, `filter_brand` and `hits`, the page's items in the order shown.

    `intents` holds intent_id, wish_brand and its name, texts and pool. A hit is a struct of item_id,
    click_probability, order_given_click and price.
    """
    asked = spread(visits, "intent_id").join(intents, "intent_id")
    text = F.get("texts", F.col("variant"))
    # The second page is asked for without typing anew, hence the key of the result, not of the request.
    typed = misspelled(text, draws, settings.misspelled, F.col("result_key"))
    wanted = F.when(F.col("brand_only"), F.col("wish_brand"))
    return asked.withColumns({
        "query_text": typed, "wanted_brand": wanted, "filter_brand": F.when(F.col("brand_only"), F.col("wish_brand_name")),
    }).withColumn("hits", _page(settings, draws)).drop("pool", "texts", "wish_brand", "wish_brand_name", "wanted_brand")


def _page(settings: MarketSettings, draws: Draws) -> Column:
    """Listed candidates that pass the filter, in order, cut to the page."""
    ts, wanted = F.col("ts"), F.col("wanted_brand")

    def shown(c: Column) -> Column:
        listed = (c["listed_from"] <= ts) & (c["listed_to"].isNull() | (c["listed_to"] > ts))
        return listed & (wanted.isNull() | (c["brand_id"] == wanted))

    def keyed(c: Column) -> Column:
        return F.struct(
            _sort_key(c, settings, draws).alias("key"), c["item_id"].alias("item_id"),
            c["click_probability"].alias("click_probability"), c["order_given_click"].alias("order_given_click"),
            c["price"].alias("price"),
        )

    ordered = F.sort_array(F.transform(F.filter("pool", shown), keyed))
    return F.slice(ordered, (F.col("page") - 1) * settings.page_size + 1, settings.page_size)


def _sort_key(c: Column, settings: MarketSettings, draws: Draws) -> Column:
    """Ascending: the price where the user sorts by it, else the negative score with this request's noise.

    The noise is Gumbel, so that the order is a softmax sample; its extreme draws are lifted further, to any position.
    """
    u = draws.uniform("ranker jitter", F.col("result_key"), c["item_id"])
    gumbel = -F.log(-F.log(u))
    lift = F.when(u > 1 - settings.ranker.exploration, LIFT).otherwise(0.0)
    return (
        F.when(F.col("sort") == "price_asc", c["price"]).when(F.col("sort") == "price_desc", -c["price"])
        .otherwise(-(c["ranker_score"] + gumbel * settings.ranker.jitter + lift))
    )
