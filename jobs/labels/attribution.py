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
    lost = lost_clicks(events, requests, window)
    clicked = session_last_touch(named, requests, lost, settings.click_window_minutes * MINUTE)
    followed = follow_identity(clicked, window)
    return _as_attributions(followed.where(F.col("action").isin(*CONVERSIONS)), window)


def own_query(events: DataFrame, requests: DataFrame, window: int) -> DataFrame:
    """Adds `rule`, `matched` (query id) and `request_at` where the request that an event names exists and fits."""
    known = requests.select(F.col("query_id").alias("_own"), F.unix_micros("ts").alias("_own_at"))
    asked = events.withColumn("_asks", F.coalesce("query_id", F.concat(F.lit(NOBODY), "event_id")))
    joined = asked.join(known, F.col("_asks") == F.col("_own"), "left")
    counts = F.col("action").isin(*CONVERSIONS) & ~F.col("repeated")
    fits = counts & (F.col("_own_at") <= F.col("at")) & (F.col("at") - F.col("_own_at") <= window)
    return joined.select(
        *events.columns,
        F.when(fits, F.lit("own_query")).alias("rule"),
        F.when(fits, F.col("_own")).alias("matched"),
        F.when(fits, F.col("_own_at")).alias("request_at"),
    )


def session_last_touch(events: DataFrame, requests: DataFrame, lost: DataFrame, window: int) -> DataFrame:
    """Attributes clicks without a request of their own to the last request of their session that listed the item.

    Args:
        events: After `own_query`. Those that need nothing get a key of their own and pass through.
        requests: Merged requests; only those of sessions in `lost` are unfolded into items.
        lost: (identity, session_id) of all clicks that need this rule.
        window: Microseconds from the request to the click.
    """
    keys = ["_session", "object_id"]
    open_click = (F.col("action") == "click") & F.col("rule").isNull()
    session = F.concat_ws(NOBODY, F.when(open_click, F.col("identity")), F.col("session_id"))
    complete = open_click & F.col("identity").isNotNull() & F.col("session_id").isNotNull()
    alone = F.concat(F.lit(NOBODY), "event_id")
    asking = events.withColumn("_session", F.when(complete, session).otherwise(alone))
    timeline = asking.unionByName(_listed_items(requests, lost), allowMissingColumns=True)
    is_listed = F.col("action").isNull()
    # A request at the very moment of the click counts, so requests sort before clicks.
    order = [F.col("at"), ~is_listed, *(F.coalesce(name, F.lit("")) for name in ("matched", "event_id"))]
    touch = _last_so_far(F.struct("matched", "request_at"), is_listed, keys, order)
    touched = timeline.withColumn("_touch", touch).where(~is_listed).drop("_session")
    fits = F.col("at") - F.col("_touch.request_at") <= window
    return _take(touched, [(fits, "session_last_touch", "_touch")])


def lost_clicks(events: DataFrame, requests: DataFrame, window: int) -> DataFrame:
    """(identity, session_id) of every click whose own request does not exist or does not fit."""
    clicks = events.where((F.col("action") == "click") & F.col("session_id").isNotNull()).select(
        "event_id", "query_id", "action", "session_id", identity().alias("identity"),
        F.unix_micros("ts").alias("at"), F.lit(False).alias("repeated"),
    )
    return own_query(clicks, requests, window).where("rule is null").select("identity", "session_id").distinct()


def _listed_items(requests: DataFrame, sessions: DataFrame) -> DataFrame:
    """One row per item listed in one of `sessions`, with the columns that a timeline needs."""
    asked = requests.select(
        identity().alias("identity"), "session_id", F.unix_micros("ts").alias("at"), F.col("query_id").alias("matched"),
        F.array_distinct("hit_ids").alias("hit_ids"),
    )
    relevant = asked.join(sessions, ["identity", "session_id"], "left_semi")
    return relevant.select(
        F.concat_ws(NOBODY, "identity", "session_id").alias("_session"), "at", "matched",
        F.col("at").alias("request_at"), F.explode("hit_ids").alias("object_id"),
    )


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
