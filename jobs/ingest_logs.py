"""Raw search logs of an arrival day become requests and events; every raw record ends in exactly one disposition.

    raw lines -> parse -> screen -> dedupe -> bots -> requests, events
                   └────────┴─────────┴────────┴───> quarantine, ledger

With `ingest.catch_up_days` the earlier days that were never published are ingested in the
same pass; the outcome is the same as day by day.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from jobs.adapters import adapter, layouts_of
from jobs.ingest.actions import FACT, names_of_days, new_names, unknown_actions
from jobs.ingest.bots import find_bots, with_bot_rule
from jobs.ingest.dedupe import repeated_events
from jobs.ingest.deliveries import Delivery, check_rows, find_deliveries, unreadable_file
from jobs.ingest.facts import bots_by_rule, position_bases, summary
from jobs.ingest.judge import accepted, decided, documents, firsts, judge_events, judge_requests, quarantined
from jobs.ingest.ledger import conservation, ledger_frame, ledger_rows
from jobs.ingest.lines import count_lines, read_lines
from jobs.ingest.merge import merge_documents
from jobs.ingest.orphans import orphan_share
from jobs.ingest.privacy import hide_keys, load_user_keys
from jobs.ingest.redelivery import content_key, repeated_requests
from jobs.ingest.scratch import files_named_in_errors, keep, scratch_folder
from jobs.ingest.staging import stage
from jobs.ingest.suppression import read_suppressions
from jobs.ingest.text import with_normal_text
from jobs.runtime.job import Job, JobContext
from jobs.runtime.main import main

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.runtime.manifest import Manifest

OUTPUTS = ("requests", "events", "quarantine", "ledger")


def run(context: JobContext) -> None:
    """Finds the deliveries, stages their records once, and decides on each."""
    settings = context.config.ingest
    keys = load_user_keys(settings, context.warehouse)
    raw_root = Path(context.config.paths.raw).absolute()
    found = find_deliveries(raw_root, context.dt, unpublished_days(context), layouts_of(settings), context.allow_empty)
    files = [file for delivery in found for file in delivery.files]
    empty = unreadable_file([file for file in files if file.bytes == 0])  # Spark reads an empty .gz as no rows
    if empty:
        raise empty
    hide_keys(context.spark)
    with files_named_in_errors(files), scratch_folder(context) as scratch:
        counted = count_lines(context.spark, files)
        check_rows(found, counted)
        context.rows_in += sum(counted.values())
        refused = read_suppressions(context, keys)
        staged = stage(read_lines(context.spark, files), settings, keys[settings.key_id], refused)
        records = keep(staged, scratch / "records", ["kind"])
        publish(context, found, counted, records, scratch)


def publish(context: JobContext, found: list[Delivery], counted: dict[str, int], records: DataFrame, scratch: Path) -> None:
    """Staged records -> requests, events, quarantine and ledger of every arrival day."""
    days = [delivery.day for delivery in found]
    merged = keep(merge_documents(documents(records)), scratch / "requests")
    bots = keep(find_bots(merged.where("disposition is null"), firsts(records), context.config.ingest.bots), scratch / "bots")
    first_events = with_bot_rule(firsts(records), bots)
    earlier = published(context, "events", days, F.col("event_id"))
    repeats = keep(repeated_events(first_events, earlier, reach(context)), scratch / "repeats")

    requests = judge_requests(*redelivered(context, days, with_bot_rule(merged, bots), scratch))
    events = judge_events(first_events, repeats)
    written = {
        "requests": context.write_days("requests", with_normal_text(accepted(requests)), days, "arrival_date"),
        "events": context.write_days("events", accepted(events), days, "arrival_date"),
        "quarantine": context.write_days("quarantine", quarantined(records, requests), days, "arrival_date"),
    }
    facts = {"bots": bots_by_rule(bots), "positions": position_bases(records)}
    write_ledger(context, found, counted, written, [decided(records), requests, events], facts)


def unpublished_days(context: JobContext) -> list[str]:
    """The earlier days within `ingest.catch_up_days` that lack a snapshot in the pinned entry."""
    earlier = context.days_back(context.config.ingest.catch_up_days + 1)[:-1]
    return [day for day in earlier if any(context.entry.run(dataset, day) is None for dataset in OUTPUTS)]


def reach(context: JobContext) -> int:
    """Arrival days over which two copies of an event can lie apart: one more than `late_days`, for clocks ahead."""
    return context.config.ingest.late_days + 1


def redelivered(
    context: JobContext, days: list[str], requests: DataFrame, scratch: Path
) -> tuple[DataFrame, DataFrame | None]:
    """The requests, and which of them say nothing new; None for formats that do not deliver whole days again."""
    if not getattr(adapter(context.config.ingest.adapter), "REDELIVERS", False):
        return requests, None
    earlier = published(context, "requests", days, content_key())
    return requests, keep(repeated_requests(requests, earlier, reach(context)), scratch / "repeated_requests")


def published(context: JobContext, dataset: str, days: list[str], key: Column) -> DataFrame:
    """(key, arrival_date) of the accepted rows of the published days that lie within reach before this run's days."""
    together = context.spark.createDataFrame([], "key string, arrival_date date")
    span = (context.date - date.fromisoformat(min(days))).days + 1 + reach(context)
    for day in context.days_back(span):
        if day not in days and context.has(dataset, day):
            arrived = F.lit(day).cast("date").alias("arrival_date")
            together = together.unionByName(context.read(dataset, day).select(key.alias("key"), arrived))
    return together


