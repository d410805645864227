"""The raw log of the benchmark says the same as the synthetic log it was written from."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from benchmarks.ingest import config_for_raw
from benchmarks.raw_log import write_raw
from benchmarks.shop_log import LAST, ShopLog, events_of, requests_of
from jobs.ingest_logs import JOB
from jobs.runtime.job import run_job


@pytest.mark.slow
def test_every_record_of_the_raw_log_is_accepted_or_accounted_for(spark: SparkSession, tmp_path: Path) -> None:
    log, config = ShopLog(4_000), config_for_raw(tmp_path, "2g", 2)
    days = write_raw(spark, log, Path(config.paths.raw))
    context = run_job(JOB, config, LAST, lambda: spark)
    events, requests = events_of(spark, log), requests_of(spark, log)
    assert len(days) == 8 and context.rows_in == events.count() + requests.count()
    published = context.written("events", days).select("event_id", "ts", "action", "object_id", "query_id", "position")
    given = events.selectExpr("event_id", "timestamp_millis(unix_millis(ts)) ts", "action", "object_id", "query_id", "position")
    assert published.exceptAll(given).isEmpty()
    judged = {row["disposition"]: row["n"] for row in context.written("ledger", days).groupBy("disposition").agg(
        {"records": "sum"}).withColumnRenamed("sum(records)", "n").collect()}
    assert judged["accepted"] == published.count() + context.written("requests", days).count()
    assert judged["accepted"] > 0.98 * context.rows_in and not judged.get("quarantined")
