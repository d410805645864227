"""The four inputs of `build_tuples`, published once through the real store."""

from __future__ import annotations

from typing import Any

from pyspark.sql import functions as F

from benchmarks.shop_catalogue import ShopCatalogue, items_of, query_text
from benchmarks.shop_labels import ShopLabels, impressions_of, labelled_requests
from benchmarks.shop_log import LAST
from benchmarks.warehouse import days, linked, rows_of
from jobs.build_tuples import JOB as TUPLES
from jobs.items.locales import FACT, available_by_locale
from jobs.runtime.config import Config
from jobs.runtime.job import Job, JobContext, run_job
from jobs.tuples.vocabulary import count_tokens, rank_tokens

OF_LOG = ("requests", "impressions")
SAMPLE = 50_000
"""Items and queries that the vocabulary is counted from: its own cost is another job's."""
RIGHT = {"unclicked_not_examined": 0.0, "unclicked_of_refined": 0.0, "unknown_stages": 0.0, "nothing_clicked": 0.0}
"""What `label_impressions` counts and the audit asks for; of these rows it holds by construction."""


def publish_catalogue(spark: Any, config: Config, catalogue: ShopCatalogue) -> dict[str, int]:
    """Publishes `items`, audited and committed; returns their rows."""

    def write(context: JobContext) -> None:
        items = items_of(spark, catalogue)
        context.write("items", items, facts={FACT: available_by_locale(items)})

    return rows_of(run_job(Job("shop_catalogue", (), ("items",), write), config, LAST, lambda: spark))


def publish_vocabulary(spark: Any, config: Config, catalogue: ShopCatalogue) -> dict[str, int]:
    """Publishes `vocabulary`, counted in a sample of the catalogue and of its queries; returns its rows."""

    def write(context: JobContext) -> None:
        sample = items_of(spark, catalogue, min(SAMPLE, catalogue.items))
        texts = spark.range(SAMPLE).select(query_text(catalogue, F.col("id")).alias("text"), F.expr("1L").alias("weight"))
        ranked = rank_tokens(count_tokens(sample, texts, config.grains), config.grains)
        context.write("vocabulary", ranked.coalesce(1).sortWithinPartitions("grain", "rank"))

    return rows_of(run_job(Job("shop_vocabulary", (), ("vocabulary",), write), config, LAST, lambda: spark))


def publish_labels(spark: Any, config: Config, log: ShopLabels) -> dict[str, int]:
    """Publishes `requests` by arrival day and `impressions` by event day, audited and committed; returns their rows."""

    def write(context: JobContext) -> None:
        context.write_days("requests", labelled_requests(spark, log), days(), "arrived")
        context.write_days(
            "impressions", impressions_of(spark, log), days(), "event_date",
            describe=lambda _: {day: ({}, RIGHT) for day in days()},
        )

    return rows_of(run_job(Job("shop_labels", (), OF_LOG, write), config, LAST, lambda: spark))


def joined(catalogue: Config, vocabulary: Config, log: Config, target: Config) -> Config:
    """Gives the warehouse of `target` the inputs of all three, and nothing else."""
    for source, datasets in ((catalogue, ("items",)), (vocabulary, ("vocabulary",)), (log, OF_LOG)):
        linked(source, target, datasets)
    return target


def build_all(spark: Any, config: Config) -> JobContext:
    """Runs the real job for the last day."""
    return run_job(TUPLES, config, LAST, lambda: spark)
