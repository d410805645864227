"""A job: what it may touch, what it leaves behind, and what a reader sees meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.runtime.config import Config
from jobs.runtime.errors import Blocked, Fenced, InputError
from jobs.runtime.job import Job, JobContext, run_job
from jobs.runtime.manifest import Manifest
from jobs.runtime.sections import PathSettings
from jobs.runtime.snapshots import SnapshotLog

DAY = date(2026, 1, 8)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(paths=PathSettings(
        raw=str(tmp_path / "raw"), warehouse=str(tmp_path / "wh"), reports=str(tmp_path / "reports")
    ))


def tokens(spark: SparkSession, n: int, partitions: int = 2) -> DataFrame:
    return spark.range(n).repartition(partitions).select(
        F.lit("word").alias("grain"), F.concat(F.lit("t"), "id").alias("token"), F.col("id").alias("rank"),
        F.lit(1).cast("bigint").alias("count"),
    )


def writer(spark: SparkSession, n: int, partitions: int = 2) -> Job:
    return Job("writer", (), ("vocabulary",), lambda c: c.write("vocabulary", tokens(spark, n, partitions)) and None)


def test_a_committed_run_can_be_read_and_its_manifest_counts_its_rows(spark: SparkSession, config: Config) -> None:
    run_job(writer(spark, 10), config, DAY, lambda: spark)
    seen: list[int] = []
    reader = Job("reader", ("vocabulary",), (), lambda c: seen.append(c.read("vocabulary").count()))
    context = run_job(reader, config, DAY, lambda: spark)
    assert seen == [10]
    assert context.rows_in == 10
    assert context.manifest("vocabulary").rows == sum(f.rows for f in context.manifest("vocabulary").files) == 10


def test_the_content_hash_does_not_depend_on_partitions_but_on_every_row(spark: SparkSession, config: Config) -> None:
    hashes = [
        run_job(writer(spark, n, p), config, DAY, lambda: spark).outputs["vocabulary", "2026-01-08"].content_hash
        for n, p in ((10, 1), (10, 3), (10, 7), (11, 1))
    ]
    assert len(set(hashes[:3])) == 1
    assert hashes[3] != hashes[0]


def test_a_value_that_moves_to_another_column_changes_the_content_hash(spark: SparkSession, config: Config) -> None:
    columns = "file string, line bigint, record int, kind string, reason string, field string, value string, sha256 string, excerpt string"
    hashes = set()
    for field, value in (("x", None), (None, "x")):
        row = spark.createDataFrame([("f", 1, 1, "event", "r", field, value, "s", None)], columns)
        job = Job("w", (), ("item_quarantine",), lambda c, row=row: c.write("item_quarantine", row) and None)
        hashes.add(run_job(job, config, DAY, lambda: spark).outputs["item_quarantine", "2026-01-08"].content_hash)
    assert len(hashes) == 2


def test_a_job_may_not_read_what_it_does_not_declare(spark: SparkSession, config: Config) -> None:
    peeping = Job("peeping", (), (), lambda c: c.read("truth_utility") and None)
    with pytest.raises(PermissionError, match="peeping may not read truth_utility"):
        run_job(peeping, config, DAY, lambda: spark)


def test_an_input_that_is_not_published_is_named_with_the_days_there_are(spark: SparkSession, config: Config) -> None:
    run_job(writer(spark, 3), config, DAY, lambda: spark)
    late = Job("late", ("vocabulary",), (), lambda c: c.read("vocabulary") and None)
    with pytest.raises(InputError, match=r"vocabulary dt=2026-01-09: not published .*\['2026-01-08'\]"):
        run_job(late, config, date(2026, 1, 9), lambda: spark)


def test_an_audit_that_fails_publishes_nothing(spark: SparkSession, config: Config) -> None:
    with pytest.raises(Blocked, match="vocabulary"):
        run_job(writer(spark, 0), config, DAY, lambda: spark)
    assert SnapshotLog(config.paths.warehouse).numbers() == []


def test_columns_that_differ_from_the_declaration_are_refused(spark: SparkSession, config: Config) -> None:
    job = Job("w", (), ("vocabulary",), lambda c: c.write("vocabulary", tokens(spark, 3).drop("rank")) and None)
    with pytest.raises(ValueError, match="vocabulary: columns differ from schemas/: .*'rank'"):
        run_job(job, config, DAY, lambda: spark)


def test_a_run_is_fenced_when_its_input_is_replaced_while_it_works(spark: SparkSession, config: Config) -> None:
    run_job(writer(spark, 5), config, DAY, lambda: spark)

    def slow(context: JobContext) -> None:
        frame = context.read("vocabulary")
        run_job(writer(spark, 6), config, DAY, lambda: spark)
        context.write("vocabulary", frame, dt="2026-01-09")

    with pytest.raises(Fenced):
        run_job(Job("slow", ("vocabulary",), ("vocabulary",), slow), config, DAY, lambda: spark)
    assert SnapshotLog(config.paths.warehouse).head().days("vocabulary") == ["2026-01-08"]


def test_write_days_gives_every_day_a_run_even_an_empty_one(spark: SparkSession, config: Config) -> None:
    days = ["2026-01-07", "2026-01-08"]

    def work(context: JobContext) -> None:
        frame = tokens(spark, 4).withColumn("day", F.lit("2026-01-08").cast("date"))
        manifests = context.write_days("vocabulary", frame, days, "day")
        assert [manifests[d].rows for d in days] == [0, 4]

    with pytest.raises(Blocked, match="dt=2026-01-07"):
        run_job(Job("days", (), ("vocabulary",), work), config, DAY, lambda: spark)


KILLED = """
import sys, time
from datetime import date
from jobs.runtime.config import load_config
from jobs.runtime.job import Job, run_job
from jobs.runtime.logs import set_up_logs
from pyspark.sql import functions as F

