"""Writes a run and reads it back: Parquet rows by Spark, or files by a function."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from jobs.runtime.errors import InputError
from jobs.runtime.fail_at import reached
from jobs.runtime.manifest import FileFacts, Manifest, file_sha256, files_content_hash, rows_content_hash
from jobs.runtime.profile import Profile, profile
from schemas import Dataset

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.runtime.job import JobContext


PLAIN = re.compile(r"(?!\.{1,2}\Z)[^/\x00-\x1f]+")
"""Names of datasets, days and runs: what a log entry or a release says is used as a path."""


def run_folder(warehouse: Path, dataset: str, dt: str, run_id: str) -> Path:
    """Where the files of one run lie. Raises InputError where a name would lead out of the warehouse."""
    for name in (dataset, dt, run_id):
        if not PLAIN.fullmatch(str(name)):
            raise InputError(f"{warehouse}: a run is named {dataset!r}, {dt!r}, {run_id!r}; expected single names")
    return warehouse / dataset / f"dt={dt}" / f"run={run_id}"


def check_columns(frame: DataFrame, dataset: Dataset) -> DataFrame:
    """The frame's columns in declared order. Raises ValueError where names or types differ from the declaration."""
    expected = {f.name: f.dataType.simpleString() for f in dataset.spark_schema().fields}
    actual = {f.name: f.dataType.simpleString() for f in frame.schema.fields}
    if expected != actual:
        wrong = sorted(set(expected.items()) ^ set(actual.items()))
        raise ValueError(f"{dataset.name}: columns differ from schemas/: {wrong}")
    return frame.select(*dataset.column_names)


def write_rows(folder: Path, frame: DataFrame, options: Mapping[str, str], split_by: str | None = None) -> None:
    """Writes Parquet into a folder that must not exist; `split_by` puts each value of a column below `part=VALUE/`."""
    from pyspark.sql import functions as F

    if split_by is None:
        frame.write.mode("errorifexists").options(**options).parquet(str(folder))
    else:
        parts = frame.withColumn("part", F.col(split_by))
        parts.write.mode("errorifexists").partitionBy("part").options(**options).parquet(str(folder))


def write_rows_by_day(
    staging: Path, frame: DataFrame, day_column: str, folders: Mapping[str, Path], options: Mapping[str, str]
) -> None:
    """Writes one frame once, split by day, and moves each day to its run folder; a day without rows gets an empty one.

    `day_column` is not written: the files hold the other columns.
    """
    from pyspark.sql import functions as F

    days = frame.withColumn("dt", F.col(day_column).cast("date")).drop(day_column)  # sorted by a number, named yyyy-MM-dd
    days.write.mode("errorifexists").partitionBy("dt").options(**options).parquet(str(staging))
    written = {p.name.removeprefix("dt="): p for p in staging.glob("dt=*")}
    unexpected = sorted(set(written) - set(folders))
    if unexpected:
        raise ValueError(f"rows outside the days to write: {unexpected}")
    for day, folder in folders.items():
        folder.parent.mkdir(parents=True, exist_ok=True)
        if day in written:
            written[day].rename(folder)
        else:
            folder.mkdir()
    shutil.rmtree(staging)


def file_facts(folder: Path) -> tuple[FileFacts, ...]:
    """Size, rows (from Parquet footers) and digest of every file whose name does not begin with `_` or `.`."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name[0] not in "_.")
    with ThreadPoolExecutor(4) as pool:
        return tuple(pool.map(lambda path: _one_file(folder, path), paths))


def _one_file(folder: Path, path: Path) -> FileFacts:
    rows = pq.ParquetFile(path).metadata.num_rows if path.suffix == ".parquet" else 0
    return FileFacts(str(path.relative_to(folder)), path.stat().st_size, rows, file_sha256(path))


def read_rows(spark: Any, dataset: Dataset, paths: Iterable[Path]) -> DataFrame:
    """A frame over explicit files with the declared schema; no files give an empty frame."""
    names = [str(p) for p in paths]
    if not names:
        return spark.createDataFrame([], dataset.spark_schema())
    return spark.read.schema(dataset.spark_schema()).parquet(*names)


def read_folders(spark: Any, dataset: Dataset, folders: Iterable[Path]) -> DataFrame:
    """A frame over every Parquet file below `folders`."""
    return read_rows(spark, dataset, [path for folder in folders for path in sorted(folder.rglob("*.parquet"))])


def describe_rows(
    context: JobContext, dataset: Dataset, dt: str, folder: Path, facts: dict[str, Any], metrics: dict[str, float],
    measure: Callable[[DataFrame], Mapping[str, float]] | None = None, profiled: Profile | None = None,
) -> Manifest:
    """Reads the written files back, profiles (unless that is done) and measures them and writes the manifest.

    Raises InputError where footers and Spark disagree on the number of rows.
    """
    files = file_facts(folder)
    frame = read_rows(context.spark, dataset, [folder / f.path for f in files])
    rows, total, measured = profiled or profile(frame, dataset)
    footers = sum(f.rows for f in files)
    if footers != rows:
        raise InputError(f"{folder}: footers say {footers} rows, Spark reads {rows}")
    content = rows_content_hash(dataset.schema_hash(), rows, total)
    measured.update(measure(frame) if measure else {})
    return _manifest(context, dataset, dt, folder, rows, files, content, facts, {**measured, **metrics})


def describe_files(
    context: JobContext, dataset: Dataset, dt: str, folder: Path,
    facts: dict[str, Any], metrics: dict[str, float], volatile: Iterable[str],
) -> Manifest:
    """Writes the manifest of a run whose files are not rows."""
    files = file_facts(folder)
    content = files_content_hash(files, volatile)
    return _manifest(context, dataset, dt, folder, int(facts.get("rows", 0)), files, content, facts, metrics)


def _manifest(
    context: JobContext, dataset: Dataset, dt: str, folder: Path, rows: int, files: tuple[FileFacts, ...],
    content: str, facts: dict[str, Any], metrics: dict[str, float],
) -> Manifest:
    reached("after_write")
    manifest = Manifest(
        dataset=dataset.name, dt=dt, run_id=context.run_id, job=context.job.name, rows=rows, files=files,
        schema_hash=dataset.schema_hash(), content_hash=content, config_hash=context.config.hash(),
        code_version=context.code_version, created_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        base_entry=context.entry.number, inputs={f"{d}/dt={t}": run for (d, t), run in sorted(context.inputs.items())},
        facts=facts, metrics=metrics, config=context.config.published(),
    )
    manifest.write(folder)
    return manifest


def write_files(folder: Path, fill: Callable[[Path], None]) -> None:
    """Creates the run's folder and lets `fill` put files into it."""
    folder.mkdir(parents=True, exist_ok=False)
    fill(folder)
