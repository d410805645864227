"""Cost of training tuples: python -m benchmarks.tuples --impressions 10000000 --items 5000000

Publishes catalogues and logs of several sizes, runs the real job `build_tuples` on each, audit and commit included, and
the same job on the same files by hand in one process (DuckDB, numpy, pyarrow). Impressions vary over N/8 to N with
few items, items over M/50 to M with N/8 impressions, and the largest size has N and M. Whatever no draw decides is
compared at each size; a difference ends the benchmark with exit code 1. The start of the session does not count, nor
does a first round over the smaller sizes. Then a standalone cluster builds the smallest and the largest catalogue's
tuples once more, for the driver's memory. Prints tables and, last, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import Jvm
from benchmarks.reference import connect
from benchmarks.shop_catalogue import ShopCatalogue
from benchmarks.shop_labels import ShopLabels
from benchmarks.shop_log import LAST
from benchmarks.stages import Cost, StatusStores
from benchmarks.stages import table as query_table
from benchmarks.tuples_compare import differences
from benchmarks.tuples_driver import DriverMemory, on_cluster
from benchmarks.tuples_reference import build_with_duckdb
from benchmarks.tuples_report import Measured, Scans, report, table
from benchmarks.tuples_warehouse import build_all, joined, publish_catalogue, publish_labels, publish_vocabulary
from benchmarks.warehouse import config_for, files_of
from jobs.runtime.config import Config
from jobs.runtime.job import JobContext
from jobs.runtime.session import start_session

Size = tuple[int, int]
"""(impressions, items)"""
SCANS = 5
DATASETS = ("items", "requests", "impressions", "vocabulary", "tuples", "item_stream")


class Benchmark:
    """One session, one folder, several sizes."""

    def __init__(self, folder: Path, memory: str, partitions: int) -> None:
        self.folder, self.memory, self.partitions = folder, memory, partitions
        self.spark: Any = start_session(self.config("session"), "benchmark")
        self.jvm, self.stores = Jvm(self.spark), StatusStores(self.spark)
        self.rows: dict[Size, dict[str, int]] = {}

    def config(self, name: str) -> Config:
        """A configuration with a warehouse of that name."""
        return config_for(self.folder / name, self.memory, self.partitions)

    def publish(self, sizes: list[Size]) -> None:
        """Publishes every catalogue and every log once, and one vocabulary for all."""
        for items in sorted({items for _, items in sizes}):
            publish_catalogue(self.spark, self.config(f"items{items}"), ShopCatalogue(items))
        publish_vocabulary(self.spark, self.config("vocabulary"), ShopCatalogue(max(items for _, items in sizes)))
        for size in sizes:
            log = ShopLabels.of(*size)
            self.rows[size] = publish_labels(self.spark, self.config(f"log{size[0]}-{size[1]}"), log)

    def inputs(self, size: Size, name: str) -> Config:
        """A fresh warehouse with the inputs of a size."""
        sources = (self.config(n) for n in (f"items{size[1]}", "vocabulary", f"log{size[0]}-{size[1]}"))
        return joined(*sources, self.config(name))

    def warm_up(self, size: Size) -> None:
        """Builds once, for the JVM's sake."""
        build_all(self.spark, self.inputs(size, "warm"))
        shutil.rmtree(self.folder / "warm")

    def measure(self, size: Size, repeats: int) -> tuple[Measured, Cost]:
        """Builds `repeats` times and compares the last tuples with the reference's; the cost is of the last run."""
        runs = []
        for _ in range(repeats):
            shutil.rmtree(self.folder / "run", ignore_errors=True)
            config = self.inputs(size, "run")
            self.stores.begin()
            started, cpu = time.monotonic(), self.jvm.cpu_seconds_with_workers()
            built = build_all(self.spark, config)
            runs.append((time.monotonic() - started, self.jvm.cpu_seconds_with_workers() - cpu))
        cost, (seconds, cpu) = self.stores.cost(), (statistics.median(column) for column in zip(*runs))
        reference = self.compare(config, built)
        tuples, stream = (built.outputs[name, built.dt] for name in ("tuples", "item_stream"))
        return Measured(
            self.rows[size]["impressions"], size[1], self.rows[size]["requests"], tuples.rows, stream.rows,
            sum(file.bytes for file in tuples.files), round(seconds, 2), round(cpu, 2), round(reference, 2),
        ), cost

    def compare(self, config: Config, built: JobContext) -> float:
        """Seconds of the reference. Exits where the two differ."""
        files, folder = files_of(config, DATASETS), self.folder / "reference"
        tuples, stream = (built.outputs[name, built.dt] for name in ("tuples", "item_stream"))
        with connect(self.folder / "spill") as database:
            seconds = build_with_duckdb(database, files, config, folder)
            found = differences(database, files, tuples, stream, folder, config)
        shutil.rmtree(folder)
        if found:
            sys.exit("tuples of Spark and the reference differ: " + "; ".join(found[:5]))
        return seconds

    def scan(self, items: int) -> float:
        """Median seconds of reading every column of the item table and dropping the rows."""
        files, seconds = files_of(self.config(f"items{items}"), ["items"])["items"], []
        for _ in range(SCANS + 1):
            started = time.monotonic()
            self.spark.read.parquet(*files).write.format("noop").mode("overwrite").save()
            seconds.append(time.monotonic() - started)
        return round(statistics.median(seconds[1:]), 3)

    def drivers(self, sizes: list[Size]) -> dict[int, DriverMemory]:
        """Items -> the driver's memory on a standalone cluster, with the fewest impressions."""
        self.spark.stop()
        fewest = min(impressions for impressions, _ in sizes)
        items = [pick(m for n, m in sizes if n == fewest) for pick in (min, max)]
        configs = [self.inputs((fewest, m), f"cluster{m}") for m in items]
        return dict(zip(items, on_cluster(self.folder / "cluster", configs, LAST)))


