"""Actions that nobody knows: which names came on a day, and which of them no earlier day had."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from pyspark.sql import Window
from pyspark.sql import functions as F

from jobs.runtime import store
from jobs.runtime.history import DAYS
from jobs.runtime.manifest import Manifest
from schemas.quarantine import UNUSED

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.runtime.job import JobContext

FACT = "unknown_actions"
MOST = 50
"""Names of a day that are kept, the most frequent ones: a log that puts ids into its actions would fill the manifest."""
Names = Mapping[str, Mapping[str, int]]
"""Arrival day -> name, as scrubbed in the quarantine -> events"""


def unknown_actions(quarantine: DataFrame) -> Names:
    """The names of unknown actions with their events, by day, from committed rows."""
    day = F.substring_index(F.substring_index("file", "/", 1), "dt=", -1).alias("day")
    found = quarantine.where(F.col("reason") == UNUSED).groupBy(day, F.coalesce("value", F.lit("")).alias("name")).count()
    place = F.row_number().over(Window.partitionBy("day").orderBy(F.desc("count"), "name"))
    by_day: dict[str, dict[str, int]] = defaultdict(dict)
    for row in found.withColumn("place", place).where(F.col("place") <= MOST).orderBy("day", "place").collect():
        by_day[row["day"]][row["name"]] = row["count"]
    return by_day


def new_names(found: Names, days: Iterable[str], earlier: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Of each of `days`, the names that neither `earlier` days of the 28 before nor earlier ones of `days` had.

    A first day has none: there is nothing to be new against.
    """
    known = {day: set(names) for day, names in earlier.items()}
    new: dict[str, list[str]] = {}
    for day in sorted(days):
        first = (date.fromisoformat(day) - timedelta(days=DAYS)).isoformat()
        before = [names for other, names in known.items() if first <= other < day]
        new[day] = sorted(set(found.get(day, {})) - set().union(*before)) if before else []
        known[day] = set(found.get(day, {}))
    return new


def names_of_days(context: JobContext) -> dict[str, list[str]]:
    """The names that the published ledgers of the days before hold; those written before names were kept are left out."""
    found = {}
    for day in context.days_back(2 * DAYS):
        run = context.entry.run("ledger", day)
        if run is not None:
            facts: dict[str, Any] = Manifest.read(store.run_folder(context.warehouse, "ledger", day, run)).facts
            if FACT in facts:
                found[day] = list(facts[FACT])
    return found
