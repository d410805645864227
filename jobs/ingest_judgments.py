"""Graded judgments of a shop or a test collection become the dataset `judgments`; a side job, outside the nightly chain.

    files of grades (and of query texts) -> parse -> judge -> judgments
                                                       └────> judgment_quarantine, judgment_ledger

    mmse ingest_judgments --config conf/shop.yaml --date 2026-01-08
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.adapters.extract import layouts_of_sources
from jobs.ingest.deliveries import RawFile, files_in, unreadable_file
from jobs.ingest.layouts import check_layout
from jobs.ingest.lines import count_lines, read_lines
from jobs.ingest.scratch import files_named_in_errors, keep, scratch_folder
from jobs.judgments.judge import judge_grades, judge_queries
from jobs.judgments.lines import files_of, parse_lines
from jobs.runtime.errors import Blocked, ConfigError, InputError
from jobs.runtime.job import Job, JobContext
from jobs.runtime.main import main
from schemas import JUDGMENT_LEDGER, JUDGMENT_QUARANTINE, JUDGMENTS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.runtime.judgment_sections import JudgmentSettings


def run(context: JobContext) -> None:
    """Finds the files, decides on each line once, writes what stands and what became of the rest."""
    settings = context.config.judgments
    files = find_files(settings, context.dt)
    with files_named_in_errors(files), scratch_folder(context) as scratch:
        counted = count_lines(context.spark, files)
        context.rows_in += sum(counted.values())
        parsed = keep(parse_lines(read_lines(context.spark, files), settings), scratch / "parsed")
        queries = judge_queries(parsed)
        grades = judge_grades(parsed, queries if settings.queries else None)
        judged = keep(grades.unionByName(queries, allowMissingColumns=True), scratch / "judged")
        publish(context, judged, counted)


def find_files(settings: JudgmentSettings, day: str) -> tuple[RawFile, ...]:
    """The files of grades and of query texts.

    Raises ConfigError where none are configured, InputError where the folder is missing or a file is not as declared,
    Blocked where there is no file of one of the kinds.
    """
    if settings.folder is None:
        raise ConfigError("judgments.folder: not set; expected a folder, and judgments.ratings that says which files it holds")
    folder, sections = Path(settings.folder).absolute(), files_of(settings)
    if not folder.is_dir():
        raise InputError(f"judgments.folder = {str(settings.folder)!r}: no such folder; expected one that holds judgments")
    files = files_in(folder, day, "", layouts_of_sources(sections))
    for number, section in enumerate(sections):
        if not any(file.layout.source == number for file in files):
            raise Blocked(f"{folder}: no file of judgments; expected one named {' or '.join(section.files)}")
    for file in files:
        check_layout(file.path, file.layout)
    empty = unreadable_file([file for file in files if file.bytes == 0])  # Spark reads an empty .gz as no rows
    if empty:
        raise empty
    return files


def publish(context: JobContext, judged: DataFrame, counted: Mapping[str, int]) -> None:
    """Judged lines -> judgments, quarantine and ledger of the date."""
    accepted = judged.where("disposition = 'accepted'").select(*JUDGMENTS.column_names)
    refused = judged.where("disposition = 'quarantined'").withColumn("record", F.lit(1))
    rows = {
        "accepted": context.write("judgments", accepted, facts={"null_text": judged.where("null_text").count()}).rows,
        "quarantined": context.write("judgment_quarantine", refused.select(*JUDGMENT_QUARANTINE.column_names)).rows,
    }
    records = F.count(F.lit(1)).alias("records")
    ledger = judged.groupBy("file", "kind", "disposition", "reason").agg(records, F.lit(0).cast("bigint").alias("derived"))
    context.write(
        "judgment_ledger", ledger.select(*JUDGMENT_LEDGER.column_names),
        measure=lambda written: {"unaccounted_records": unaccounted(written, counted, rows)},
    )
    by = judged.groupBy("disposition").count().collect()
    context.notes.update({row["disposition"]: f"{row['count']:,}" for row in sorted(by, key=lambda row: row["disposition"])})


def unaccounted(ledger: DataFrame, counted: Mapping[str, int], rows: Mapping[str, int]) -> float:
    """Lines that do not add up, 0 where all do: per file against an independent count, per output against its rows.

    `ledger` is read back from its committed files; `rows` are the committed rows of a disposition's output.
    """
    by_file: Counter[str] = Counter()
    by_disposition: Counter[str] = Counter()
    for row in ledger.collect():
        by_file[row["file"]] += row["records"]
        by_disposition[row["disposition"]] += row["records"]
    lost = sum(abs(by_file[file] - counted.get(file, 0)) for file in set(by_file) | set(counted))
    return float(lost + sum(abs(by_disposition[disposition] - n) for disposition, n in rows.items()))


JOB = Job(
    "ingest_judgments", reads=(), writes=("judgments", "judgment_quarantine", "judgment_ledger"), run=run,
    doc="Graded judgments in CSV, Parquet or JSON lines -> judgments; refused lines to judgment_quarantine.",
)

if __name__ == "__main__":
    sys.exit(main(JOB))