def sizes_of(impressions: int, items: int) -> list[Size]:
    """Impressions vary with few items, items with few impressions; the largest of both comes last."""
    few_items, few = max(items // 50, 1_000), impressions // 8
    rising = [(impressions >> n, few_items) for n in (3, 2, 1, 0)]
    return list(dict.fromkeys([*rising, (few, items // 4), (few, items), (impressions, items)]))


def main(arguments: list[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuples", description="Cost of build_tuples.")
    parser.add_argument("--impressions", type=int, default=10_000_000, help="of the largest size")
    parser.add_argument("--items", type=int, default=5_000_000, help="of the largest catalogue")
    parser.add_argument("--repeats", type=int, default=1, help="of each size")
    parser.add_argument("--driver", action=argparse.BooleanOptionalAction, default=True, help="the driver's memory on a cluster")
    parser.add_argument("--memory", default="3g", help="heap of the JVM")
    parser.add_argument("--partitions", type=int, default=16, help="spark.sql.shuffle.partitions")
    parser.add_argument("--folder", type=Path, help="where to work; emptied at the end (default: a temporary folder)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mmse-tuples-", dir=chosen.folder) as folder:
        benchmark, sizes = Benchmark(Path(folder), chosen.memory, chosen.partitions), sizes_of(chosen.impressions, chosen.items)
        benchmark.publish(sizes)
        for size in sizes:
            if size[0] < chosen.impressions:
                benchmark.warm_up(size)
        measured, costs = zip(*(benchmark.measure(size, chosen.repeats) for size in sizes))
        scans: Scans = {items: benchmark.scan(items) for items in sorted({items for _, items in sizes})}
        peak = benchmark.jvm.peak_mib()
        print(table(list(measured)), query_table(costs[-1].queries), sep="\n\n")
        drivers = benchmark.drivers(sizes) if chosen.driver else {}
        print(json.dumps(report(list(measured), scans, costs[-1], drivers, peak) | {"driver_memory": chosen.memory}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
