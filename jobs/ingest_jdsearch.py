"""Loads JDsearch, a public data set that comes with its labels, in place of ingest, items and labelling.

    search lines  -> requests, impressions (stage as given), quarantine, ledger
    product lines -> items, numbering, item_quarantine, item_ledger

A side job: `mmse ingest_jdsearch`, then `mmse run --from build_vocabulary`. The data has no times, no users and no
order of the candidates: what is written in their place, and what is null, is in docs/ADAPTERS.md.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.adapters.jdsearch import CART, CLICK, PURCHASE, header_lines, labelled_candidates, read_products, read_searches
from jobs.ingest.deliveries import Delivery, RawFile, check_rows, find_deliveries
from jobs.ingest.layouts import Layout, layout_of
from jobs.ingest.lines import count_lines, read_lines
from jobs.ingest.scratch import files_named_in_errors, keep, scratch_folder
from jobs.ingest.text import with_normal_text
from jobs.ingest.times import DAY_US, utc_date
from jobs.ingest_items import earlier_numbering, refused_lines
from jobs.items.lines import judge_lines
from jobs.items.lines import ledger as item_ledger
from jobs.items.numbering import extend_numbering
from jobs.labels.facts import describe_impressions
from jobs.labels.stages import stage_column
from jobs.runtime.errors import Blocked
from jobs.runtime.job import Job, JobContext
from jobs.runtime.main import main
from schemas import IMPRESSIONS, ITEM_LEDGER, ITEMS, LEDGER, QUARANTINE, REQUESTS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TEXT = Layout("json", suffixes=(".txt", ".tsv"))
"""Lines of text; each is taken apart by its adapter."""
GIVEN = "given"
"""Attribution rule of labels that came with the data."""


def run(context: JobContext) -> None:
    """Finds the files, loads the products, then the searches."""
    delivery = find_files(context)
    with files_named_in_errors(delivery.files), scratch_folder(context) as scratch:
        counted = count_lines(context.spark, delivery.files)
        check_rows([delivery], counted)
        context.rows_in += sum(counted.values())
        load_products(context, _files(context, delivery, "products"), counted, scratch)
        load_searches(context, _files(context, delivery, "searches"), counted, scratch)


def find_files(context: JobContext) -> Delivery:
    """The files of the date. Raises Blocked where searches or products are missing."""
    settings = context.config.jdsearch
    root = Path(context.config.paths.raw).absolute()
    layouts = {pattern: (TEXT,) for pattern in (*settings.searches, *settings.products)}
    [delivery] = find_deliveries(root, context.dt, (), layouts)
    for kind in ("searches", "products"):
        if not _files(context, delivery, kind):
            names = " or ".join(getattr(settings, kind))
            folder = root / f"dt={context.dt}"
            raise Blocked(f"{folder}: no file of {kind}; expected files named {names} (.txt, .tsv, plain or .gz)")
    return delivery


def _files(context: JobContext, delivery: Delivery, kind: str) -> list[RawFile]:
    layouts = {pattern: (TEXT,) for pattern in getattr(context.config.jdsearch, kind)}
    return [file for file in delivery.files if layout_of(Path(file.path).name, layouts)]


def load_products(context: JobContext, files: list[RawFile], counted: dict[str, int], scratch: Path) -> None:
    """Products become items, numbered after those that are known."""
    lines = read_lines(context.spark, files)
    judged = keep(judge_lines(read_products(lines)), scratch / "items")
    accepted = judged.where("disposition = 'accepted'")
    numbering = keep(extend_numbering(earlier_numbering(context), accepted), scratch / "numbering")
    published = context.write("numbering", numbering)
    facts = {"delivered": context.dt, "next_dense_id": published.rows, "numbering": published.content_hash}
    items = context.write("items", accepted.join(numbering, "object_id").select(*ITEMS.column_names), facts=facts)
    refused = context.write("item_quarantine", refused_lines(judged))
    headers = header_lines(lines).select(
        "file", F.lit("header").alias("kind"), F.lit("merged").alias("disposition"), F.lit("header_line").alias("reason"),
        "records", F.lit(0).cast("bigint").alias("derived"),
    )
    rows = item_ledger(judged).select(*ITEM_LEDGER.column_names).unionByName(headers)
    context.write("item_ledger", rows, measure=lambda ledger: {"unaccounted_records": unaccounted(
        ledger, {file.name: counted.get(file.name, 0) for file in files},
        {("item", "accepted"): items.rows, ("item", "quarantined"): refused.rows},
    )})


def load_searches(context: JobContext, files: list[RawFile], counted: dict[str, int], scratch: Path) -> None:
    """Search lines become requests, their candidates impressions."""
    searches = keep(read_searches(read_lines(context.spark, files)), scratch / "searches")
    candidates = keep(labelled_candidates(searches), scratch / "candidates")
    asked = keep(with_normal_text(requests(context, searches)), scratch / "requests")
    accepted = context.write("requests", asked.select(*REQUESTS.column_names))
    shown = write_impressions(context, impressions(context, asked, candidates), candidates)
    refused = context.write("quarantine", refused_searches(searches))
    names = {file.name: counted.get(file.name, 0) for file in files}
    committed = {("query", "accepted"): accepted.rows, ("query", "quarantined"): refused.rows, ("impression", "accepted"): shown}
    context.write(
        "ledger", search_ledger(searches, candidates), metrics={
            "new_actions": 0.0, "orphan_event_share": 0.0,  # actions have no names, and each stands beside its search
        },
        measure=lambda ledger: {"unaccounted_records": unaccounted(ledger, names, committed)},
    )


def requests(context: JobContext, searches: DataFrame) -> DataFrame:
    """Accepted searches with the columns of `requests`; the moment is the beginning of a day that the hash chose."""
    days = context.config.jdsearch.days
    draw = F.pmod(F.xxhash64(F.lit(context.config.seed), F.lit("jdsearch day"), "query_id"), F.lit(days))
    day = F.unix_date(F.lit(context.dt).cast("date")) - draw
    given = {
        "query_id": F.col("query_id"), "query_text": F.col("query_text"), "ts": F.timestamp_micros(day * F.lit(DAY_US)),
        "sources": F.lit(1),
    }
    known = [given.get(c.name, F.lit(None)).cast(c.type).alias(c.name) for c in REQUESTS.columns]
    found = searches.where("disposition = 'accepted'").select(*known)
    return found.withColumn("event_date", utc_date(F.col("ts")))


def impressions(context: JobContext, asked: DataFrame, candidates: DataFrame) -> DataFrame:
    """Candidates with the columns of `impressions`: what is given is that each was shown, and how far it came."""
    label, ts = F.col("label"), F.col("ts")
    none = F.array().cast("array<timestamp>")
    evidence = candidates.join(asked.select("query_id", "ts", "event_date"), "query_id").select(
        "query_id", "object_id", ts.alias("request_ts"), F.lit(None).cast("int").alias("position"),
        F.lit(True).alias("examined"), F.lit(True).alias("implied"), F.lit(False).alias("user_refined"),
        F.when(label > 0, GIVEN).alias("attribution_rule"), ts.alias("examined_ts"),
        F.when(label == CLICK, ts).alias("clicked_ts"), F.when(label == CART, ts).alias("carted_ts"),
        F.when(label == PURCHASE, ts).alias("ordered_ts"), none.alias("undone_carts"), none.alias("undone_orders"),
        "event_date",
    )
    return evidence.withColumn("stage", stage_column(context.config.stages)).select(*IMPRESSIONS.column_names)


def write_impressions(context: JobContext, rows: DataFrame, candidates: DataFrame) -> int:
    """Writes the impressions of every day that has one; returns how many there are."""
    days = [str(r["event_date"]) for r in rows.select("event_date").distinct().orderBy("event_date").collect()]
    known = context.written("items", [context.dt]).select("object_id")
    unknown = candidates.join(known, "object_id", "left_anti").agg(
        F.count_distinct("object_id").alias("items"), F.count("*").alias("impressions")
    ).first()
    maturity = {"days": 0, "final": True, "labelled_on": context.dt}
    facts = {"maturity": maturity, "fingerprint": GIVEN, "without_metadata": unknown.asDict()}
    written = context.write_days(
        "impressions", rows, days, "event_date", facts=dict.fromkeys(days, facts),
        describe=describe_impressions(days, context.config.stages),
    )
    context.notes.update({"items without metadata": unknown["items"], "their impressions": unknown["impressions"]})
    return sum(manifest.rows for manifest in written.values())


def refused_searches(searches: DataFrame) -> DataFrame:
    """The quarantined lines, without the lines themselves."""
    refused = searches.where("disposition = 'quarantined'").withColumn("record", F.lit(1)).drop("query_id")
    there = set(refused.columns)
    return refused.select(*[
        F.col(c.name) if c.name in there else F.lit(None).cast(c.type).alias(c.name) for c in QUARANTINE.columns
    ])


def search_ledger(searches: DataFrame, candidates: DataFrame) -> DataFrame:
    """Lines by disposition; and, as records derived from accepted lines, their impressions and what a line listed twice."""
    lines = searches.groupBy("file", "kind", "disposition", "reason").agg(
        F.count("*").alias("records"), F.lit(0).cast("bigint").alias("derived")
    )

    def derived(disposition: str, reason: str, rows: DataFrame) -> DataFrame:
        return rows.select(
            "file", F.lit("impression").alias("kind"), F.lit(disposition).alias("disposition"), F.lit(reason).alias("reason"),
            F.lit(0).cast("bigint").alias("records"), "derived",
        )

    by_file = candidates.groupBy("file")
    shown = derived("accepted", "", by_file.agg(F.count("*").alias("derived")))
    twice = derived("merged", "same_item", by_file.agg((F.sum("copies") - F.count("*")).alias("derived")).where("derived > 0"))
    return lines.unionByName(shown).unionByName(twice).select(*LEDGER.column_names)


def unaccounted(ledger: DataFrame, counted: dict[str, int], committed: dict[tuple[str, str], int]) -> float:
    """Lines and committed rows that the committed ledger does not agree with."""
    by_file: Counter[str] = Counter()
    by_output: Counter[tuple[str, str]] = Counter()
    for row in ledger.collect():  # a few rows a file
        by_file[row["file"]] += row["records"]
        by_output[row["kind"], row["disposition"]] += row["records"] + row["derived"]
    lost = sum(abs(by_file[file] - counted.get(file, 0)) for file in {*by_file, *counted})
    return float(lost + sum(abs(by_output[output] - rows) for output, rows in committed.items()))


JOB = Job(
    "ingest_jdsearch", reads=("numbering",),
    writes=("requests", "impressions", "quarantine", "ledger", "items", "numbering", "item_quarantine", "item_ledger"), run=run,
    doc="JDsearch files, which come with their labels -> requests, impressions and items; a side job.",
)

if __name__ == "__main__":
    sys.exit(main(JOB))
