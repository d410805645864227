"""The simulated market with everything behind its delivery: each record as it was before any fault, and what became of it.

The simulator's job runs as it is (raw feed, truth); then its own functions write the same records once more,
with every fault's share at 0, and its faults with their names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs import simulate_market
from jobs.market import behaviour, faults
from jobs.market.config import FaultSettings
from jobs.market.delivery import Scratch
from jobs.market.documents import object_id
from jobs.market.draws import Draws
from jobs.market.timeline import Timeline
from jobs.runtime.job import Job, JobContext, run_job

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from pyspark.sql import DataFrame, SparkSession

    from jobs.runtime.config import Config

DESTROYING = (
    "lost_request", "not_json", "missing_timestamp", "null_object_id", "bad_position", "unknown_action", "too_late",
    "not_delivered",
)
"""Faults after which a delivery is of no use; a record is destroyed where each of its deliveries has one."""


@dataclass(frozen=True)
class MarketStream:
    """Tables of one simulated market.

    Attributes:
        complete: kind, key, line: every record once, as the shop would have logged it without faults.
        deliveries: kind, key, arrival_date, line, faults: every delivery, those that never reach a file included.
        latent: query_id, object_id, position, examined, clicked, carted, ordered: what was on the pages, and
            what their readers did.
    """

    complete: DataFrame
    deliveries: DataFrame
    latent: DataFrame

    def destroyed(self) -> DataFrame:
        """kind, key, fault of every record that no delivery brings unharmed."""
        whole = ~F.arrays_overlap("faults", F.lit(list(DESTROYING)))
        by_record = self.deliveries.groupBy("kind", "key").agg(
            F.max(whole).alias("whole"), F.array_min(F.flatten(F.collect_list(
                F.filter("faults", lambda fault: fault.isin(*DESTROYING))
            ))).alias("fault"),
        )
        return by_record.where(~F.col("whole")).drop("whole")


def simulate(spark: SparkSession, config: Config, last: date, folder: Path) -> MarketStream:
    """Runs `simulate_market` for the days that end at `last`, and keeps the tables of the stream in `folder`."""
    def invent(context: JobContext) -> None:
        with Scratch(Path(config.paths.raw).absolute(), context.run_id) as scratch:
            pages, actions = simulate_market.invent(context, scratch)
            for name, table in _tables(context, pages, actions).items():
                table.write.parquet(str(folder / name))

    job = simulate_market.JOB
    run_job(Job(job.name, reads=job.reads, writes=job.writes, run=invent), config, last, lambda: spark)
    return read_stream(spark, folder)


def read_stream(spark: SparkSession, folder: Path) -> MarketStream:
    """The tables that `simulate` kept."""
    return MarketStream(*[spark.read.parquet(str(folder / name)) for name in ("complete", "deliveries", "latent")])


def _tables(context: JobContext, pages: DataFrame, actions: DataFrame) -> dict[str, DataFrame]:
    settings, draws = context.config.market, Draws(context.config.seed)
    timeline = Timeline(context.date, settings.days)
    none = settings.model_copy(update={"faults": FaultSettings(**dict.fromkeys(FaultSettings.model_fields, 0.0))})

    def lines(write: Callable[..., DataFrame], records: DataFrame) -> tuple[DataFrame, DataFrame]:
        return write(records, none, draws, timeline), write(records, settings, draws, timeline)

    requests, events = lines(faults.request_lines, pages), lines(faults.event_lines, actions)
    complete, deliveries = (query.unionByName(event) for query, event in zip(requests, events, strict=True))
    shown = behaviour.shown(pages, settings, draws)
    return {
        "complete": complete.select("kind", "key", "line"),
        "deliveries": deliveries.select("kind", "key", "arrival_date", "line", "faults"),
        "latent": shown.select(
            "query_id", object_id(F.col("item_id")).alias("object_id"), "position", "examined", "clicked", "carted", "ordered"
        ),
    }
