"""Warehouses for measuring: inputs published once through the real store, and linked for every repeat."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.shop_log import DAYS, FIRST, LAST, ShopLog, events_of, requests_of
from jobs.label_impressions import JOB as LABELS
from jobs.runtime.config import Config
from jobs.runtime.job import Job, JobContext, run_job
from jobs.runtime.manifest import Manifest
from jobs.runtime.snapshots import SnapshotLog
from jobs.runtime.store import run_folder

INPUTS = ("requests", "events")
BOUNDS: dict[str, dict[str, float]] = {
    "attributions.unattributed_share.warning": {}, "events.by_hour:missing.critical": {}, "requests.by_hour:missing.critical": {},
}
"""A click of this log may have lost its query id and its session's search, and its last day ends early: that tells nothing."""


STREAM_ENTRIES = 100_000
MEASURABLE = {"spark.sql.adaptive.advisoryPartitionSizeInBytes": "16m"}
"""Both cores have work at every size: by Spark's 64 MiB the smaller ones would run on one."""


def config_for(folder: Path, memory: str, partitions: int) -> Config:
    """A configuration with every default but the paths, the session's size, and an item stream as long for every size."""
    return Config.model_validate({
        "item_stream": {"entries": STREAM_ENTRIES},
        "paths": {name: str(folder / name) for name in ("raw", "warehouse", "reports")}, "audit": {"bounds": BOUNDS},
        "spark": {"driver_memory": memory, "shuffle_partitions": partitions, "conf": MEASURABLE},
    })


def publish_log(spark: Any, config: Config, log: ShopLog) -> dict[str, int]:
    """Publishes `requests` and `events` of every arrival day, audited and committed; returns their rows."""
    def write(context: JobContext) -> None:
        for name, frame in zip(INPUTS, (requests_of(spark, log), events_of(spark, log))):
            context.write_days(name, frame, days(), "arrived")

    return rows_of(run_job(Job("shop_log", (), INPUTS, write), config, LAST, lambda: spark))


def days() -> list[str]:
    """The days of a synthetic log as dt strings."""
    return [FIRST.fromordinal(FIRST.toordinal() + n).isoformat() for n in range(DAYS)]


def rows_of(context: JobContext) -> dict[str, int]:
    """Rows that a job has written, by dataset."""
    totals: dict[str, int] = {}
    for (dataset, _), manifest in context.outputs.items():
        totals[dataset] = totals.get(dataset, 0) + manifest.rows
    return totals


def linked(source: Config, target: Config, datasets: Iterable[str] = INPUTS) -> Config:
    """Gives the warehouse of `target` these datasets of `source`, and nothing else; the files are hard links."""
    wanted = set(datasets)
    runs = {key: run for key, run in SnapshotLog(source.paths.warehouse).head().snapshots.items() if key[0] in wanted}
    for (dataset, day), run in runs.items():
        folders = [run_folder(Path(c.paths.warehouse), dataset, day, run) for c in (source, target)]
        shutil.copytree(*folders, copy_function=os.link)
    log = SnapshotLog(target.paths.warehouse)
    log.commit(log.head(), "linked", "linked", runs, {})
    return target


def label_all(spark: Any, config: Config) -> JobContext:
    """Runs the real job for the last day: every event day is labelled."""
    return run_job(LABELS, config, LAST, lambda: spark)


def files_of(config: Config, datasets: Iterable[str]) -> dict[str, list[str]]:
    """The published files of some datasets."""
    root, head = Path(config.paths.warehouse), SnapshotLog(config.paths.warehouse).head()
    found: dict[str, list[str]] = {name: [] for name in datasets}
    for (dataset, day), run in head.snapshots.items():
        if dataset in found:
            folder = run_folder(root, dataset, day, run)
            found[dataset] += [str(folder / file.path) for file in Manifest.read(folder).files]
    return found
