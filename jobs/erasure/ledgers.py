"""The ledger after an erasure: what left an output is counted as erased, and the sums stay what they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from jobs.erasure.rewrite import Found, Rewritten, manifest_of, new_folder, profile_runs, write_by_run
from jobs.erasure.runs import StoredRun, read_runs
from jobs.ingest.ledger import unaccounted
from jobs.runtime.errors import Blocked
from schemas import LEDGER
from schemas.quarantine import FORGOTTEN

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Row = dict[str, Any]
Kinds = {"requests": "query", "events": "event"}
Origin = tuple[str, str]


def quarantined(marked: DataFrame) -> dict[Origin, list[Row]]:
    """What is erased from quarantine, by the run it lay in: file, kind, reason, records, derived."""
    counted = marked.where("_theirs").groupBy("_dt", "_run", "file", "kind", "reason").agg(
        F.count_if(F.col("record") == 1).alias("records"), F.count_if(F.col("record") > 1).alias("derived")
    )
    found: dict[Origin, list[Row]] = {}
    for row in counted.collect():  # at most the files times the reasons
        found.setdefault((row["_dt"], row["_run"]), []).append(row.asDict())
    return found


def adjusted(rows: Sequence[Row], accepted: Mapping[str, int], refused: Sequence[Row], dt: str) -> list[Row]:
    """The ledger's rows with the erased records moved from their disposition to `erased`.

    A quarantined record moves within its file. Accepted rows do not say which file they came from: they move in one
    line for the day, whose file is `dt=DAY/` and whose sum is 0, so that the sum of every file stays as it was.
    """
    moves: list[tuple[str, str, str, str, int, int]] = []
    for dataset, n in accepted.items():
        left = sum(r["records"] for r in rows if (r["kind"], r["disposition"]) == (Kinds[dataset], "accepted"))
        records = min(n, left)
        moves.append((f"dt={dt}/", Kinds[dataset], "accepted", FORGOTTEN, records, n - records))
    moves += [(r["file"], r["kind"], "quarantined", r["reason"], r["records"], r["derived"]) for r in refused]
    total: dict[tuple[str, ...], Counter[str]] = {}
    for row in rows:
        key = tuple(row[name] for name in LEDGER.key)
        total.setdefault(key, Counter()).update({n: row[n] for n in ("records", "derived")})
    for file, kind, disposition, reason, records, derived in moves:
        total.setdefault((file, kind, disposition, reason), Counter()).update(records=-records, derived=-derived)
        total.setdefault((file, kind, "erased", FORGOTTEN), Counter()).update(records=records, derived=derived)
    listed = [{**dict(zip(LEDGER.key, key)), "records": n["records"], "derived": n["derived"]} for key, n in total.items()]
    return sorted((r for r in listed if r["records"] or r["derived"]), key=lambda r: [r[k] for k in LEDGER.key])


def rewrite_ledgers(
    spark: SparkSession, warehouse: Path, erasure: str, ledgers: Sequence[StoredRun],
    siblings: Mapping[str, Sequence[StoredRun]], refused: Mapping[Origin, list[Row]], done: Rewritten,
) -> None:
    """Adjusts the ledger of every ingest run that lost rows; `siblings` are the kept runs of its other outputs.

    Raises Blocked where the new ledger does not add up.
    """
    lost = {ledger.place: lost_rows(ledger, siblings, done) for ledger in ledgers if ledger.kept}
    touched = [ledger for ledger in ledgers if lost.get(ledger.place)]
    if not touched:
        return
    old: dict[Origin, list[Row]] = {ledger.place: [] for ledger in touched}
    for row in read_runs(spark, "ledger", touched).collect():  # at most the files times the reasons
        old[row["_dt"], row["_run"]].append(row.asDict())
    new = {place: adjusted(rows, *moves(lost[place], refused), place[0]) for place, rows in old.items()}
    found = {ledger.place: Found("ledger", ledger, len(old[ledger.place]), 0, "") for ledger in touched}
    folders = {place: new_folder(warehouse, one, erasure) for place, one in found.items()}
    done.folders += folders.values()
    write_by_run(ledger_rows(spark, new), warehouse / "ledger" / f"_staging-{erasure}", folders)
    profiles = profile_runs(spark, "ledger", folders)
    for place, one in found.items():
        off = records_off(old[place], new[place], one.old, lost[place], siblings)
        metrics = {"unaccounted_records": float(off)}
        manifest = manifest_of(one, folders[place], profiles[place], {}, metrics, erasure)
        if off or manifest.rows != len(new[place]):
            raise Blocked(f"{folders[place]}: {off} records are unaccounted for after the erasure; expected 0")
        manifest.write(folders[place])
        done.found.append(one)
        done.written["ledger", place[0], place[1]] = manifest


def lost_rows(ledger: StoredRun, siblings: Mapping[str, Sequence[StoredRun]], done: Rewritten) -> dict[str, Found]:
    """What the outputs of the same ingest run lost, by dataset."""
    return {
        one.dataset: one for one in done.found
        if one.dataset in siblings and one.old.kept and one.old.origin == ledger.origin
    }


def moves(lost: Mapping[str, Found], refused: Mapping[Origin, list[Row]]) -> tuple[dict[str, int], list[Row]]:
    """Erased rows of requests and events, and the erased records of quarantine."""
    accepted = {dataset: one.erased for dataset, one in lost.items() if dataset in Kinds}
    return accepted, refused.get(lost["quarantine"].old.place, []) if "quarantine" in lost else []


def ledger_rows(spark: SparkSession, new: Mapping[Origin, Sequence[Row]]) -> DataFrame:
    """The new ledgers with `dt` and `run`."""
    names = LEDGER.column_names
    rows = [(*(row[name] for name in names), dt, run) for (dt, run), listed in new.items() for row in listed]
    schema = LEDGER.spark_schema().add("dt", "string").add("run", "string")
    return spark.createDataFrame(rows, schema).coalesce(1)


def records_off(
    old: Sequence[Row], new: Sequence[Row], ledger: StoredRun, lost: Mapping[str, Found],
    siblings: Mapping[str, Sequence[StoredRun]],
) -> int:
    """Records that do not add up: by file against the old ledger, by output against the rows that are left."""
    dt = ledger.place[0]
    by_file: Counter[str] = Counter()
    for row in old:
        by_file[row["file"]] += row["records"]
    left = {
        dataset: {dt: run.manifest.rows - (lost[dataset].erased if dataset in lost else 0)}
        for dataset, runs in siblings.items() for run in runs if run.kept and run.origin == ledger.origin
    }
    return unaccounted(new, by_file, left)[dt]
