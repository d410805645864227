"""The synthetic shop's log as raw UBI 1.3 documents: gzipped JSON lines below `dt=DAY/`, by arrival day."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from benchmarks.shop_log import ShopLog, events_of, requests_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"


def write_raw(spark: SparkSession, log: ShopLog, raw: Path) -> list[str]:
    """Writes the log; returns its arrival days. A missing value is a missing field, as clients send it."""
    parts = {"queries": query_documents(requests_of(spark, log)), "events": event_documents(events_of(spark, log))}
    for name, documents in parts.items():
        text = documents.select(F.to_json("document").alias("value"), F.col("arrived").alias("dt"))
        text.write.partitionBy("dt").option("compression", "gzip").text(str(raw / f"_{name}"))
        for number, path in enumerate(sorted((raw / f"_{name}").glob("dt=*/*.gz"))):
            folder = raw / path.parent.name
            folder.mkdir(exist_ok=True)
            path.rename(folder / f"{name}-{number:05d}.json.gz")
    return sorted(path.name.removeprefix("dt=") for path in raw.glob("dt=*"))


def query_documents(requests: DataFrame) -> DataFrame:
    """`document` and `arrived` of each request."""
    return requests.select("arrived", F.struct(
        F.lit("shop").alias("application"), "query_id", "client_id", "session_id",
        F.col("query_text").alias("user_query"), iso("ts"), F.col("hit_ids").alias("query_response_hit_ids"),
        F.struct("page", "page_size", "locale", "sort", "filters", F.col("user_key").alias("user_id")).alias("query_attributes"),
        F.lit(AGENT).alias("user_agent"),
    ).alias("document"))


def event_documents(events: DataFrame) -> DataFrame:
    """`document` and `arrived` of each event."""
    attributes = F.struct(
        "event_id", "session_id", F.struct("object_id").alias("object"), "order_id", "quantity", "price",
        F.when(F.col("position").isNotNull(), F.struct(F.col("position").alias("ordinal"))).alias("position"),
    )
    return events.select("arrived", F.struct(
        F.col("action").alias("action_name"), F.lit("shop").alias("application"), "query_id", "client_id",
        F.col("user_key").alias("user_id"), iso("ts"), attributes.alias("event_attributes"), F.lit(AGENT).alias("user_agent"),
    ).alias("document"))


def iso(name: str) -> Column:
    """ISO 8601 in UTC to the millisecond."""
    return F.date_format(name, "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'").alias("timestamp")
