"""A run without the rows that are to be erased: written, read back, and held against the run it replaces."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from jobs.erasure.runs import StoredRun, read_runs, rewritten_id
from jobs.runtime import store
from jobs.runtime.errors import Blocked
from jobs.runtime.manifest import Manifest, rows_content_hash
from jobs.runtime.profile import Profile, profile, profile_groups, row_hash_sql
from schemas import DATASETS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Mark = Callable[["DataFrame"], "DataFrame"]
"""Adds `_theirs` to the rows of a dataset."""
Described = Mapping[str, tuple[Mapping[str, Any], Mapping[str, float]]]
Describe = Callable[["DataFrame", Sequence[str]], Described]
"""(rows, days) -> for each day the facts and metrics that were computed from its rows, and are computed again."""


@dataclass(frozen=True)
class Found:
    """A run that holds rows to erase; `kept_hash` is the content hash of the others, as they stand in the old run."""

    dataset: str
    old: StoredRun
    rows: int
    erased: int
    kept_hash: str


@dataclass
class Rewritten:
    """What an erasure does: the runs it found, and the new manifest of each that it wrote, by (dataset, dt, old run)."""

    found: list[Found] = field(default_factory=list)
    written: dict[tuple[str, str, str], Manifest] = field(default_factory=dict)
    folders: list[Path] = field(default_factory=list)

    def replaced(self) -> dict[tuple[str, str], dict[str, str]]:
        """(dataset, dt) -> old run -> new run."""
        by_day: dict[tuple[str, str], dict[str, str]] = {}
        for (dataset, dt, run), manifest in self.written.items():
            by_day.setdefault((dataset, dt), {})[run] = manifest.run_id
        return by_day


def find(spark: SparkSession, dataset: str, runs: Sequence[StoredRun], mark: Mark) -> list[Found]:
    """The runs that hold rows to erase, counted and hashed in one scan of all of them."""
    if not any(run.manifest.files for run in runs):
        return []
    row_hash = F.expr(f"cast({row_hash_sql(DATASETS[dataset])} as decimal(38, 0))")
    counted = mark(read_runs(spark, dataset, runs)).groupBy("_dt", "_run").agg(
        F.count(F.lit(1)).alias("rows"), F.count_if("_theirs").alias("erased"),
        F.coalesce(F.sum(F.when(~F.col("_theirs"), row_hash)), F.lit(0)).alias("kept"),
    ).where("erased > 0")
    by_place = {run.place: run for run in runs}
    schema = DATASETS[dataset].schema_hash()
    return [
        Found(dataset, by_place[row["_dt"], row["_run"]], row["rows"], row["erased"],
              rows_content_hash(schema, row["rows"] - row["erased"], int(row["kept"])))
        for row in counted.orderBy("_dt", "_run").collect()  # a row for each run
    ]


def rewrite(
    spark: SparkSession, warehouse: Path, erasure: str, found: Sequence[Found], mark: Mark, done: Rewritten,
    describe: Describe | None = None,
) -> None:
    """Writes the kept runs of one dataset anew, without the marked rows, and adds them to `done`.

    Raises Blocked where what was written is not, row for row, what the old run holds beside the erased rows.
    """
    kept = [one for one in found if one.old.kept]
    if not kept:
        return
    name = kept[0].dataset
    folders = {one.old.place: new_folder(warehouse, one, erasure) for one in kept}
    done.folders += folders.values()
    rows = mark(read_runs(spark, name, [one.old for one in kept])).where("not _theirs")
    declared = rows.select(*DATASETS[name].column_names, F.col("_dt").alias("dt"), F.col("_run").alias("run"))
    write_by_run(declared, warehouse / name / f"_staging-{erasure}", folders)
    profiles = profile_runs(spark, name, folders)
    described = describe_runs(spark, name, folders, describe) if describe else {}
    for one in kept:
        place, folder = one.old.place, folders[one.old.place]
        facts, metrics = described.get(place, ({}, {}))
        manifest = manifest_of(one, folder, profiles[place], facts, metrics, erasure)
        if manifest.content_hash != one.kept_hash:
            raise Blocked(f"{folder}: holds other rows than {one.old.folder} without the erased ones; expected the same")
        manifest.write(folder)
        done.written[name, place[0], place[1]] = manifest


def describe_runs(
    spark: SparkSession, dataset: str, folders: Mapping[tuple[str, str], Path], describe: Describe
) -> dict[tuple[str, str], tuple[Mapping[str, Any], Mapping[str, float]]]:
    """Facts and metrics of the new runs, in as many passes as one day has runs."""
    found, left = {}, dict(folders)
    while left:
        now = {place[0]: (place, folder) for place, folder in left.items()}  # one run of each day
        rows = store.read_folders(spark, DATASETS[dataset], [folder for _, folder in now.values()])
        found.update({now[day][0]: one for day, one in describe(rows, list(now)).items()})
        left = {place: folder for place, folder in left.items() if place not in found}
    return found


def new_folder(warehouse: Path, one: Found, erasure: str) -> Path:
    """Where the rest of a run goes."""
    dt, run = one.old.place
    return store.run_folder(warehouse, one.dataset, dt, rewritten_id(run, erasure))


def write_by_run(rows: DataFrame, staging: Path, folders: Mapping[tuple[str, str], Path]) -> None:
    """Writes all runs in one pass, split by `dt` and `run`, and moves each to its folder; one without rows is empty."""
    rows.write.mode("errorifexists").partitionBy("dt", "run").parquet(str(staging))
    for (dt, run), folder in folders.items():
        written = staging / f"dt={dt}" / f"run={run}"
        if written.is_dir():
            written.rename(folder)
        else:
            folder.mkdir(parents=True)
    shutil.rmtree(staging)


def profile_runs(
    spark: SparkSession, dataset: str, folders: Mapping[tuple[str, str], Path]
) -> dict[tuple[str, str], Profile]:
    """The profile of each new run, as read back, in one scan of all of them."""
    declared = DATASETS[dataset]
    files = {key: sorted(folder.rglob("*.parquet")) for key, folder in folders.items()}
    by_place: dict[str, Profile] = {}
    if any(files.values()):
        place = F.regexp_extract(F.col("_metadata.file_path"), r"/(dt=[^/]+/run=[^/]+)/", 1)
        rows = store.read_rows(spark, declared, [path for paths in files.values() for path in paths])
        by_place = profile_groups(rows.withColumn("_place", place), declared, "_place")
    found = {key: by_place.get(f"{folder.parent.name}/{folder.name}") for key, folder in folders.items()}
    nothing = None if all(found.values()) else profile(store.read_rows(spark, declared, []), declared)
    return {key: one or nothing for key, one in found.items()}  # type: ignore[misc]


def manifest_of(
    one: Found, folder: Path, profiled: Profile, facts: Mapping[str, Any], metrics: Mapping[str, float], erasure: str
) -> Manifest:
    """The old manifest with the new files and figures; job, inputs and configuration stay those of the job that ran."""
    rows, total, measured = profiled
    old, declared = one.old.manifest, DATASETS[one.dataset]
    history = [*old.facts.get("erasures", ()), {"erasure": erasure, "rows_before": one.rows, "rows_after": rows}]
    return replace(
        old, run_id=folder.name.removeprefix("run="), rows=rows, files=store.file_facts(folder),
        schema_hash=declared.schema_hash(), content_hash=rows_content_hash(declared.schema_hash(), rows, total),
        created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        facts={**old.facts, **facts, "erasures": history}, metrics={**old.metrics, **measured, **metrics},
    )


def discard(folders: Iterable[Path]) -> None:
    """Removes folders, those that are gone already included."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
