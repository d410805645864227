"""Which request a click, a cart or a purchase belongs to.

The rules, first match wins; a request never takes an event that came before it, nor one that came more
than `labels.order_window_days` after it, so that the labels of a day are final that long after it:

    own_query           the event names a query id, and that request exists
    session_last_touch  clicks: the last request of the same identity and session that listed the item,
                        at most `labels.click_window_minutes` earlier
    last_cart           carts and purchases: the request of the identity's last cart of the item, unless it was
                        removed meanwhile (for a cart: the last cart that names its own query)
    last_clicked_query  carts and purchases: the request in which the identity last clicked the item
    repeated_order      a further event of an order that counts already
    none                everything else

Of candidates at the same moment the greatest query id wins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from jobs.labels.conversions import CONVERSIONS, NOBODY, conversion_events, identity, next_at, orders_once
from jobs.labels.requests import BY_SHUFFLE

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.sections import LabelSettings

MINUTE = 60 * 1_000_000
DAY = 24 * 60 * MINUTE
"""Microseconds."""


def attribute(requests: DataFrame, events: DataFrame, settings: LabelSettings) -> DataFrame:
    """Every click, cart and purchase with its rule and request, as the dataset `attributions`.

    Args:
        requests: Merged requests, from `order_window_days` before the first event that matters.
        events: Events of the same time, of any arrival day.
        settings: Windows.
    """
    window = settings.order_window_days * DAY
    named = own_query(orders_once(conversion_events(events)), requests, window)
    clicked = session_last_touch(named, requests, settings.click_window_minutes * MINUTE)
    followed = follow_identity(clicked, window)
    return _as_attributions(followed.where(F.col("action").isin(*CONVERSIONS)), window)


def own_query(events: DataFrame, requests: DataFrame, window: int) -> DataFrame:
    """Adds `rule`, `matched` (query id) and `request_at` where the request that an event names exists and fits."""
    known = requests.select(F.col("query_id").alias("_own"), F.unix_micros("ts").alias("_own_at"))
    asked = events.withColumn("_asks", F.coalesce("query_id", F.concat(F.lit(NOBODY), "event_id")))
    joined = asked.join(known.hint(BY_SHUFFLE), F.col("_asks") == F.col("_own"), "left")
    counts = F.col("action").isin(*CONVERSIONS) & ~F.col("repeated")
    fits = counts & (F.col("_own_at") <= F.col("at")) & (F.col("at") - F.col("_own_at") <= window)
    return joined.select(
        *events.columns,
        F.when(fits, F.lit("own_query")).alias("rule"),
        F.when(fits, F.col("_own")).alias("matched"),
        F.when(fits, F.col("_own_at")).alias("request_at"),
    )


def session_last_touch(events: DataFrame, requests: DataFrame, window: int) -> DataFrame:
    """Attributes clicks without a request of their own to the last request of their session that listed the item.

    Clicks and requests of a session meet within spans of `window` alone, each request in its own span and the next, so
    that a session without end costs no more than its busiest hour; hit lists are searched, not unfolded.

    Args:
        events: After `own_query`.
        requests: Merged requests.
        window: Microseconds from the request to the click.
    """
    keys = ["identity", "session_id", "_span"]
    lost = events.where((F.col("action") == "click") & F.col("rule").isNull()).select(
        "event_id", "identity", "session_id", "object_id", F.col("at").alias("_at"), _span("at", window).alias("_span")
    )
    asked = requests.select(
        identity().alias("identity"), "session_id", F.unix_micros("ts").alias("_asked"), F.col("query_id").alias("_query"),
        "hit_ids",
    ).where("identity is not null and session_id is not null and size(hit_ids) > 0")
    spans = F.explode(F.array(_span("_asked", window), _span("_asked", window) + 1))
    pairs = lost.join(asked.withColumn("_span", spans), keys)
    in_time = (F.col("_asked") <= F.col("_at")) & (F.col("_at") - F.col("_asked") <= window)
    listed = pairs.where(in_time & F.array_contains("hit_ids", F.col("object_id")))
    touch = listed.groupBy("event_id").agg(
        F.max(F.struct(F.col("_asked").alias("request_at"), F.col("_query").alias("matched"))).alias("_touch")
    )
    found = F.col("_touch").isNotNull()
    return _take(events.join(touch, "event_id", "left"), [(found, "session_last_touch", "_touch")])


def _span(at: str, window: int) -> Column:
    """Number of the span of `window` microseconds that a moment falls into."""
    return F.expr(f"{at} div {window}L")


def follow_identity(events: DataFrame, window: int) -> DataFrame:
    """Attributes carts and purchases without a request of their own through earlier carts and clicks of the identity.

    One sort by (identity, item) serves every rule; all frames grow from the start of the key, so a key
    of a million events costs a million steps. Adds `removed_at`, `returned_at` (microseconds).
    """
    keys = ["_who", "object_id"]
    known = events.withColumn("_who", F.coalesce("identity", F.concat(F.lit(NOBODY), "event_id")))
    order = [F.col("at"), _turn(), F.coalesce("matched", F.lit("")), F.col("event_id")]
    is_cart, has_request = F.col("action") == "add_to_cart", F.col("matched").isNotNull()
    request = F.struct("matched", "request_at", "at")
    steps = known.withColumn(
        "_click", _last_so_far(request, (F.col("action") == "click") & has_request, keys, order)
    ).withColumn(
        "_cart", _last_so_far(request, is_cart & has_request, keys, order)
    ).withColumn(
        "_removed", _last_so_far(F.col("at"), F.col("action") == "remove_from_cart", keys, order)
    )
    carted = _fall_back(steps, is_cart, window)
    any_cart = carted.withColumn(
        "_cart", _last_so_far(request, is_cart & F.col("matched").isNotNull(), keys, order)
    )
    bought = _fall_back(any_cart, (F.col("action") == "purchase") & ~F.col("repeated"), window)
    undone = bought.withColumn("removed_at", next_at("remove_from_cart", *keys)).withColumn(
        "returned_at", _next_refund_without_order(keys)
    )
    return undone.drop("_who", "_click", "_cart", "_removed")


def _turn() -> Column:
    """Order of events at the same moment: what attributes comes before what is attributed."""
    return (
        F.when(F.col("action").isin("click", "remove_from_cart"), 0)
        .when(F.col("action") == "add_to_cart", F.when(F.col("rule").isNotNull(), 1).otherwise(2))
        .otherwise(3)
    )


def _fall_back(events: DataFrame, wanted: Column, window: int) -> DataFrame:
    """Applies last_cart and last_clicked_query to the `wanted` rows without a rule."""
    open_row = wanted & F.col("rule").isNull()
    standing = F.coalesce(F.col("_removed") < F.col("_cart.at"), F.lit(True))
    by_cart = open_row & standing & (F.col("at") - F.col("_cart.request_at") <= window)
    by_click = open_row & (F.col("at") - F.col("_click.request_at") <= window)
    return _take(events, [(by_cart, "last_cart", "_cart"), (by_click, "last_clicked_query", "_click")], keep=True)


def _take(events: DataFrame, choices: list[tuple[Column, str, str]], keep: bool = False) -> DataFrame:
    """Fills rule, matched and request_at from the first choice (condition, rule, struct) that holds."""
    rule, matched, request_at = F.col("rule"), F.col("matched"), F.col("request_at")
    for condition, name, source in reversed(choices):
        holds = F.coalesce(condition, F.lit(False))
        rule = F.when(holds, F.lit(name)).otherwise(rule)
        matched = F.when(holds, F.col(f"{source}.matched")).otherwise(matched)
        request_at = F.when(holds, F.col(f"{source}.request_at")).otherwise(request_at)
    filled = events.withColumns({"rule": rule, "matched": matched, "request_at": request_at})
    return filled if keep else filled.drop(*[source for _, _, source in choices])


def _last_so_far(value: Column, where: Column, keys: list[str], order: list[Column]) -> Column:
    """The value of the last row so far, in `order` within `keys`, for which `where` holds."""
    so_far = Window.partitionBy(*keys).orderBy(*order).rowsBetween(Window.unboundedPreceding, Window.currentRow)
    return F.last(F.when(where, value), ignorenulls=True).over(so_far)


def _next_refund_without_order(keys: list[str]) -> Column:
    """For purchases without an order id: the identity's next refund of the item that names no order either."""
    backwards = Window.partitionBy(*keys).orderBy(
        F.col("at").desc(), (F.col("action") == "refund").desc(), F.col("event_id").desc()
    ).rowsBetween(Window.unboundedPreceding, Window.currentRow)
    refund = (F.col("action") == "refund") & F.col("order_id").isNull()
    next_refund = F.last(F.when(refund, F.col("at")), ignorenulls=True).over(backwards)
    return F.when((F.col("action") == "purchase") & F.col("order_id").isNull(), next_refund)


def _as_attributions(events: DataFrame, window: int) -> DataFrame:
    """The columns of `attributions`; an undoing after the label was closed no longer counts."""
    undoing = F.when(F.col("action") == "add_to_cart", F.col("removed_at")).when(
        F.col("action") == "purchase", F.coalesce("refund_at", "returned_at")
    )
    closes = F.coalesce("request_at", "at") + window
    undone_ts = F.timestamp_micros(F.when((undoing <= closes) & ~F.col("repeated"), undoing))
    rule = F.coalesce(F.when(F.col("repeated"), F.lit("repeated_order")), "rule", F.lit("none"))
    return events.select(
        "event_id", F.timestamp_micros("at").alias("ts"), "action", "object_id", "position", rule.alias("rule"),
        F.col("matched").alias("query_id"), undone_ts.alias("undone_ts"), undone_ts.isNotNull().alias("undone"),
        "event_date",
    )
