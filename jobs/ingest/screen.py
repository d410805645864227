"""What every record must satisfy, whatever its format: required fields, ranges, lengths, sane times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.adapters import refuse
from jobs.ingest.times import DAY_US, utc_date
from schemas.events import ACTIONS
from schemas.quarantine import UNUSED

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.sections import IngestSettings

LONGEST_ID = 256
LISTS = {"hit_ids": (10_000, LONGEST_ID), "filters": (1_000, 1_000)}
"""Most elements of a list, and most characters of one."""
IDS = ("query_id", "session_id", "client_id", "user_id", "event_id", "object_id", "order_id", "locale", "sort")
AT_LEAST = {"page": 1, "page_size": 1, "position": 1, "quantity": 1}
LARGEST = 2**31 - 1


def screen(records: DataFrame, settings: IngestSettings) -> DataFrame:
    """Adds `disposition` (merged for bulk action and header lines, unused, quarantined, too_late or null) and why.

    That is `reason`, and for the refused the `field` and its `value`.
    """
    refusal = F.coalesce(F.col("refusal"), *_refusals(settings))
    late = F.datediff("arrival_date", utc_date(F.col("ts"))) > settings.late_days
    judged = records.withColumn("refusal", F.when(~F.col("kind").isin("action", "header", "other"), refusal))
    disposition = (
        F.when(F.col("refusal").isNotNull(), "quarantined")
        .when(F.col("kind").isin("action", "header"), "merged").when(F.col("kind") == "other", "unused").when(late, "too_late")
    )
    reason = (
        F.when(F.col("refusal").isNotNull(), F.col("refusal.reason"))
        .when(F.col("kind") == "action", "bulk_action").when(F.col("kind") == "header", "header_line")
        .when(F.col("kind") == "other", "no_label_needs_it")
        .when(late, "late_days")
    )
    return judged.withColumns({
        "disposition": disposition, "reason": reason, "field": F.col("refusal.field"), "value": F.col("refusal.value"),
    }).drop("refusal")


def _refusals(settings: IngestSettings) -> list[Column]:
    """First the action, which tells whether the rest matters; then what is missing, too long, out of range, ahead of time."""
    nothing = F.lit(None).cast("string")
    event, query = F.col("kind") == "event", F.col("kind") == "query"
    missing = [(event, "action"), (event, "object_id"), (event, "ts"), (query, "query_id")]
    unknown = F.col("action").isNotNull() & ~F.col("action").isin(*ACTIONS)
    latest = (F.unix_date("arrival_date") + 1) * F.lit(DAY_US) + F.lit(settings.future_minutes * 60_000_000)
    out_of_range = [
        refuse((F.col(name) < least) | (F.col(name) > LARGEST), "out_of_range", name, F.col(name).cast("string"))
        for name, least in AT_LEAST.items()
    ]
    return [
        refuse(F.col("kind") == "unknown", "unknown_kind", nothing, nothing),
        refuse(event & unknown, UNUSED, "action", F.col("action")),
        *[refuse(kind & F.col(name).isNull(), f"missing_{_name(name)}", name, nothing) for kind, name in missing],
        *[refuse(F.length(name) > LONGEST_ID, "too_long", name, F.length(name).cast("string")) for name in IDS],
        *[refused for name, (most, longest) in LISTS.items() for refused in _too_much(name, most, longest)],
        *out_of_range,
        refuse(F.col("price") < 0, "out_of_range", "price", F.col("price").cast("string")),
        refuse(F.unix_micros("ts") > latest, "in_the_future", "ts", F.unix_seconds("ts").cast("string")),
    ]


def _too_much(name: str, most: int, longest: int) -> list[Column]:
    lengths = F.array_max(F.transform(name, lambda element: F.length(element)))
    return [
        refuse(F.size(name) > most, "too_many", name, F.size(name).cast("string")),
        refuse(lengths > longest, "too_long", name, lengths.cast("string")),
    ]


def _name(column: str) -> str:
    return "timestamp" if column == "ts" else column