def run(context):
    # The third column sleeps in the executors: rows are on their way to disk when the kill comes.
    frame = context.spark.range(0, 4, 1, 4).select(
        F.lit("word").alias("grain"), F.col("id").cast("string").alias("token"),
        F.expr("cast(java_method('java.lang.Thread', 'sleep', id * 20000L) is null as bigint) * 0 + id").alias("rank"),
        F.lit(1).cast("bigint").alias("count"))
    print("writing", flush=True)
    context.write("vocabulary", frame)

set_up_logs("/dev/null")
run_job(Job("killed", (), ("vocabulary",), run), load_config(sys.argv[1], sys.argv[2:]), date(2026, 1, 8))
"""


def test_kill_9_in_the_middle_of_a_write_leaves_the_published_state_alone(
    spark: SparkSession, config: Config, tmp_path: Path
) -> None:
    run_job(writer(spark, 5), config, DAY, lambda: spark)
    before = SnapshotLog(config.paths.warehouse).head()
    (tmp_path / "c.yaml").write_text("{}")
    script = tmp_path / "killed.py"
    script.write_text(textwrap.dedent(KILLED))
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "c.yaml"), f"paths.warehouse={config.paths.warehouse}",
         "spark.driver_memory=1g"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "writing"
    folder = Path(config.paths.warehouse) / "vocabulary" / "dt=2026-01-08"
    deadline = time.monotonic() + 60
    while not list(folder.glob("run=*/_temporary/**/*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.1)
    half_written = [p for p in folder.glob("run=*") if (p / "_temporary").exists()]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert half_written, "the job was killed before it began to write"
    assert SnapshotLog(config.paths.warehouse).head() == before
    again = run_job(writer(spark, 5), config, DAY, lambda: spark)
    old = Manifest.read(folder / f"run={before.run('vocabulary', '2026-01-08')}")
    assert again.outputs["vocabulary", "2026-01-08"].content_hash == old.content_hash
