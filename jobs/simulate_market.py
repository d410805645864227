"""Invents a shop: catalogue, shoppers, bots, a search log with its faults, and the truth behind all of it.

    spark-submit jobs/simulate_market.py --config conf/demo.yaml --date 2026-01-08

Writes `<paths.raw>/dt=DAY/` for the `market.days` days that end at the date, and publishes the hidden
truth as the datasets `truth_*`, which evaluation may read and training may not.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pyspark.sql import functions as F

from jobs.market import behaviour, catalogue, documents, faults, intents, ranker, real, utility
from jobs.market.bots import visits_of_bots
from jobs.market.delivery import Scratch, publish_days
from jobs.market.documents import object_id
from jobs.market.draws import Draws
from jobs.market.timeline import Timeline, day_of
from jobs.market.visits import visits_of_people
from jobs.runtime.job import Job, JobContext
from jobs.runtime.main import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import DataFrame, SparkSession

    from jobs.market.config import MarketSettings

T = TypeVar("T")
KINDS = ("queries", "events", "catalogue")


def run(context: JobContext) -> None:
    """Simulates the market, delivers the raw feed and publishes the truth."""
    with Scratch(Path(context.config.paths.raw).absolute(), context.run_id) as scratch:
        invent(context, scratch)


def invent(context: JobContext, scratch: Scratch) -> tuple[DataFrame, DataFrame]:
    """The whole job; returns the pages shown and what was done on them, without any fault, as tables of `scratch`."""
    settings, draws = context.config.market, Draws(context.config.seed)
    timeline = Timeline(context.date, settings.days)
    raw = Path(context.config.paths.raw).absolute()
    items, offers = supply(context, scratch, settings, draws, timeline)
    visits = scratch.keep("visits", everybody(context, settings, draws, timeline))
    pages = scratch.keep("pages", ranker.pages(visits, offers, settings, draws))
    actions = demand(context, scratch, pages, items, draws, timeline)
    context.notes.update(publish_days(context.spark, scratch, raw, KINDS, timeline.names))
    return pages, actions


def supply(
    context: JobContext, scratch: Scratch, settings: MarketSettings, draws: Draws, timeline: Timeline
) -> tuple[DataFrame, DataFrame]:
    """The catalogue, and what the shop can offer to each intent; publishes how much each item suits."""
    stock = real_stock if settings.catalogue else invented_stock
    items, wants, said = stock(context.spark, scratch, settings, draws, timeline)
    pairs, texts = side_by_side(
        lambda: scratch.keep("utility", utility.utility(wants, items, settings, draws)),
        lambda: scratch.keep("texts", said),
    )
    known = texts.join(wants.select("intent_id", "wish_brand", "wish_brand_name"), "intent_id")
    offers, _ = side_by_side(
        lambda: scratch.keep("offers", utility.pools(pairs, settings.ranker).join(known, "intent_id")),
        lambda: context.write("truth_utility", truth_utility(pairs)),
    )
    return items, offers


def invented_stock(
    spark: SparkSession, scratch: Scratch, settings: MarketSettings, draws: Draws, timeline: Timeline
) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Items, intents, and the texts that say them, all invented."""
    nouns = scratch.keep("nouns", catalogue.nouns(spark, settings, draws))
    items, wants = side_by_side(
        lambda: scratch.keep("items", catalogue.items(nouns, settings, draws, timeline)),
        lambda: scratch.keep("intents", intents.intents(nouns, settings, draws)),
    )
    return items, wants, intents.texts(wants, nouns, settings, draws)


def real_stock(
    spark: SparkSession, scratch: Scratch, settings: MarketSettings, draws: Draws, timeline: Timeline
) -> tuple[DataFrame, DataFrame, DataFrame]:
    """The items of `market.catalogue`, intents that they suggest, and the texts that say them."""
    items = scratch.keep("items", real.items(spark, settings, draws, timeline, scratch))
    wants = scratch.keep("intents", real.intents(items, settings, draws))
    return items, wants, real.texts(wants, settings, draws)


def everybody(context: JobContext, settings: MarketSettings, draws: Draws, timeline: Timeline) -> DataFrame:
    """Every request of the simulated days, by people and by bots."""
    people = visits_of_people(context.spark, settings, draws, timeline)
    bots = visits_of_bots(context.spark, settings, draws, timeline)
    visits = people if bots is None else people.unionByName(bots)
    return visits.where(F.col("ts") < timeline.start + timeline.length)


def demand(
    context: JobContext, scratch: Scratch, pages: DataFrame, items: DataFrame, draws: Draws, timeline: Timeline
) -> DataFrame:
    """What visitors do with the pages they see, and what of it reaches the files. Returns what they do."""
    settings = context.config.market
    shown = behaviour.shown(pages, settings, draws)
    requests = faults.request_lines(pages, settings, draws, timeline)
    deliver = partial(scratch.write_lines, days=settings.days, files_per_day=settings.files_per_day)
    actions, *_ = side_by_side(
        lambda: scratch.keep("actions", behaviour.events(shown, draws)),
        lambda: context.write("truth_examination", truth_examination(shown)),
        lambda: context.write("truth_requests", truth_requests(pages)),
        lambda: deliver("queries", faults.delivered(requests)),
    )
    events = faults.event_lines(actions, settings, draws, timeline)
    side_by_side(
        lambda: deliver("events", faults.delivered(events)),
        lambda: deliver("catalogue", documents.catalogue_lines(items, timeline)),
        lambda: context.write("truth_faults", faults.fault_counts(requests.unionByName(events))),
    )
    return actions


def side_by_side(*steps: Callable[[], T]) -> list[T]:
    """The results of independent steps; while one is planned, another computes."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda step: step(), steps))


def truth_utility(pairs: DataFrame) -> DataFrame:
    """How much each item of the right noun suits an intent, and what the production ranker thinks of it."""
    return pairs.select(
        "intent_id", object_id(F.col("item_id")).alias("object_id"), "relevance", "click_probability",
        "order_probability", "ranker_score",
    )


def truth_requests(pages: DataFrame) -> DataFrame:
    """Which intent, and which kind of visitor, stood behind a request."""
    return pages.select("query_id", "intent_id", "query_text", "actor", day_of(F.col("ts")).alias("event_date"))


def truth_examination(shown: DataFrame) -> DataFrame:
    """What was shown, and whether anybody looked at it."""
    return shown.select(
        "query_id", object_id(F.col("item_id")).alias("object_id"), "position", "examined",
        day_of(F.col("ts")).alias("event_date"),
    )


JOB = Job(
    "simulate_market", reads=(), run=run,
    doc="invents a catalogue, a search log with faults, and the truth behind both",
    writes=("truth_requests", "truth_utility", "truth_examination", "truth_faults"),
)

if __name__ == "__main__":
    sys.exit(main(JOB))
