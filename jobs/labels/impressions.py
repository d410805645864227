"""Impressions: every item that a request showed, what shows that it was examined, and how far it came.

Examined is an item at or above the deepest click of its request (plus `labels.examined_below_click` positions),
one that the viewport saw, and one that the user acted on. Of all such events the earliest gives `examined_ts`,
so that the label as of any earlier moment can be read from the row. Everything about one request is gathered in
one row first and unfolded last: the hit lists, which are most of the data, are never shuffled item by item.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.labels.attribution import DAY
from jobs.labels.requests import BY_SHUFFLE
from jobs.labels.stages import stage_column
from mmse_model.config import StageSettings

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.sections import LabelSettings


def label(
    requests: DataFrame, events: DataFrame, attributions: DataFrame, stages: Iterable[StageSettings],
    settings: LabelSettings,
) -> DataFrame:
    """The dataset `impressions` for the given requests.

    Args:
        requests: Merged requests of the days to label.
        events: Events of those days and later ones; only viewport impressions are used.
        attributions: Attributed conversions (`attribution.attribute`).
        stages: The configured stages, weakest first.
        settings: Rules.
    """
    acted = acted_items(attributions)
    seen = seen_items(requests, events, settings)
    told = requests.join(acted_by_request(acted).hint(BY_SHUFFLE), "query_id", "left").join(
        seen_by_request(seen).hint(BY_SHUFFLE), "query_id", "left"
    )
    wide = told.select(
        "query_id", F.col("ts").alias("request_ts"), "event_date", refined(settings).alias("user_refined"),
        hit_list().alias("_hits"), page_offset().alias("_offset"), clicked_places().alias("_clicks"), "acted", "seen",
    )
    reached = wide.withColumn("_reached", reached_by_clicks(settings)).drop("_clicks")
    items = reached.withColumn("object_id", F.explode(shown_items())).where("object_id is not null")
    found = items.withColumns({
        "rank": F.array_position("_hits", F.col("object_id")).cast("int"),
        "acted": F.try_element_at("acted", F.col("object_id")), "seen": F.try_element_at("seen", F.col("object_id")),
    })
    keys = ("query_id", "object_id", "request_ts", "event_date", "user_refined")
    evidence = found.select(*keys, *evidence_columns())
    return evidence.select("*", stage_column(stages), F.col("examined_ts").isNotNull().alias("examined"))


def refined(settings: LabelSettings) -> Column:
    """Whether the user sorted or filtered the list: an item without a click was then not the ranker's choice."""
    sort = F.lower(F.coalesce("sort", F.lit("")))
    chosen = ~sort.isin("", *[name.lower() for name in settings.own_rankings])
    return chosen | (F.coalesce(F.size("filters"), F.lit(0)) > 0)


def seen_items(requests: DataFrame, events: DataFrame, settings: LabelSettings) -> DataFrame:
    """(query_id, object_id, seen_ts, position) from viewport impressions that name their request.

    Those before the request, or after its label was closed, say nothing. These are most of the events: the
    aggregates are plain minima, which need no sort.
    """
    viewport = events.where((F.col("action") == "impression") & F.col("query_id").isNotNull())
    known = requests.select("query_id", F.unix_micros("ts").alias("_at"))
    age = F.unix_micros("ts") - F.col("_at")
    joined = viewport.select("query_id", "object_id", "ts", "position").join(known.hint(BY_SHUFFLE), "query_id")
    valid = joined.where((age >= 0) & (age <= settings.order_window_days * DAY))
    return valid.groupBy("query_id", "object_id").agg(
        F.min("ts").alias("seen_ts"), F.min("position").alias("position")
    )


def acted_items(attributions: DataFrame) -> DataFrame:
    """What conversions say of each (query_id, object_id): first times, undone pairs, rules and positions.

    Every minimum is over values with a total order, (ts, rule) or (ts, position).
    """
    standing = F.col("undone_ts").isNull()
    click, cart, order = (F.col("action") == a for a in ("click", "add_to_cart", "purchase"))

    def first(where: Column, *names: str) -> Column:
        return F.min(F.when(where, F.struct("ts", *names)))

    def undone(where: Column) -> Column:
        pairs = F.sort_array(F.collect_list(F.when(where & ~standing, F.struct("ts", "undone_ts"))))
        return F.flatten(F.transform(pairs, lambda pair: F.array(pair["ts"], pair["undone_ts"])))

    return attributions.where(F.col("query_id").isNotNull()).groupBy("query_id", "object_id").agg(
        F.min(F.struct("ts", "rule")).alias("first"),
        first(click, "rule").alias("clicked"),
        first(cart & standing, "rule").alias("carted"),
        first(order & standing, "rule").alias("ordered"),
        undone(cart).alias("undone_carts"),
        undone(order).alias("undone_orders"),
        F.min("position").alias("position"),
        first(click & F.col("position").isNotNull(), "position").alias("placed_click"),
    )


