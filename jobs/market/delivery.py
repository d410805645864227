"""Puts lines into the raw feed: gzip files in a temporary folder, then whole days by renaming."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PRODUCER = "_PRODUCER.json"


def spread(frame: DataFrame, *keys: str) -> DataFrame:
    """The frame over all shuffle partitions: much computing on few bytes, which AQE would put into one task."""
    return frame.repartition(int(frame.sparkSession.conf.get("spark.sql.shuffle.partitions")), *keys)


class Scratch:
    """A folder beside the feed for intermediate tables and unfinished days; a context manager that removes it."""

    def __init__(self, raw: Path, run_id: str) -> None:
        self.folder = raw / f"_unfinished-{run_id}"

    def __enter__(self) -> Scratch:
        self.folder.mkdir(parents=True)
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def keep(self, name: str, frame: DataFrame) -> DataFrame:
        """Writes a table that several later steps read, and reads it back: nothing is held in memory."""
        path = str(self.folder / "tables" / name)
        frame.write.parquet(path)
        return frame.sparkSession.read.schema(frame.schema).parquet(path)

    def write_lines(self, kind: str, lines: DataFrame, days: int, files_per_day: int) -> None:
        """Writes `line` of every row of (dt, ts, key, line) below its day, in order of time."""
        bucket = F.pmod(F.xxhash64("key"), F.lit(files_per_day))
        files = lines.withColumn("bucket", bucket).repartition(days * files_per_day, "dt", "bucket")
        ordered = files.sortWithinPartitions("dt", "ts", "key", "line").select("dt", "line")
        ordered.write.partitionBy("dt").option("compression", "gzip").text(str(self.folder / kind))


def publish_days(
    spark: SparkSession, scratch: Scratch, raw: Path, kinds: tuple[str, ...], days: list[str]
) -> dict[str, int]:
    """Gathers the written files by day, adds the producer's manifest, and moves each day into the feed.

    A day is complete before its folder gets its final name, and a former one leaves before:
    whoever looks in between sees no such day, never half of one. Returns lines by kind.
    """
    rows = _count_lines(spark, scratch, kinds)
    totals = dict.fromkeys(kinds, 0)
    for day in days:
        folder = scratch.folder / "days" / f"dt={day}"
        folder.mkdir(parents=True)
        entries = []
        for kind in kinds:
            for number, source in enumerate(sorted((scratch.folder / kind / f"dt={day}").glob("part-*.gz"))):
                target = folder / f"{kind}-{number:05d}.json.gz"
                source.rename(target)
                count = rows[str(source.relative_to(scratch.folder))]
                entries.append({"path": target.name, "bytes": target.stat().st_size, "rows": count})
                totals[kind] += count
        (folder / PRODUCER).write_text(json.dumps({"files": entries}, indent=1) + "\n", encoding="utf-8")
    for day in days:
        final = raw / f"dt={day}"
        if final.exists():
            final.rename(scratch.folder / f"former-{day}")
        (scratch.folder / "days" / f"dt={day}").rename(final)
    return totals


def _count_lines(spark: SparkSession, scratch: Scratch, kinds: tuple[str, ...]) -> dict[str, int]:
    """Lines of every written file, read back; one entry a file, by path below the scratch folder."""
    paths = [str(scratch.folder / kind) for kind in kinds]
    lines = spark.read.option("recursiveFileLookup", "true").text(paths)
    counted = lines.groupBy(F.input_file_name().alias("file")).count().collect()
    return {row["file"].rsplit(f"/{scratch.folder.name}/", 1)[1]: int(row["count"]) for row in counted}
