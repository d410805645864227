"""A simulated shop that is delivered, ingested and labelled by the real jobs, beside all that is known of its records."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from benchmarks.market_stream import simulate
from jobs import ingest_logs, label_impressions
from jobs.ingest.privacy import ensure_user_key
from jobs.runtime.config import Config
from jobs.runtime.job import run_job
from jobs.runtime.manifest import Manifest
from jobs.runtime.sections import PathSettings
from jobs.runtime.snapshots import SnapshotLog
from tests.jobs.ingest_cases import NO_BOUNDS
from tests.jobs.labels.market_log import ClientDay, MarketLog, Record, oracles, shuffle_files
from tests.jobs.labels.oracle import Oracle, Row
from tests.jobs.labels.streams import collected
from tests.jobs.published import config_in

LAST = date(2026, 1, 8)
STAGES = [
    {"name": "random", "source": "stream"}, {"name": "unclicked", "evidence": "examined"},
    *({"name": name, "evidence": name, "positive": True} for name in ("clicked", "carted", "ordered")),
]
NO_BEHAVIOUR_RULES = {
    "max_requests_per_day": 10**9, "max_events_per_day": 10**9, "max_requests_per_minute": 1_000, "steady_steps": 10**9,
    "idle_requests": 10**9, "breadth_queries": 10**9, "repeat_requests": 10**9, "eager_requests": 10**9,
}
"""Bot settings under which only a telling user agent counts: who is left out is then known without asking ingest."""


@dataclass(eq=False)
class Shop:
    """One simulated shop, ingested and labelled."""

    config: Config
    log: MarketLog
    window: int

    def manifests(self, dataset: str) -> dict[str, Manifest]:
        """Day -> the published manifest."""
        head = SnapshotLog(self.config.paths.warehouse).head()
        folder = Path(self.config.paths.warehouse) / dataset
        return {d: Manifest.read(folder / f"dt={d}" / f"run={head.run(dataset, d)}") for d in head.days(dataset)}

    def table(self, spark: SparkSession, dataset: str, days: Iterable[str] | None = None) -> DataFrame:
        """The published rows, of some or all days."""
        published, root = self.manifests(dataset), Path(self.config.paths.warehouse) / dataset
        return spark.read.parquet(*[f"{root}/dt={d}/run={published[d].run_id}" for d in days or published])

    def rows(self, spark: SparkSession, dataset: str, *key: str) -> dict[Any, Row]:
        """Key (a tuple where it has several columns) -> the other columns."""
        found = {}
        for row in collected(self.table(spark, dataset)):
            names = tuple(row.pop(name) for name in key)
            found[names if len(key) > 1 else names[0]] = row
        return found

    def ledger(self, spark: SparkSession) -> Counter[tuple[str, ...]]:
        """(arrival day, kind, disposition, reason) -> records."""
        found: Counter[tuple[str, ...]] = Counter()
        for day in self.manifests("ledger"):
            for r in self.table(spark, "ledger", [day]).collect():
                found[day, r["kind"], r["disposition"], r["reason"]] += r["records"]
        return found

    def injected(self, spark: SparkSession) -> Counter[str]:
        """Fault -> records, from the simulator's truth."""
        found: Counter[str] = Counter()
        for row in self.table(spark, "truth_faults").collect():
            found[row["fault"]] += row["records"]
        return found

    def flagged_days(self, spark: SparkSession) -> set[ClientDay]:
        """Client days of which nothing was published."""
        published = set()
        for dataset in ("requests", "events"):
            for day in self.manifests(dataset):
                who = self.table(spark, dataset, [day]).select("client_id").distinct().collect()
                published |= {(day, r["client_id"]) for r in who}
        return self.log.client_days() - published

    def oracles(self, left_out: Iterable[Record]) -> list[Oracle]:
        """The oracle over the complete stream without some records."""
        return self._oracles(frozenset(left_out))

    @cache  # noqa: B019 - a shop lives as long as the tests that ask
    def _oracles(self, left_out: frozenset[Record]) -> list[Oracle]:
        return oracles(self.log.requests(left_out), self.log.events(left_out), order_days=self.window)

    def expected_impressions(self, left_out: Iterable[Record]) -> dict[tuple[str, str], Row]:
        """(query_id, object_id) -> all other columns of `impressions`."""
        return {key: row for oracle in self.oracles(left_out) for key, row in oracle.impressions().items()}

    def expected_attributions(self, left_out: Iterable[Record]) -> dict[str, Row]:
        """event_id -> all other columns of `attributions`."""
        rows = {}
        for oracle in self.oracles(left_out):
            happened = {e["event_id"]: e for e in oracle.events}
            for event_id, (rule, query_id, undone_ts) in oracle.attributions().items():
                own = {name: happened[event_id][name] for name in ("ts", "action", "object_id", "position", "event_date")}
                undone = {"undone_ts": undone_ts, "undone": undone_ts is not None}
                rows[event_id] = {**own, "rule": rule, "query_id": query_id, **undone}
        return rows

    def reach_of_destroyed(self) -> set[str]:
        """Queries whose labels a destroyed record can change: those of the clients who made it."""
        clients = {self.log.client(record) for record in self.log.destroyed}
        users = {d.get("user_id") for d in map(self.log.documents.get, self.log.destroyed) if d} - {None}

        def touched(document: Row) -> bool:
            user = document["query_attributes"].get("user_id")
            return document["client_id"] in clients or user in users

        return {key for (kind, key), document in self.log.documents.items() if kind == "query" and touched(document)}


def open_shop(
    spark: SparkSession, folder: Path, market: Mapping[str, Any], bots: Mapping[str, Any], window: int, nights: Iterable[int]
) -> Shop:
    """Simulates, delivers in shuffled files, and on each of `nights` (days before the last) ingests and labels."""
    key = ensure_user_key(folder / "key")
    config = config_in(
        folder, market=dict(market), stages=STAGES, labels={"order_window_days": window}, audit={"bounds": NO_BOUNDS},
        ingest={"user_key_file": str(key), "catch_up_days": 30, "bots": dict(bots)},
    )
    stream = simulate(spark, config, LAST, folder / "stream")
    shuffle_files(Path(config.paths.raw), seed=7)
    for night in nights:
        for job in (ingest_logs.JOB, label_impressions.JOB):
            run_job(job, config, LAST - timedelta(days=night), lambda: spark)
    return Shop(config, MarketLog(stream, bytes.fromhex(key.read_text())), window)


def deliver_again(spark: SparkSession, shop: Shop, folder: Path, seed: int) -> Shop:
    """The same raw lines in other files and another order, every tenth twice, ingested and labelled in one run."""
    shutil.copytree(shop.config.paths.raw, folder / "raw")
    shuffle_files(folder / "raw", seed, files=2 + seed, again=10)
    paths = {name: str(folder / name) for name in ("raw", "warehouse", "reports")}
    config = shop.config.model_copy(update={"paths": PathSettings(**paths)})
    for job in (ingest_logs.JOB, label_impressions.JOB):
        run_job(job, config, LAST, lambda: spark)
    return Shop(config, shop.log, shop.window)


def assert_same(found: dict[Any, Row], expected: dict[Any, Row]) -> None:
    """Row for row, with the rows that differ in the message."""
    assert (found.keys() - expected.keys(), expected.keys() - found.keys()) == (set(), set())
    assert [(key, found[key], expected[key]) for key in expected if found[key] != expected[key]] == []
