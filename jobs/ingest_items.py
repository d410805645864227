"""The day's catalogue becomes items: every line is judged, every object keeps its dense id for good.

    catalogue lines -> judge -> items (joined with the numbering)
                         └────> item_quarantine, item_ledger
    numbering of the day before + new objects -> numbering
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.ingest.deliveries import Delivery, check_rows, find_deliveries
from jobs.ingest.lines import count_lines, read_lines
from jobs.ingest.scratch import files_named_in_errors, keep, scratch_folder
from jobs.items.lines import judge_lines, ledger, parse_lines
from jobs.items.locales import FACT, available_by_locale
from jobs.items.numbering import extend_numbering
from jobs.runtime.errors import Blocked
from jobs.runtime.job import Job, JobContext
from jobs.runtime.main import main
from schemas import ITEM_QUARANTINE, ITEMS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PATTERNS = ("catalogue-*",)


def run(context: JobContext) -> None:
    """Finds the newest delivery, judges its lines, numbers what is new, writes the catalogue of the day."""
    delivery = newest_delivery(context)
    with files_named_in_errors(delivery.files), scratch_folder(context) as scratch:
        counted = count_lines(context.spark, delivery.files)
        check_rows([delivery], counted)
        context.rows_in += sum(counted.values())
        lines = read_lines(context.spark, delivery.files)
        judged = keep(judge_lines(parse_lines(lines)), scratch / "items")
        accepted = judged.where("disposition = 'accepted'")
        known = earlier_numbering(context)
        numbering = keep(extend_numbering(known, accepted), scratch / "numbering")
        published = context.write("numbering", numbering)
        before, after = known.count(), published.rows
        facts = {
            "delivered": delivery.day, "new_objects": after - before, "next_dense_id": after,
            "numbering": published.content_hash, FACT: available_by_locale(accepted),
        }
        items = context.write("items", accepted.join(numbering, "object_id").select(*ITEMS.column_names), facts=facts)
        refused = context.write("item_quarantine", refused_lines(judged))
        missed = unaccounted(judged, counted, items.rows, refused.rows)
        context.write("item_ledger", ledger(judged), metrics={"unaccounted_records": missed})
    context.notes.update({"new": after - before, "quarantined": refused.rows})
    if delivery.day != context.dt:
        context.notes["delivery of"] = delivery.day


def newest_delivery(context: JobContext) -> Delivery:
    """The catalogue of the date, else the newest one of the `items.max_age_days` before it.

    Raises InputError where the raw folder is missing, Blocked where no catalogue is young enough.
    """
    root = Path(context.config.paths.raw).absolute()
    days = context.days_back(context.config.items.max_age_days + 1)
    for day in reversed(days):
        delivery = find_deliveries(root, day, (), PATTERNS, allow_empty=True)[0]
        if delivery.files:
            return delivery
    folder = root / f"dt={context.dt}"
    raise Blocked(f"{folder}: no catalogue file, nor in the days since {days[0]}; expected catalogue-*.json.gz")


def earlier_numbering(context: JobContext) -> DataFrame:
    """The numbering of the newest published day before the date; empty where there is none.

    The date's own run is left out, so that running a date again gives the same numbers.
    """
    days = [day for day in context.entry.days("numbering") if day < context.dt]
    if days:
        return context.read("numbering", days[-1])
    return context.spark.createDataFrame([], "object_id string, dense_id bigint")


def refused_lines(judged: DataFrame) -> DataFrame:
    """The quarantined lines, without the lines themselves."""
    refused = judged.where("disposition = 'quarantined'").withColumns({"kind": F.lit("item"), "record": F.lit(1)})
    return refused.select(*ITEM_QUARANTINE.column_names)


def unaccounted(judged: DataFrame, counted: dict[str, int], items: int, refused: int) -> float:
    """Records that an independent count of the files, the ledger and the written rows do not agree on."""
    by = {row["disposition"]: row["count"] for row in judged.groupBy("disposition").agg(F.count("*").alias("count")).collect()}
    lost = abs(sum(counted.values()) - sum(by.values()))
    return float(lost + abs(by.get("accepted", 0) - items) + abs(by.get("quarantined", 0) - refused))


JOB = Job(
    "ingest_items", reads=("numbering",), writes=("items", "numbering", "item_quarantine", "item_ledger"), run=run,
    doc="The day's catalogue -> items with append-only dense ids; refused lines to item_quarantine.",
)

if __name__ == "__main__":
    sys.exit(main(JOB))
