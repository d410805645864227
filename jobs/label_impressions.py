"""Labels impressions: which items each search showed, which were examined, and how far each came.

One run labels every event day of the window whose inputs changed: yesterday's orders belong to the searches of
the week before. First all clicks, carts and purchases find their request (`attributions`); then the committed
attributions, the hit lists and the viewport events become one row per item shown (`impressions`).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.labels.attribution import attribute
from jobs.labels.days import LabelDay, around, changed, label_days
from jobs.labels.facts import conversions_by_day, describe_attributions, describe_impressions
from jobs.labels.impressions import label
from jobs.labels.requests import merge_requests
from jobs.runtime.errors import Blocked
from jobs.runtime.job import Job
from jobs.runtime.main import main
from jobs.tuples.scratch import Scratch, scratch
from schemas import IMPRESSIONS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.job import JobContext

REQUEST_COLUMNS = (
    "query_id", "ts", "session_id", "client_id", "user_key", "page", "page_size", "filters", "sort", "hit_ids", "event_date",
)
"""What labelling needs of a request; the query itself is none of it."""
Days = Mapping[str, LabelDay]
"""Event day -> how this run would label it, ascending."""
Totals = Mapping[str, Counter[str]]
"""Event day -> action -> conversions."""


def run(context: JobContext) -> None:
    """Attributes, then labels, the days of the window whose inputs changed."""
    for dataset in ("requests", "events"):
        context.manifest(dataset)
    window = label_days(context)
    stale = changed(context, window)
    if stale:
        with scratch(context, "requests") as kept:
            label_days_again(context, window, stale, kept)
    context.notes.update(summary(context, len(window)))


def label_days_again(context: JobContext, window: list[LabelDay], stale: list[LabelDay], kept: Scratch) -> None:
    """Writes those of the `stale` days of the window that hold anything; the merged requests lie in `kept` meanwhile."""
    requests, events = read_around(context, stale)
    requests = kept.keep("merged", requests.select(*REQUEST_COLUMNS))
    searched, acted = days_of(requests), conversions_by_day(events)
    days = {day.day: day for day in stale if is_labelled(context, "attributions", day, searched | set(acted))}
    with_search = {name: day for name, day in days.items() if is_labelled(context, "impressions", day, searched)}
    if not with_search and not any(context.has("impressions", day.day) for day in window):
        days = with_search = empty_day(context)
    if days:
        write(context, days, with_search, requests, events, acted)


def read_around(context: JobContext, days: list[LabelDay]) -> tuple[DataFrame, DataFrame]:
    """Merged requests and events that can matter to `days`: they begin one order window earlier."""
    arrivals = around(days[0].day, context.config.labels.order_window_days, days[0].age)
    return merge_requests(context.read_days("requests", arrivals)), context.read_days("events", arrivals)


def days_of(requests: DataFrame) -> set[str]:
    """The event days that have requests."""
    return {row["day"] for row in requests.select(F.col("event_date").cast("string").alias("day")).distinct().collect()}


def is_labelled(context: JobContext, dataset: str, day: LabelDay, with_rows: set[str]) -> bool:
    """Whether a day is to be written: a published day that lost its rows stays in, for the audit to stop it."""
    return day.day in with_rows or context.has(dataset, day.day)


def empty_day(context: JobContext) -> dict[str, LabelDay]:
    """The date alone, where an empty day is allowed; else Blocked."""
    if not context.allow_empty:
        raise Blocked(
            f"requests dt={context.dt}: no search of the {context.config.labels.window_days} days up to then has "
            "arrived; expected at least one"
        )
    return {day.day: day for day in label_days(context) if day.day == context.dt}


def write(
    context: JobContext, days: Days, with_search: Days, requests: DataFrame, events: DataFrame, acted: Totals
) -> None:
    """Writes the attributions of `days`, then the impressions of those with a search."""
    settings = context.config.labels
    attributed = attribute(requests, events, settings).where(on_days(days))
    totals = {day: acted.get(day, Counter()) for day in days}
    context.write_days(
        "attributions", attributed, days, "event_date", facts=facts(context, days),
        describe=describe_attributions(totals),
    )
    if with_search:
        searches = requests.where(on_days(with_search))
        committed = read_attributions(context, days, since=min(with_search))
        labelled = label(searches, events, committed, context.config.stages, settings)
        context.write_days(
            "impressions", labelled.select(*IMPRESSIONS.column_names), with_search, "event_date",
            facts=facts(context, with_search), describe=describe_impressions(with_search, context.config.stages),
        )


def read_attributions(context: JobContext, days: Days, since: str) -> DataFrame:
    """Attributions from `since` on: those just written, and the published ones that still stand."""
    later = around(since, 0, (context.date - date.fromisoformat(since)).days)
    standing = context.read_days("attributions", [day for day in later if day not in days])
    return context.written("attributions", days).unionByName(standing)


def facts(context: JobContext, days: Days) -> dict[str, dict[str, object]]:
    """Maturity and fingerprint of each day."""
    return {name: day.facts(context) for name, day in days.items()}


def on_days(days: Iterable[str]) -> Column:
    """Whether a row happened on one of `days`."""
    return F.col("event_date").isin(*[F.lit(day).cast("date") for day in days])


def summary(context: JobContext, window: int) -> dict[str, object]:
    """Figures for the summary line: days written, conversions by fate, impressions by stage."""
    counts: Counter[str] = Counter()
    written = 0
    for (dataset, _), manifest in context.outputs.items():
        written += dataset == "impressions"
        counts.update({name: int(manifest.metrics.get(name, 0)) for name in ("attributed", "unattributed")})
        counts.update(manifest.facts.get("funnel", {}))
    return {"days": f"{written} of {window}", **{name: count for name, count in counts.items() if count}}


JOB = Job(
    "label_impressions",
    reads=("requests", "events", "impressions", "attributions"),
    writes=("impressions", "attributions"),
    run=run,
    doc="Attributes clicks, carts and orders to searches and labels every item shown.",
)

if __name__ == "__main__":
    sys.exit(main(JOB))
