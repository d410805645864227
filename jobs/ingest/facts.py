"""What the report says of a day's delivery: rules that fired and how positions were counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MOST_APPLICATIONS = 20
"""Applications whose positions are reported, those with the most impressions first."""


def position_bases(records: DataFrame) -> dict[str, dict[str, Any]]:
    """By day and application: impressions, those logged at 0 and at 1, and the base that this looks like."""
    shown = records.where("kind = 'event' and action = 'impression' and ordinal is not null")
    counted = shown.groupBy("arrival_date", F.coalesce("application", F.lit("")).alias("application")).agg(
        F.count(F.lit(1)).alias("impressions"), F.count_if(F.col("ordinal") == 0).alias("at_0"),
        F.count_if(F.col("ordinal") == 1).alias("at_1"),
    )
    bases: dict[str, dict[str, Any]] = {}
    for row in counted.orderBy(F.desc("impressions"), "application", "arrival_date").limit(1_000).collect():
        day = bases.setdefault(str(row["arrival_date"]), {})
        if len(day) < MOST_APPLICATIONS:
            figures = {name: row[name] for name in ("impressions", "at_0", "at_1")}
            day[row["application"]] = {**figures, "looks_like": 0 if row["at_0"] else 1}
    return bases


def bots_by_rule(bots: DataFrame) -> dict[str, dict[str, int]]:
    """By day: clients flagged by each rule; one client may fall under several."""
    counted = bots.select("arrival_date", F.explode("rules").alias("rule")).groupBy("arrival_date", "rule").count()
    by_day: dict[str, dict[str, int]] = {}
    for row in sorted(counted.collect(), key=lambda r: str(r["rule"])):
        by_day.setdefault(str(row["arrival_date"]), {})[row["rule"]] = row["count"]
    return by_day


def summary(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    """The figures of the summary line, from the rows of the ledger."""
    totals: Counter[str] = Counter()
    for row in rows:
        totals[row["disposition"]] += row["records"] + row["derived"]
    named = {"accepted": "accepted", "merged": "merged", "quarantined": "quarantined", "duplicates": "duplicate",
             "bots": "bot", "too late": "too_late"}
    if totals["erased"]:
        named["erased"] = "erased"
    return {name: f"{totals[disposition]:,}" for name, disposition in named.items()}
