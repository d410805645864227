"""The last word on every record: accepted, or which rule spoke against it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.ingest.times import utc_date
from schemas import QUARANTINE

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def firsts(records: DataFrame) -> DataFrame:
    """Events that are the first of their key and arrival day."""
    return records.where((F.col("kind") == "event") & F.col("disposition").isNull())


def documents(records: DataFrame) -> DataFrame:
    """Query documents to merge: all that are sound, exact copies left out."""
    return records.where((F.col("kind") == "query") & (F.col("disposition").isNull() | (F.col("disposition") == "merged")))


def decided(records: DataFrame) -> DataFrame:
    """Records whose disposition was clear before bots and earlier days were looked at."""
    return records.where(F.col("disposition").isNotNull())


def judge_requests(requests: DataFrame, repeats: DataFrame | None = None) -> DataFrame:
    """Merged requests with `bot_rule` -> their disposition and reason; `repeats` are those that say nothing new."""
    if repeats is None:
        marked = requests.withColumn("repeated", F.lit(None).cast("boolean"))
    else:
        marked = requests.join(repeats.withColumn("repeated", F.lit(True)), ["query_id", "arrival_date"], "left")
    return marked.withColumns({
        "kind": F.lit("query"), "event_date": utc_date(F.col("ts")),
        "disposition": F.coalesce(
            "disposition", F.when(F.col("repeated"), "duplicate"), F.when(F.col("bot_rule").isNotNull(), "bot"), F.lit("accepted")
        ),
        "reason": F.coalesce("reason", F.when(F.col("repeated"), "same_request_of_earlier_day"), "bot_rule", F.lit("")),
    })


def judge_events(events: DataFrame, repeats: DataFrame) -> DataFrame:
    """Firsts of their day with `bot_rule` -> their disposition: duplicates of earlier days, then bots, the rest accepted."""
    marked = events.join(repeats.withColumn("repeated", F.lit(True)), ["key", "arrival_date"], "left")
    by_key = F.when(F.col("event_id").isNotNull(), "event_id_of_earlier_day").otherwise("natural_key_of_earlier_day")
    return marked.withColumns({
        "disposition": F.when(F.col("repeated"), "duplicate").when(F.col("bot_rule").isNotNull(), "bot").otherwise("accepted"),
        "reason": F.coalesce(F.when(F.col("repeated"), by_key), "bot_rule", F.lit("")),
        "event_id": F.col("key"), "event_date": utc_date(F.col("ts")),
    })


def accepted(judged: DataFrame) -> DataFrame:
    """The accepted rows."""
    return judged.where("disposition = 'accepted'")


def quarantined(records: DataFrame, requests: DataFrame) -> DataFrame:
    """Refused records, and the first documents of requests that no document completed."""
    columns = ["arrival_date", *QUARANTINE.column_names]
    refused = records.where("disposition = 'quarantined'").select(columns)
    return refused.unionByName(requests.where("disposition = 'quarantined'").select(columns))
