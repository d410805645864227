"""Cost of labelling: python -m benchmarks.labels --events 10000000 [--skewed]

Publishes synthetic `requests` and `events` of N/8, N/4, N/2 and N events, runs the real job `label_impressions` on each,
audit and commit included, and one DuckDB query by the same rules on the same files with as many threads as Spark
has. The impressions of both are compared row for row; a difference ends the benchmark with exit code 1. The start of the
session does not count, nor does a first round over all sizes but the largest: until the JVM has compiled what runs
often, an event costs up to twice as much, and a straight line through sizes measured on the way says nothing.
Prints a table and, last, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.fit import growth, line
from benchmarks.machine import Jvm, machine
from benchmarks.reference import connect, differences, label_with_duckdb
from benchmarks.shop_log import ShopLog
from benchmarks.warehouse import config_for, files_of, label_all, linked, publish_log
from jobs.runtime.session import start_session

MOST_REPEATS = 3


@dataclass(frozen=True)
class Measured:
    """One size: rows as published, medians of seconds, and processor seconds of the JVM for one run."""

    events: int
    requests: int
    impressions: int
    seconds: float
    cpu_seconds: float
    duckdb_seconds: float
    skewed: bool = False

    @property
    def ratio(self) -> float:
        """Seconds of the job for one of DuckDB."""
        return self.seconds / self.duckdb_seconds


class Benchmark:
    """One session, one folder, several sizes."""

    def __init__(self, folder: Path, memory: str, partitions: int) -> None:
        self.folder, self.memory, self.partitions = folder, memory, partitions
        self.spark: Any = start_session(config_for(folder, memory, partitions), "benchmark")
        self.jvm = Jvm(self.spark)

    def measure(self, log: ShopLog, repeats: int) -> Measured:
        """Publishes a log, labels it `repeats` times and compares the last labels with DuckDB's."""
        root = self.folder / f"{log.events}{'-skewed' if log.skewed else ''}"
        source = config_for(root / "given", self.memory, self.partitions)
        rows = publish_log(self.spark, source, log)
        runs = []
        for number in range(repeats):
            labelled = linked(source, config_for(root / f"run{number}", self.memory, self.partitions))
            started, cpu = time.monotonic(), self.jvm.cpu_seconds()
            label_all(self.spark, labelled)
            runs.append((time.monotonic() - started, self.jvm.cpu_seconds() - cpu))
        impressions, duckdb_seconds = self.compare(labelled, root, repeats)
        shutil.rmtree(root)
        seconds, cpu = (statistics.median(column) for column in zip(*runs))
        return Measured(
            rows["events"], rows["requests"], impressions, round(seconds, 2), round(cpu, 2), round(duckdb_seconds, 2), log.skewed
        )

    def warm_up(self, log: ShopLog) -> None:
        """Labels a log once, for the JVM's sake."""
        config = config_for(self.folder / "warm", self.memory, self.partitions)
        publish_log(self.spark, config, log)
        label_all(self.spark, config)
        shutil.rmtree(self.folder / "warm")

    def compare(self, labelled: Any, root: Path, repeats: int) -> tuple[int, float]:
        """(impressions, median seconds of DuckDB). Exits where a row differs."""
        with connect(root / "spill") as database:
            files, target = files_of(labelled, ("requests", "events", "impressions")), root / "duckdb.parquet"
            seconds = [label_with_duckdb(database, files, labelled.labels, target) for _ in range(repeats)]
            rows, different = differences(database, files["impressions"], target)
        if different:
            sys.exit(f"labels of Spark and DuckDB differ, for instance {different[0]}")
        return rows, statistics.median(seconds)


def sizes_of(events: int, sizes: int) -> list[int]:
    """Doubling sizes up to `events`."""
    return [events >> n for n in reversed(range(sizes))]


def report(measured: list[Measured], peak_mib: float, memory: str) -> dict[str, Any]:
    """The figures of the last line."""
    uniform = [m for m in measured if not m.skewed]
    points = [(m.events, m.seconds) for m in uniform]
    largest, skewed = uniform[-1], next((m for m in measured if m.skewed), None)
    a, b = line(points) if len(points) > 1 else (None, None)
    grown, grown_cpu = growth(points), growth([(m.events, m.cpu_seconds) for m in uniform])
    return {
        "events": largest.events, "seconds": largest.seconds, "ratio_to_duckdb": round(largest.ratio, 2),
        "growth": _rounded(grown), "growth_of_processor_seconds": _rounded(grown_cpu), "peak_jvm_mib": peak_mib,
        "skew_ratio": round(skewed.seconds / largest.seconds, 2) if skewed else None,
        "equal_rows": sum(m.impressions for m in measured),
        "fixed_seconds": a if a is None else round(a, 2), "seconds_per_million": b if b is None else round(b * 1e6, 2),
        "driver_memory": memory, **machine(), "sizes": [asdict(m) for m in measured],
    }


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 3)


def table(measured: list[Measured]) -> str:
    """The sizes as Markdown."""
    lines = ["| input | events | requests | impressions | seconds | processor seconds | DuckDB seconds | ratio |",
             "|---|---:|---:|---:|---:|---:|---:|---:|"]
    for m in measured:
        shape = "skewed" if m.skewed else "uniform"
        lines.append(f"| {shape} | {m.events:,} | {m.requests:,} | {m.impressions:,} | {m.seconds:.1f} | "
                     f"{m.cpu_seconds:.1f} | {m.duckdb_seconds:.1f} | {m.ratio:.1f} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.labels", description="Cost of label_impressions.")
    parser.add_argument("--events", type=int, default=10_000_000, help="events of the largest size")
    parser.add_argument("--sizes", type=int, default=4, help="how many sizes, each half of the next")
    parser.add_argument("--repeats", type=int, default=1, help="of the largest size; smaller ones: up to three")
    parser.add_argument("--skewed", action="store_true", help="the largest size once more, skewed")
    parser.add_argument("--memory", default="3g", help="heap of the JVM")
    parser.add_argument("--partitions", type=int, default=16, help="spark.sql.shuffle.partitions")
    parser.add_argument("--folder", type=Path, help="where to work; emptied at the end (default: a temporary folder)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mmse-labels-", dir=chosen.folder) as folder:
        benchmark = Benchmark(Path(folder), chosen.memory, chosen.partitions)
        sizes = sizes_of(chosen.events, chosen.sizes)
        for size in sizes[:-1] or sizes:
            benchmark.warm_up(ShopLog(size))
        measured = [
            benchmark.measure(ShopLog(size), max(chosen.repeats, min(MOST_REPEATS, chosen.repeats * chosen.events // size)))
            for size in sizes
        ]
        if chosen.skewed:
            measured.append(benchmark.measure(ShopLog(chosen.events, skewed=True), chosen.repeats))
        print(table(measured))
        print(json.dumps(report(measured, benchmark.jvm.peak_mib(), chosen.memory)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
