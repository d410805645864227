"""Row 12: one query has 30 % of all rows, one item more than 20 % of what is seen, one endless session a tenth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from benchmarks.machine import Jvm
from benchmarks.shop_catalogue import ShopCatalogue
from benchmarks.shop_log import ShopLog
from benchmarks.stages import Stage, StatusStores
from benchmarks.tuples_warehouse import build_all, publish_catalogue, publish_vocabulary
from benchmarks.warehouse import config_for, files_of, label_all, linked, publish_log
from jobs.runtime.config import Config

EVENTS, ITEMS = 60_000, 1_200
"""A log of so many events shows so many items."""
CAP = 50
"""Far below what the head query would have: about 500 training tuples."""
TASKS = 32
"""Where rows are spread by query, the head query's task has 30 % and a 32nd of the rest: 15 times the rows of any other."""
WITHIN, TIMES = 2.0, 10.0
MORE_ROWS = 1.25
"""A task of the skewed log may receive so many times the rows of the fullest one of the uniform log (11,208 of 89,000 impressions).
The head query's third of all events, or of all impressions, in one task would be over 18,000."""
JUDGED = 0.25
"""Processor seconds. A task of some milliseconds that meets the compiler or the collector takes 30 times the median in the
uniform log too (up to 0.18 s); what takes less than this cannot make a job of 20 seconds wait. With so few events no task
takes as long (0.10 s): a straggler is found by its rows first."""


@dataclass(frozen=True)
class Night:
    """What labelling a log and building its tuples took: processor seconds, every stage, and the tuples of each query."""

    seconds: float
    stages: list[Stage]
    per_query: dict[str, int]
    capped: int


@pytest.fixture
def many_tasks(spark: SparkSession) -> Iterator[SparkSession]:
    """A session that leaves every shuffle its partitions: put together, no task would be small beside another."""
    changed = {"spark.sql.shuffle.partitions": str(TASKS), "spark.sql.adaptive.coalescePartitions.enabled": "false"}
    before = {name: spark.conf.get(name) for name in changed}
    for name, value in changed.items():
        spark.conf.set(name, value)
    yield spark
    for name, value in before.items():
        spark.conf.set(name, str(value))


class Shop:
    """One catalogue and vocabulary, and logs beside them in warehouses of their own."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark, self.folder = spark, folder
        self.jvm, self.stores = Jvm(spark), StatusStores(spark)
        publish_catalogue(spark, self.config("shop"), ShopCatalogue(ITEMS))
        publish_vocabulary(spark, self.config("shop"), ShopCatalogue(ITEMS))

    def config(self, name: str) -> Config:
        config = config_for(self.folder / name, "2g", TASKS)
        few = config.item_stream.model_copy(update={"entries": 2_000})
        return config.model_copy(update={
            "item_stream": few, "tuples": config.tuples.model_copy(update={"max_per_query": CAP}),
        })

    def night(self, name: str, log: ShopLog) -> Night:
        """Publishes a log, then measures its labels and tuples; whatever the audit finds wrong ends the test."""
        config = self.config(name)
        publish_log(self.spark, config, log)
        linked(self.config("shop"), config, ("items", "vocabulary"))
        self.stores.begin()
        begun = self.jvm.cpu_seconds_with_workers()
        label_all(self.spark, config)
        built = build_all(self.spark, config)
        seconds = self.jvm.cpu_seconds_with_workers() - begun
        stages = self.stores.stages_run()
        rows = self.spark.read.parquet(*files_of(config, ["tuples"])["tuples"]).where("split = 'train'")
        counts = {row["query_norm"]: row["n"] for row in rows.groupBy("query_norm").agg(F.count("*").alias("n")).collect()}
        return Night(seconds, stages, counts, built.outputs["tuples", built.dt].facts["capped"]["train"])


def stragglers(stages: list[Stage]) -> list[Stage]:
    """Stages whose longest task took over ten times the median one, and long enough to matter."""
    return [s for s in stages if s.longest > max(JUDGED, TIMES * s.median)]


@pytest.mark.slow
def test_row_12_one_query_with_three_rows_in_ten_costs_no_more_than_a_uniform_log_and_keeps_to_its_cap(
    many_tasks: SparkSession, tmp_path: Path
) -> None:
    shop = Shop(many_tasks, tmp_path)
    shop.night("warm", ShopLog(EVENTS // 4))  # what the JVM has not compiled yet costs twice as much
    uniform, skewed = shop.night("uniform", ShopLog(EVENTS)), shop.night("skewed", ShopLog(EVENTS, skewed=True))
    assert skewed.seconds < WITHIN * uniform.seconds
    fullest, usual = (max(stage.most_rows for stage in night.stages) for night in (skewed, uniform))
    assert 0 < fullest < MORE_ROWS * usual, f"a task of the skewed log received {fullest:.0f} rows, of the uniform one {usual:.0f}"
    assert stragglers(skewed.stages) == []
    assert sum(s.tasks == TASKS for s in skewed.stages) > 10, "the shuffles were not spread over as many tasks as were asked for"
    assert skewed.per_query["query 0"] == max(skewed.per_query.values()) == CAP
    assert skewed.capped > 5 * CAP
