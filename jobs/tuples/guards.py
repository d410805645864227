"""What must hold between the splits, measured on the committed rows; `schemas/tuples.py` blocks what does not hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.runtime.logs import log
from jobs.tuples.splits import TRAIN, VALIDATION

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

EXAMPLES = 3


def guard(requests: DataFrame, gap_minutes: int) -> Callable[[DataFrame], Mapping[str, float]]:
    """A measure of committed tuples; `requests` (query_id, session) tells their sessions."""

    def measure(tuples: DataFrame) -> Mapping[str, float]:
        broken = {
            "train_events_after_cut": events_after_cut(tuples, gap_minutes),
            "sessions_on_both_sides": sessions_on_both_sides(tuples, requests),
        }
        return {rule: float(count(rule, rows)) for rule, rows in broken.items()}

    return measure


def events_after_cut(tuples: DataFrame, gap_minutes: int) -> DataFrame:
    """Training rows whose label rests on an event at or after the first validation request, less the gap."""
    first = tuples.where(F.col("split") == VALIDATION).agg(F.unix_micros(F.min("ts")).alias("first")).first()["first"]
    train = tuples.where(F.col("split") == TRAIN)
    if first is None:
        return train.limit(0).select("query_id")
    gap = timedelta(minutes=gap_minutes) // timedelta(microseconds=1)
    return train.where(F.unix_micros("last_event_ts") >= first - gap).select("query_id")


def sessions_on_both_sides(tuples: DataFrame, requests: DataFrame) -> DataFrame:
    """Sessions with tuples in more than one split."""
    rows = tuples.select("query_id", "split").join(requests.select("query_id", "session"), "query_id")
    sides = rows.groupBy("session").agg(F.min("split").alias("_a"), F.max("split").alias("_b"))
    return sides.where("_a != _b").select("session")


def count(rule: str, rows: DataFrame) -> int:
    """Number of rows that break a rule; a few of them go to the log by name."""
    broken = rows.count()
    if broken:
        examples = [row[0] for row in rows.orderBy(rows.columns[0]).limit(EXAMPLES).collect()]
        log("a split is broken", rule=rule, count=broken, **{f"{rows.columns[0]}s": examples})
    return broken


