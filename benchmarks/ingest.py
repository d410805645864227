"""Cost of ingest: python -m benchmarks.ingest --events 10000000

Writes a synthetic log of N events and their searches as gzipped UBI documents of eight arrival days, then runs the real
job `ingest_logs` once over all of them, audit and commit included. Generation, the start of the session and a
first run of 1 % that warms it up do not count. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import Jvm, machine
from benchmarks.raw_log import write_raw
from benchmarks.shop_log import DAYS, LAST, ShopLog
from benchmarks.warehouse import MEASURABLE
from jobs.ingest.privacy import ensure_user_key
from jobs.ingest_logs import JOB
from jobs.runtime.config import Config
from jobs.runtime.job import run_job
from jobs.runtime.session import start_session

COUNTED = ("events", "requests", "quarantine")


def config_for_raw(folder: Path, memory: str, partitions: int) -> Config:
    """Defaults but for the paths, the key, the size of the session, and that all days are ingested at once."""
    return Config.model_validate({
        "paths": {name: str(folder / name) for name in ("raw", "warehouse", "reports")},
        "spark": {"driver_memory": memory, "shuffle_partitions": partitions, "conf": MEASURABLE},
        "ingest": {"user_key_file": str(ensure_user_key(folder / "key")), "catch_up_days": DAYS - 1},
    })


def measure(spark: Any, config: Config, log: ShopLog) -> dict[str, Any]:
    """Writes and ingests one log: records in, accepted events and requests, bytes and seconds."""
    jvm, raw = Jvm(spark), Path(config.paths.raw)
    write_raw(spark, log, raw)
    size = sum(path.stat().st_size for path in raw.rglob("*.gz"))
    started, cpu = time.monotonic(), jvm.cpu_seconds()
    context = run_job(JOB, config, LAST, lambda: spark)
    seconds, cpu = time.monotonic() - started, jvm.cpu_seconds() - cpu
    rows = {name: sum(m.rows for m in context.outputs.values() if m.dataset == name) for name in COUNTED}
    return {
        "records": context.rows_in, **rows, "raw_mib": round(size / 2**20), "seconds": round(seconds, 2),
        "records_per_second": round(context.rows_in / seconds), "cpu_seconds": round(cpu, 2), "peak_jvm_mib": jvm.peak_mib(),
    }


def main(arguments: list[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ingest", description="Cost of ingest_logs.")
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--skewed", action="store_true", help="one heavy query, item and client (a bot by the rules)")
    parser.add_argument("--memory", default="3g", help="heap of the JVM")
    parser.add_argument("--partitions", type=int, default=16, help="spark.sql.shuffle.partitions")
    parser.add_argument("--folder", type=Path, help="where to work; emptied at the end (default: a temporary folder)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mmse-ingest-", dir=chosen.folder) as folder:
        small, whole = (config_for_raw(Path(folder) / name, chosen.memory, chosen.partitions) for name in ("small", "whole"))
        spark = start_session(whole, "benchmark")
        measure(spark, small, ShopLog(chosen.events // 100 + 1_000))
        shutil.rmtree(small.paths.warehouse)
        found = measure(spark, whole, ShopLog(chosen.events, skewed=chosen.skewed))
        print(json.dumps({**found, "skewed": chosen.skewed, "driver_memory": chosen.memory, **machine()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