def acted_by_request(acted: DataFrame) -> DataFrame:
    """One row per query_id: `acted` (object_id -> its evidence) and `clicks` (the clicked items)."""
    fields = [name for name in acted.columns if name != "query_id"]
    click = F.struct("object_id", F.col("clicked.ts").alias("ts"), "placed_click")
    return acted.groupBy("query_id").agg(
        F.map_from_entries(F.collect_list(F.struct("object_id", F.struct(*fields)))).alias("acted"),
        F.collect_list(F.when(F.col("clicked").isNotNull(), click)).alias("clicks"),
    )


def seen_by_request(seen: DataFrame) -> DataFrame:
    """One row per query_id: `seen` (object_id -> when and where the viewport first saw it)."""
    entry = F.struct("object_id", F.struct("seen_ts", "position"))
    return seen.groupBy("query_id").agg(F.map_from_entries(F.collect_list(entry)).alias("seen"))


def page_offset() -> Column:
    """How many positions the pages before this one hold."""
    return F.coalesce((F.col("page") - 1) * F.coalesce("page_size", F.size("hit_ids")), F.lit(0))


def hit_list() -> Column:
    """The hit list, empty where there is none."""
    return F.coalesce("hit_ids", F.array().cast("array<string>"))


def clicked_places() -> Column:
    """Array of (position, ts) of the clicks: the list knows a position best, else the click that names one."""

    def place(click: Column) -> Column:
        rank = F.array_position(hit_list(), click["object_id"])
        listed = F.struct((rank + page_offset()).cast("int").alias("position"), click["ts"].alias("ts"))
        named = F.struct(click["placed_click"]["position"].alias("position"), click["placed_click"]["ts"].alias("ts"))
        return F.when(rank > 0, listed).otherwise(named)

    return F.transform("clicks", place)


def reached_by_clicks(settings: LabelSettings) -> Column:
    """For each place of the hit list the first click that far down, or deep enough: array of timestamps, null without clicks.

    Once for a request: a function of a function for every item would keep Spark from compiling what follows.
    """
    def first_below(rank: Column) -> Column:
        highest = rank + F.col("_offset") - settings.examined_below_click
        deep = F.filter("_clicks", lambda click: click["position"] >= highest)
        return F.array_min(F.transform(deep, lambda click: click["ts"]))

    ranks = F.sequence(F.lit(1), F.size("_hits"))
    return F.when((F.size("_clicks") > 0) & (F.size("_hits") > 0), F.transform(ranks, first_below))


def shown_items() -> Column:
    """Object ids of a request, each once: the hit list, then items known only from events."""
    nothing = F.array().cast("array<string>")
    known = F.concat(*[F.coalesce(F.map_keys(name), nothing) for name in ("acted", "seen")])
    return F.array_union("_hits", known)


def evidence_columns() -> list[Column]:
    """Position, examination and the evidence of each stage, for one item of a request."""
    listed = F.col("rank") > 0
    position = F.when(listed, F.col("rank") + F.col("_offset")).otherwise(F.least("acted.position", "seen.position"))
    by_click = F.when(listed, F.get("_reached", F.col("rank") - 1))
    none = F.array().cast("array<timestamp>")
    return [
        position.alias("position"),
        F.col("seen").isNull().alias("implied"),
        F.coalesce(*[F.col(f"acted.{stage}.rule") for stage in ("ordered", "carted", "clicked", "first")]).alias(
            "attribution_rule"
        ),
        F.least("seen.seen_ts", "acted.first.ts", by_click).alias("examined_ts"),
        *[F.col(f"acted.{stage}.ts").alias(f"{stage}_ts") for stage in ("clicked", "carted", "ordered")],
        *[F.coalesce(f"acted.{pairs}", none).alias(pairs) for pairs in ("undone_carts", "undone_orders")],
    ]
