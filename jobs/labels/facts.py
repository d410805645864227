"""What the manifests say of labelled days: the funnel, clicks by position, attributions by rule."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from jobs.labels.conversions import CONVERSIONS, conversion_events

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

POSITIONS = 48
"""Positions with a click rate of their own; four pages of twelve."""

Described = dict[str, tuple[Mapping[str, Any], Mapping[str, float]]]
"""day -> (facts, metrics)"""


def describe_impressions(impressions: DataFrame) -> Described:
    """By day: `funnel` (impressions by furthest stage), `clicks_by_position` ([position, impressions, clicks])."""
    place = F.when(F.col("position") <= POSITIONS, F.col("position")).alias("place")
    counted = impressions.groupBy(F.col("event_date").cast("string").alias("day"), "stage", place).agg(
        F.count("*").alias("shown"), F.count("clicked_ts").alias("clicks")
    )
    funnels: dict[str, Counter[str]] = defaultdict(Counter)
    places: dict[str, Counter[tuple[int, str]]] = defaultdict(Counter)
    for row in counted.collect():  # at most stages x (POSITIONS + 1) rows a day
        funnels[row["day"]][row["stage"] or "not examined"] += row["shown"]
        if row["place"] is not None:
            places[row["day"]].update({(row["place"], "shown"): row["shown"], (row["place"], "clicks"): row["clicks"]})
    return {
        day: ({"funnel": dict(sorted(funnel.items())), "clicks_by_position": _by_position(places[day])}, {})
        for day, funnel in funnels.items()
    }


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
