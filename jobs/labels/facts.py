"""What the manifests say of labelled days: the funnel, clicks by position, attributions by rule."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from jobs.labels.conversions import CONVERSIONS, conversion_events
from jobs.runtime.tally import Cell, Described, Tally
from mmse_model.config import StageSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

POSITIONS = 48
"""Positions with a click rate of their own; four pages of twelve."""
BINS = 24
"""Positions whose clicks are compared with earlier days, from the last on together."""

CLICKED_AMONG = 1_000
"""Impressions of a day among which no click is no chance. Of a day whose own log was blocked, and never came, only searches are
known that arrived late: where they are few and without a click, they must not stop each night that labels the day again."""

IMPRESSION_COUNTS = {
    "shown": "count(*)", "clicks": "count(clicked_ts)", "not_examined": "count_if(not examined)",
    "refined": "count_if(user_refined)",
}


def describe_impressions(days: Iterable[str], stages: Iterable[StageSettings]) -> Tally:
    """By day: `funnel` (impressions by furthest stage), `clicks_by_position` ([position, impressions, clicks]).

    The metrics count what may not be: an impression in a stage that asks for examination alone, which was not
    examined, or whose list the user sorted or filtered.
    """
    configured, wanted = tuple(stages), tuple(days)
    examined_only = {stage.name for stage in configured if stage.evidence == "examined"}
    names = {None, *(stage.name for stage in configured)}

    def describe(cells: Mapping[str, Sequence[Cell]]) -> Described:
        by_day = {day: cells.get(day, ()) for day in wanted}
        return {day: (_funnel(rows), _wrong(rows, examined_only, names) | clicks_at(rows)) for day, rows in by_day.items()}

    place = f"case when position <= {POSITIONS} then position end"
    return Tally({"stage": "stage", "place": place}, IMPRESSION_COUNTS, describe)


def _funnel(rows: Sequence[Cell]) -> dict[str, Any]:
    funnel: Counter[str] = Counter()
    places: Counter[tuple[int, str]] = Counter()
    for row in rows:
        funnel[row["stage"] or "not examined"] += row["shown"]
        if row["place"] is not None:
            places.update({(row["place"], "shown"): row["shown"], (row["place"], "clicks"): row["clicks"]})
    return {"funnel": dict(sorted(funnel.items())), "clicks_by_position": _by_position(places)}


def _wrong(rows: Sequence[Cell], examined_only: set[str], names: set[str | None]) -> dict[str, float]:
    unclicked = [row for row in rows if row["stage"] in examined_only]
    return {
        "unclicked_not_examined": float(sum(row["not_examined"] for row in unclicked)),
        "unclicked_of_refined": float(sum(row["refined"] for row in unclicked)),
        "unknown_stages": float(sum(row["shown"] for row in rows if row["stage"] not in names)),
        "nothing_clicked": float(sum(row["shown"] for row in rows) >= CLICKED_AMONG and not any(row["clicks"] for row in rows)),
    }


def clicks_at(rows: Iterable[Cell]) -> dict[str, float]:
    """`clicks_at:00` is the clicked items at the first position, `clicks_at:23` those from the 24th to POSITIONS together."""
    counts = [0] * BINS
    for row in rows:
        if row["place"] is not None:
            counts[min(row["place"], BINS) - 1] += row["clicks"]
    return {f"clicks_at:{n:02d}": float(count) for n, count in enumerate(counts)}


def _by_position(counts: Counter[tuple[int, str]]) -> list[list[int]]:
    positions = sorted({position for position, _ in counts})
    return [[p, counts[p, "shown"], counts[p, "clicks"]] for p in positions]


def describe_attributions(totals: Mapping[str, Counter[str]]) -> Tally:
    """Counts attributions by action and rule, and compares them with `totals` (`conversions_by_day`)."""

    def describe(cells: Mapping[str, Sequence[Cell]]) -> Described:
        by_rule: dict[str, dict[str, Counter[str]]] = {day: defaultdict(Counter) for day in totals}
        for day in totals:
            for cell in cells.get(day, ()):  # at most actions x rules
                by_rule[day][cell["action"]][cell["rule"]] += cell["found"]
        return {day: _accounted(by_rule[day], totals[day]) for day in totals}

    return Tally({"action": "action", "rule": "rule"}, {"found": "count(*)"}, describe)


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
