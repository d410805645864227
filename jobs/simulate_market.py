"""Invents a shop: catalogue, shoppers, bots, a search log with its faults, and the truth behind all of it.

    spark-submit jobs/simulate_market.py --config conf/demo.yaml --date 2026-01-08

Writes `<paths.raw>/dt=DAY/` for the `market.days` days that end at the date, and publishes the hidden
truth as the datasets `truth_*`, which evaluation may read and training may not.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from jobs.market import behaviour, catalogue, documents, faults, intents, ranker, utility
from jobs.market.bots import visits_of_bots
from jobs.market.delivery import Scratch, publish_days
from jobs.market.documents import object_id
from jobs.market.draws import Draws
from jobs.market.timeline import Timeline, day_of
from jobs.market.visits import visits_of_people
from jobs.runtime.job import Job, JobContext
from jobs.runtime.main import main

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

KINDS = ("queries", "events", "catalogue")


def run(context: JobContext) -> None:
    """Simulates the market, delivers the raw feed and publishes the truth."""
    settings, draws = context.config.market, Draws(context.config.seed)
    timeline = Timeline(context.date, settings.days)
    raw = Path(context.config.paths.raw).absolute()
    with Scratch(raw, context.run_id) as scratch:
        nouns = scratch.keep("nouns", catalogue.nouns(context.spark, settings, draws))
        items = scratch.keep("items", catalogue.items(nouns, settings, draws, timeline))
        wants = scratch.keep("intents", intents.intents(nouns, settings, draws))
        pairs = scratch.keep("utility", utility.utility(wants, items, settings, draws))
        context.write("truth_utility", truth_utility(pairs))

        offers = utility.pools(pairs, settings.ranker).join(intents.texts(wants, nouns, settings, draws), "intent_id")
        known = scratch.keep("offers", offers.join(wants.select("intent_id", "wish_brand"), "intent_id"))
        visits = visits_of_people(context.spark, settings, draws, timeline)
        bots = visits_of_bots(context.spark, settings, draws, timeline)
        everybody = visits if bots is None else visits.unionByName(bots)
        pages = scratch.keep("pages", ranker.pages(everybody, known, settings, draws))
        context.write("truth_requests", truth_requests(pages))

        shown = behaviour.shown(pages, settings, draws)
        context.write("truth_examination", truth_examination(shown))

        requests = faults.request_lines(pages, settings, draws, timeline)
        actions = scratch.keep("actions", behaviour.events(shown, draws))
        events = faults.event_lines(actions, settings, draws, timeline)
        context.write("truth_faults", faults.fault_counts(requests.unionByName(events)))
        lines = (faults.delivered(requests), faults.delivered(events), documents.catalogue_lines(items, timeline))
        for kind, frame in zip(KINDS, lines):
            scratch.write_lines(kind, frame, settings.days, settings.files_per_day)
        context.notes.update(publish_days(context.spark, scratch, raw, KINDS, timeline.names))


def truth_utility(pairs: DataFrame) -> DataFrame:
    """How much each item of the right noun suits an intent."""
    return pairs.select(
        "intent_id", object_id(F.col("item_id")).alias("object_id"), "relevance", "click_probability", "order_probability"
    )


def truth_requests(pages: DataFrame) -> DataFrame:
    """Which intent, and which kind of visitor, stood behind a request."""
    return pages.select("query_id", "intent_id", "query_text", "actor", day_of(F.col("ts")).alias("event_date"))


def truth_examination(shown: DataFrame) -> DataFrame:
    """What was shown, and whether anybody looked at it."""
    return shown.select(
        "query_id", object_id(F.col("item_id")).alias("object_id"), "position", "examined", day_of(F.col("ts")).alias("event_date")
    )


JOB = Job(
    "simulate_market", reads=(), run=run, doc="invents a catalogue, a search log with faults, and the truth behind both",
    writes=("truth_requests", "truth_utility", "truth_examination", "truth_faults"),
)

if __name__ == "__main__":
    sys.exit(main(JOB))
