"""Clicks, carts, purchases and what undoes them: each event once, each order once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

CONVERSIONS = ("click", "add_to_cart", "purchase")
UNDOINGS = ("remove_from_cart", "refund")
NOBODY = "\x00"
"""Prefix of a key that matches nothing: rows without a key are spread by event id, not gathered in one partition."""


def conversion_events(events: DataFrame) -> DataFrame:
    """Conversions and undoings, one row per event id: the earliest copy, whenever it arrived.

    Returns:
        event_id, at, query_id, session_id, identity, action, object_id, position, order_id, event_date;
        `at` is microseconds since 1970, so that no arithmetic depends on a session time zone.
    """
    kept = events.where(F.col("action").isin(*CONVERSIONS, *UNDOINGS))
    columns = [
        F.unix_micros("ts").alias("at"), F.col("action"), F.col("object_id"), F.col("query_id"), F.col("session_id"),
        identity().alias("identity"), F.col("position"), F.col("order_id"), F.col("event_date"),
    ]
    first = kept.groupBy("event_id").agg(F.min(F.struct(*columns)).alias("first"))
    return first.select("event_id", "first.*")


def identity() -> Column:
    """user_key, else client_id, else session_id, each in a name space of its own; null where none is known."""
    return F.coalesce(
        F.concat(F.lit("u:"), "user_key"), F.concat(F.lit("c:"), "client_id"), F.concat(F.lit("s:"), "session_id")
    )


def orders_once(events: DataFrame) -> DataFrame:
    """Adds `repeated` (a purchase of an order that an earlier event already counted) and `refund_at`.

    An order is (order_id, object_id); a purchase without an order id counts by itself. `refund_at` is the
    first refund of the order at or after the purchase, in microseconds.
    """
    of_order = F.col("action").isin("purchase", "refund") & F.col("order_id").isNotNull()
    alone = F.concat(F.lit(NOBODY), "event_id")
    key = F.when(of_order, F.concat_ws(NOBODY, "order_id", "object_id")).otherwise(alone)
    keyed = events.withColumn("_order", key)
    purchases_first = Window.partitionBy("_order").orderBy(F.col("action") != "purchase", "at", "event_id")
    repeated = (F.col("action") == "purchase") & (F.row_number().over(purchases_first) > 1)
    refund_at = F.when(of_order & (F.col("action") == "purchase"), next_at("refund", "_order"))
    return keyed.withColumn("repeated", repeated).withColumn("refund_at", refund_at).drop("_order")


def next_at(undoing: str, *keys: str) -> Column:
    """Moment of the first `undoing` event of the same key at or after the row, in microseconds.

    The window runs backwards in time so that its frame only grows: one pass over a sorted key,
    however long, where a frame that reaches forwards would look at every pair.
    """
    is_undoing = F.col("action") == undoing
    backwards = Window.partitionBy(*keys).orderBy(F.col("at").desc(), is_undoing.desc(), F.col("event_id").desc())
    so_far = backwards.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    return F.last(F.when(is_undoing, F.col("at")), ignorenulls=True).over(so_far)
