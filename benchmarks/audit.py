"""Cost of the audit: python -m benchmarks.audit --rows 10000000

Publishes N labelled impressions of eight days by the same call of the store as label_impressions, and measures what happens
between the last file written and the profile's return: how often the files are read (rows and bytes that Spark's stages read,
over those in the files) and the processor seconds of the JVM, its Python workers and this process. One DuckDB query with two
threads computes the same figures from the same files; where one differs, the benchmark ends with exit code 1. Of either side the
cheapest of three times counts. Then the real job `label_impressions` runs on a log of N/8 events, for the share of it that
profile, audit and commit take.
A round on N/10 rows comes before and does not count: until the JVM has compiled what runs often, a row costs several times as
much. Some of that is left in the first of the three, as in a job that labels one night: `first_ratio` is of that one.
Prints, last, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.audit_duckdb import Figures, differing, profile_with_duckdb
from benchmarks.audit_meter import Meter, Watched
from benchmarks.machine import machine
from benchmarks.reference import connect
from benchmarks.shop_labels import ShopLabels, impressions_of
from benchmarks.shop_log import LAST, ShopLog
from benchmarks.warehouse import config_for, days, files_of, label_all, publish_log
from jobs.labels.facts import describe_impressions
from jobs.runtime.config import Config
from jobs.runtime.job import Job, JobContext, run_job
from jobs.runtime.session import start_session
from schemas import IMPRESSIONS

ITEMS = 100_000
TRIES = 3


def publish_impressions(spark: Any, config: Config, rows: int) -> JobContext:
    """About so many impressions, written, profiled, audited and committed."""
    def write(context: JobContext) -> None:
        facts = {day: {"maturity": {"days": 0, "final": False, "labelled_on": LAST.isoformat()}} for day in days()}
        context.write_days(
            "impressions", impressions_of(spark, ShopLabels.of(rows, ITEMS)), days(), "event_date", facts=facts,
            describe=describe_impressions(days(), config.stages),
        )

    return run_job(Job("shop_labels", (), ("impressions",), write), config, LAST, lambda: spark)


def figures_of(context: JobContext) -> dict[str, Figures]:
    """Day -> what its manifest says: the metrics, with the counts of the funnel and of clicks by position among them."""
    found = {}
    for (_, day), manifest in context.outputs.items():
        funnel = {f"funnel {stage}": float(n) for stage, n in manifest.facts["funnel"].items()}
        clicks = {f"clicks at {place}": float(n) for place, _, n in manifest.facts["clicks_by_position"]}
        found[day] = {**manifest.metrics, **funnel, **clicks}
    return found


def measure_profile(spark: Any, folder: Path, configs: Sequence[Config], rows: int) -> dict[str, Any]:
    """Scans and processor seconds of the profile of so many rows, and DuckDB's of the same. Exits where a figure differs.

    Each configuration is of another warehouse; the cheapest counts.
    """
    tries = []
    for config in configs:
        with Watched(Meter(spark)) as watched:
            context = publish_impressions(spark, config, rows)
        tries.append(watched.spent("impressions"))
    files = files_of(configs[-1], ("impressions",))["impressions"]
    theirs, duckdb = measure_duckdb(folder, files, configs[-1])
    if wrong := differing(figures_of(context), theirs):
        sys.exit(f"the profile and DuckDB differ: {'; '.join(wrong[:5])}")
    return {
        "rows": context.rows_out, "bytes": sum(Path(f).stat().st_size for f in files),
        **asdict(min(tries, key=lambda spent: spent.cpu_seconds)), "first_cpu_seconds": tries[0].cpu_seconds,
        "duckdb_cpu_seconds": duckdb, "compared": sum(len(figures) for figures in theirs.values()),
    }


def measure_duckdb(folder: Path, files: list[str], config: Config) -> tuple[dict[str, Figures], float]:
    """DuckDB's figures, and the least processor seconds of TRIES: on a busy machine one query may cost twice another."""
    seconds, theirs = [], {}
    for _ in range(TRIES):
        with connect(folder / "spill") as database:
            started = time.process_time()
            theirs = profile_with_duckdb(database, files, IMPRESSIONS, config.stages)
            seconds.append(time.process_time() - started)
    return theirs, min(seconds)


def measure_share(spark: Any, config: Config, events: int) -> float:
    """Share of label_impressions' processor time that profile, audit and commit take."""
    publish_log(spark, config, ShopLog(events))
    meter = Meter(spark)
    before = meter.read()
    with Watched(meter) as watched:
        label_all(spark, config)
    return watched.checked(meter.read()).cpu_seconds / (meter.read() - before).cpu_seconds


def report(measured: dict[str, Any], share: float, events: int) -> dict[str, Any]:
    """The figures of the last line: `scans` is rows read over rows in the files, or bytes over bytes where that is more."""
    by_rows, by_bytes = measured["records"] / measured["rows"], measured["read_bytes"] / measured["bytes"]
    return {
        "scans": math.ceil(100 * max(by_rows, by_bytes)) / 100, "scans_by_bytes": round(by_bytes, 2),
        "ratio_to_duckdb": round(measured["cpu_seconds"] / measured["duckdb_cpu_seconds"], 2), "share_of_job": round(share, 3),
        "first_ratio": round(measured["first_cpu_seconds"] / measured["duckdb_cpu_seconds"], 2), "rows": measured["rows"],
        "cpu_seconds": round(measured["cpu_seconds"], 1), "duckdb_cpu_seconds": round(measured["duckdb_cpu_seconds"], 1),
        "figures_compared": measured["compared"],
        "events_of_the_job": events, **machine(),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description="Cost of profile and audit.")
    parser.add_argument("--rows", type=int, default=10_000_000, help="impressions, about")
    parser.add_argument("--memory", default="3g", help="heap of the JVM")
    parser.add_argument("--partitions", type=int, default=16, help="spark.sql.shuffle.partitions")
    parser.add_argument("--folder", type=Path, help="where to work; emptied at the end (default: a temporary folder)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mmse-audit-", dir=chosen.folder) as name:
        folder = Path(name)
        parts = ("warm", "job", *(f"profile-{n}" for n in range(TRIES)))
        warm, job, *tries = [config_for(folder / part, chosen.memory, chosen.partitions) for part in parts]
        spark = start_session(warm, "benchmark")
        publish_impressions(spark, warm, max(1_000, chosen.rows // 10))
        measured = measure_profile(spark, folder, tries, chosen.rows)
        events = max(1_000, chosen.rows // 8)
        share = measure_share(spark, job, events)
    print(json.dumps(report(measured, share, events)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