def write_ledger(
    context: JobContext, found: list[Delivery], counted: dict[str, int], written: dict[str, dict[str, Manifest]],
    judged: list[DataFrame], facts: dict[str, dict[str, Any]],
) -> None:
    """Adds up the dispositions, writes them, and holds what was written against the files of the other outputs."""
    rows, tolerances = ledger_rows(judged, adapter(context.config.ingest.adapter).TOLERANCES)
    rows_by_day = {dataset: {day: m.rows for day, m in manifests.items()} for dataset, manifests in written.items()}
    of_day = {**facts, "tolerances": tolerances}
    days = [delivery.day for delivery in found]
    unknown = unknown_actions(context.written("quarantine", days))
    new = new_names(unknown, days, names_of_days(context))
    orphans = orphan_shares(context, days)
    figures = {day: {"new_actions": float(len(new[day])), "orphan_event_share": orphans[day]} for day in days}
    of_day[FACT] = unknown
    by_day = {
        delivery.day: {
            "files": len(delivery.files), "producer_list": bool(delivery.promised_rows),
            **{name: days.get(delivery.day, {}) for name, days in of_day.items()},
        }
        for delivery in found
    }
    context.write_days(
        "ledger", ledger_frame(context.spark, rows), days, "arrival_date", facts=by_day,
        describe=lambda ledger: with_metrics(conservation(ledger, counted, rows_by_day), figures),
    )
    context.notes.update(summary(rows))


def orphan_shares(context: JobContext, days: list[str]) -> dict[str, float]:
    """Of every day written, the share of its events whose search is in no request of the run or within reach before it."""
    earlier = published(context, "requests", days, F.col("query_id"))
    known = context.written("requests", days).select("query_id").union(earlier.select("key"))
    return {day: orphan_share(context.written("events", [day]), known) for day in days}


def with_metrics(
    described: dict[str, tuple[dict[str, int], dict[str, float]]], figures: dict[str, dict[str, float]]
) -> dict[str, tuple[dict[str, int], dict[str, float]]]:
    """What is said of each day, with that day's `figures` among the metrics."""
    return {day: (facts, {**metrics, **figures[day]}) for day, (facts, metrics) in described.items()}


JOB = Job(
    "ingest_logs", reads=("events", "requests", "suppressions"), writes=OUTPUTS, run=run,
    doc="Raw logs of an arrival day -> requests, events, quarantine and the ledger of every record.",
)

if __name__ == "__main__":
    sys.exit(main(JOB))
