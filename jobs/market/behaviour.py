"""What visitors do with a page of results: look, click, put into the cart, buy, and change their minds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.market.draws import Draws
from jobs.market.timeline import Timeline
from jobs.market.visits import identifier

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.market.config import MarketSettings

EVENT = (
    "action string, ts bigint, query_id string, session_id string, position int, quantity int, paid double, "
    "order_id string"
)
CHECKOUT = 0.3  # purchases reported by the checkout page, which knows no query
DELAYED = 0.25  # purchases hours to days after the click
RETURNED = 0.06
REMOVED = 0.3


def shown(pages: DataFrame, settings: MarketSettings, draws: Draws) -> DataFrame:
    """One row per request and item shown: `position`, `examined` and the outcome flags."""
    rows = pages.select("*", F.posexplode("hits").alias("place", "hit")).drop("hits")
    flat = rows.select("*", "hit.item_id", "hit.click_probability", "hit.order_given_click", "hit.price").drop("hit")
    query, item, human = F.col("query_id"), F.col("item_id"), F.col("actor") == "human"
    depth = draws.exponential("depth", settings.behaviour.depth, query)
    looked = human & (F.col("place") <= depth) & ~draws.chance("overlooked", settings.behaviour.skip, query, item)
    buys = draws.chance("order", F.col("order_given_click"), query, item)
    return flat.withColumns({
        "position": (F.col("place") + 1 + (F.col("page") - 1) * settings.page_size).cast("int"),
        "examined": looked,
    }).withColumn("clicked", _clicked(draws)).withColumn("ordered", F.col("clicked") & human & buys).withColumn(
        "carted",
        F.col("ordered") | (F.col("clicked") & human & draws.chance(
            "cart", settings.behaviour.cart_share + F.col("order_given_click") * 0.5, query, item
        )),
    )


def _clicked(draws: Draws) -> Column:
    """People click what they examine and like; price watchers the first hit; click farms their own items."""
    query, item = F.col("query_id"), F.col("item_id")
    likes = F.col("examined") & draws.chance("click", F.col("click_probability"), query, item)
    own = draws.chance("farmed", 0.2, F.col("client_id"), item)
    first = (F.col("place") == 0) & draws.chance("watched", 0.5, query)
    return (
        F.when(F.col("actor") == "human", likes).when(F.col("actor") == "click_farm", own)
        .when(F.col("actor") == "price_watcher", first).otherwise(False)
    )


def events(shown: DataFrame, draws: Draws) -> DataFrame:
    """One row per event, with who sent it; a click leads to a cart, a cart to a purchase, a purchase to a refund."""
    query, item = F.col("query_id"), F.col("item_id")
    acted = shown.where(F.col("clicked") | (F.col("examined") & F.col("sees")))
    timed = acted.withColumn(
        "seen_at", F.col("ts") + F.col("place") * 1_500 + draws.integer("seen", 1_000, query, item)
    ).withColumn("click_at", F.col("seen_at") + 400 + draws.integer("dwell", 4_000, query, item)).withColumn(
        "cart_at", F.col("click_at") + 15_000 + draws.integer("consider", 150_000, query, item)
    ).withColumn("buy_at", F.col("cart_at") + _until_purchase(draws))
    sent = timed.select("*", F.explode(F.array_compact(F.array(*_event_structs(draws)))).alias("event"))
    made = sent.select(
        "event.*", "client_id", "user_id", "user_agent", "legacy", "item_id",
        F.col("query_id").alias("cause_id"), F.col("ts").alias("asked_at"),
    )
    return made.withColumn(
        "event_id", identifier("e", F.lit(draws.seed), F.col("cause_id"), F.col("item_id"), F.col("action"))
    )


def _until_purchase(draws: Draws) -> Column:
    """Minutes for most; hours to days for the rest, at most six days."""
    query, item = F.col("query_id"), F.col("item_id")
    soon = draws.integer("checkout", 15 * Timeline.MINUTE, query, item) + Timeline.MINUTE
    hours = F.least(draws.exponential("sleep on it", 20.0, query, item) + 1.0, F.lit(144.0))
    return F.when(draws.chance("delayed", DELAYED, query, item), (hours * Timeline.HOUR).cast("bigint")).otherwise(soon)


def _event_structs(draws: Draws) -> list[Column]:
    """Each possible event as a struct of EVENT's fields, null where it does not happen."""
    query, item = F.col("query_id"), F.col("item_id")
    checkout = draws.chance("checkout page", CHECKOUT, query, item)
    removed = draws.chance("removed", REMOVED, query, item)
    changed_mind = F.col("cart_at") + 60_000 + draws.integer("regret", 600_000, query, item)
    sent_back = F.col("buy_at") + (draws.uniform("return", query, item) * 4 + 1).cast("double") * Timeline.DAY
    returned = F.col("ordered") & draws.chance("returned", RETURNED, query, item)
    came_back = F.col("buy_at") - F.col("ts") > 30 * Timeline.MINUTE
    buy_session = F.when(came_back, identifier("s", query, item, F.lit("buy"))).otherwise(F.col("session_id"))
    bought = {
        "quantity": F.lit(1) + draws.chance("two of them", 0.08, query, item).cast("int"), "paid": F.col("price"),
        "order_id": identifier("o", F.lit(draws.seed), query, item),
    }
    return [
        _event(F.col("examined") & F.col("sees"), "impression", F.col("seen_at")),
        _event(F.col("clicked"), "click", F.col("click_at")),
        _event(F.col("carted"), "add_to_cart", F.col("cart_at"), quantity=F.lit(1)),
        _event(F.col("carted") & ~F.col("ordered") & removed, "remove_from_cart", changed_mind, quantity=F.lit(1)),
        _event(F.col("ordered") & ~checkout, "purchase", F.col("buy_at"), session=buy_session, **bought),
        _event(F.col("ordered") & checkout, "purchase", F.col("buy_at"), session=buy_session, known=False, **bought),
        _event(returned, "refund", sent_back.cast("bigint"), session=identifier("s", query, item, F.lit("refund")),
               known=False, **bought),
    ]


def _event(
    happens: Column, action: str, at: Column, *, session: Column | None = None, known: bool = True,
    quantity: Column | None = None, paid: Column | None = None, order_id: Column | None = None,
) -> Column:
    """`known` says whether the sender still knows query and position."""
    null = F.lit(None)
    values = (
        F.lit(action), at, F.col("query_id") if known else null, F.col("session_id") if session is None else session,
        F.col("position") if known else null, null if quantity is None else quantity, null if paid is None else paid,
        null if order_id is None else order_id,
    )
    fields = [field.split() for field in EVENT.split(",")]
    return F.when(happens, F.struct(*[value.cast(kind).alias(name) for value, (name, kind) in zip(values, fields)]))
