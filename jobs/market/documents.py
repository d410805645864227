"""Requests, events and items as UBI-shaped JSON lines. Fields that are null are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.market.timeline import Timeline, iso

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.market.config import MarketSettings

APPLICATION = "shop"


def object_id(item_id: Column) -> Column:
    """The item's name outside the simulator: made of its number, or its own where the catalogue is a real one (string)."""
    named = F.concat(F.lit("p"), F.lpad(item_id.cast("string"), 10, "0"))
    return F.when(F.typeof(item_id) == "string", item_id.cast("string")).otherwise(named)


def query_document(settings: MarketSettings) -> Column:
    """JSON of one request, from the columns of `ranker.pages`; `ts` may be null where a fault took it.

    The columns `by_client` and `by_server` say which of the two wrote it: the client knows
    client and session, the server knows the hits.
    """
    client, server = F.col("by_client"), F.col("by_server")
    filters = F.when(F.col("filter_brand").isNotNull(), F.struct(F.col("filter_brand").alias("brand")))
    attributes = F.struct(
        "page", F.lit(settings.page_size).alias("page_size"), F.lit("en").alias("locale"),
        F.when(client, F.col("session_id")).alias("session_id"), F.when(client, F.col("user_id")).alias("user_id"),
        F.when(client, F.col("user_agent")).alias("user_agent"),
        F.when(F.col("sort") != "relevance", F.col("sort")).alias("sort"), filters.alias("filters"),
    )
    hits = F.transform("hits", lambda hit: object_id(hit["item_id"]))
    return F.to_json(F.struct(
        F.lit(APPLICATION).alias("application"), "query_id", F.when(client, F.col("client_id")).alias("client_id"),
        F.col("query_text").alias("user_query"), iso(F.col("ts")).alias("timestamp"),
        F.when(server, hits).alias("query_response_hit_ids"), attributes.alias("query_attributes"),
    ))


def event_document() -> Column:
    """JSON of one event, from the columns of `behaviour.events`; legacy clients send no event id."""
    item = F.struct(F.col("object_id"), F.lit("sku").alias("object_id_field"))
    position = F.when(F.col("position").isNotNull(), F.struct(F.col("position").alias("ordinal")))
    attributes = F.struct(
        F.when(~F.col("legacy"), F.col("event_id")).alias("event_id"), item.alias("object"), position.alias("position"),
        "user_agent", "quantity", F.col("paid").alias("price"), "order_id",
    )
    return F.to_json(F.struct(
        F.lit(APPLICATION).alias("application"), F.col("action").alias("action_name"), "query_id", "session_id",
        "client_id", "user_id", iso(F.col("sent_ts")).alias("timestamp"), F.lit("INFO").alias("message_type"),
        attributes.alias("event_attributes"),
    ))


def catalogue_lines(items: DataFrame, timeline: Timeline) -> DataFrame:
    """The full catalogue of every day as `dt`, `ts`, `key`, `line`: what was listed by the end of that day."""
    days = items.withColumn("day", F.explode(F.sequence(F.lit(0), F.lit(timeline.days - 1))))
    end = F.lit(timeline.start) + (F.col("day") + 1).cast("bigint") * timeline.DAY
    listed = days.withColumn("end", end).where(F.col("listed_from") < F.col("end"))
    gone = F.coalesce(F.col("listed_to") < F.col("end"), F.lit(False))
    name = object_id(F.col("item_id"))
    line = F.to_json(F.struct(
        name.alias("object_id"), F.lit("en").alias("locale"), "title", "brand", "category_path", "shop", "price",
        (~F.col("sold_out") & ~gone).alias("available"), iso(F.col("listed_from")).alias("valid_from"),
        iso(F.when(gone, F.col("listed_to"))).alias("valid_to"),
    ))
    dt = F.get(F.lit(timeline.names), F.col("day"))
    return listed.select(dt.alias("dt"), F.col("end").alias("ts"), name.alias("key"), line.alias("line"))
