"""What the manifests say of labelled days: the funnel, clicks by position, attributions by rule."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from jobs.labels.conversions import CONVERSIONS, conversion_events
from mmse_model.config import StageSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

POSITIONS = 48
"""Positions with a click rate of their own; four pages of twelve."""
BINS = 24
"""Positions whose clicks are compared with earlier days, from the last on together."""

Described = dict[str, tuple[Mapping[str, Any], Mapping[str, float]]]
"""day -> (facts, metrics)"""


def describe_impressions(days: Iterable[str], stages: Iterable[StageSettings]) -> Callable[[DataFrame], Described]:
    """By day: `funnel` (impressions by furthest stage), `clicks_by_position` ([position, impressions, clicks]).

    The metrics count what may not be: an impression in a stage that asks for examination alone, which was not
    examined, or whose list the user sorted or filtered.
    """
    configured = tuple(stages)
    examined_only = {stage.name for stage in configured if stage.evidence == "examined"}
    names = {None, *(stage.name for stage in configured)}

    def describe(impressions: DataFrame) -> Described:
        place = F.when(F.col("position") <= POSITIONS, F.col("position")).alias("place")
        counted = impressions.groupBy(F.col("event_date").cast("string").alias("day"), "stage", place).agg(
            F.count("*").alias("shown"), F.count("clicked_ts").alias("clicks"),
            F.count_if(~F.col("examined")).alias("not_examined"), F.count_if("user_refined").alias("refined"),
        )
        by_day: dict[str, list[Row]] = {day: [] for day in days}
        for row in counted.collect():  # at most stages x (POSITIONS + 1) rows a day
            by_day[row["day"]].append(row)
        return {day: (_funnel(rows), _wrong(rows, examined_only, names) | clicks_at(rows)) for day, rows in by_day.items()}

    return describe


def _funnel(rows: list[Row]) -> dict[str, Any]:
    funnel: Counter[str] = Counter()
    places: Counter[tuple[int, str]] = Counter()
    for row in rows:
        funnel[row["stage"] or "not examined"] += row["shown"]
        if row["place"] is not None:
            places.update({(row["place"], "shown"): row["shown"], (row["place"], "clicks"): row["clicks"]})
    return {"funnel": dict(sorted(funnel.items())), "clicks_by_position": _by_position(places)}


def _wrong(rows: list[Row], examined_only: set[str], names: set[str | None]) -> dict[str, float]:
    unclicked = [row for row in rows if row["stage"] in examined_only]
    return {
        "unclicked_not_examined": float(sum(row["not_examined"] for row in unclicked)),
        "unclicked_of_refined": float(sum(row["refined"] for row in unclicked)),
        "unknown_stages": float(sum(row["shown"] for row in rows if row["stage"] not in names)),
    }


def clicks_at(rows: Iterable[Mapping[str, Any] | Row]) -> dict[str, float]:
    """`clicks_at:00` is the clicked items at the first position, `clicks_at:23` those from the 24th to POSITIONS together."""
    counts = [0] * BINS
    for row in rows:
        if row["place"] is not None:
            counts[min(row["place"], BINS) - 1] += row["clicks"]
    return {f"clicks_at:{n:02d}": float(count) for n, count in enumerate(counts)}


def _by_position(counts: Counter[tuple[int, str]]) -> list[list[int]]:
    positions = sorted({position for position, _ in counts})
    return [[p, counts[p, "shown"], counts[p, "clicks"]] for p in positions]


def describe_attributions(totals: Mapping[str, Counter[str]]) -> Callable[[DataFrame], Described]:
    """Counts attributions by action and rule, and compares them with `totals` (`conversions_by_day`)."""

    def describe(attributions: DataFrame) -> Described:
        by_rule: dict[str, dict[str, Counter[str]]] = {day: defaultdict(Counter) for day in totals}
        grouped = attributions.groupBy(F.col("event_date").cast("string").alias("day"), "action", "rule").count()
        for row in grouped.collect():  # at most actions x rules rows a day
            by_rule[row["day"]][row["action"]][row["rule"]] += row["count"]
        return {day: _accounted(by_rule[day], totals[day]) for day in totals}

    return describe


def _accounted(by_rule: Mapping[str, Counter[str]], total: Counter[str]) -> tuple[dict[str, Any], dict[str, float]]:
    found = {action: sum(rules.values()) for action, rules in by_rule.items()}
    gap = sum(abs(total[action] - found.get(action, 0)) for action in CONVERSIONS)
    rules = {action: dict(sorted(counts.items())) for action, counts in sorted(by_rule.items())}
    return {"rules": rules, "events": dict(total)}, {"conversions_unaccounted": float(gap)}


def conversions_by_day(events: DataFrame) -> dict[str, Counter[str]]:
    """day -> action -> distinct clicks, carts and purchases that happened that day, straight from the events."""
    counted = conversion_events(events).where(F.col("action").isin(*CONVERSIONS)).groupBy(
        F.col("event_date").cast("string").alias("day"), "action"
    ).count()
    totals: dict[str, Counter[str]] = defaultdict(Counter)
    for row in counted.collect():  # three rows a day
        totals[row["day"]][row["action"]] += row["count"]
    return totals
