"""Builds training tuples and the item stream.

A tuple is one search with at least one positive: the query and, slot by slot, the items of each stage of the funnel.
The item stream is a shuffled sample of the catalogue: random negatives for every batch, and titles to search with.
Four steps, each kept on disk and counted: requests get a split, their items a stage and a slot, frequent queries are
capped and every tuple gets its place, and the rows are spelled out as token ids and packed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import Window as Over
from pyspark.sql import functions as F

from jobs.labels.requests import merge_requests
from jobs.runtime.job import Job
from jobs.runtime.main import main
from jobs.tuples.candidates import assign_slots, cap_queries, slot_stages, staged_items
from jobs.tuples.guards import guard
from jobs.tuples.packing import Shapes, assemble_stream, assemble_tuples, item_ids
from jobs.tuples.placement import place, writer_options
from jobs.tuples.proposal import Proposal, popularity_of
from jobs.tuples.scratch import scratch
from jobs.tuples.splits import TRAIN, Window, assign_splits, session_key
from jobs.tuples.tally import stream_facts, tuple_facts
from jobs.tuples.vocabulary import published_grains
from schemas import ITEM_STREAM, TUPLES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.runtime.config import Config
    from jobs.runtime.job import JobContext
    from jobs.tuples.scratch import Scratch
    from mmse_model.grains import Grains


@dataclass(frozen=True)
class Chosen:
    """What the tuples will hold, before it is spelled out. All frames are kept on disk.

    requests: `query_id, ts, query_norm, session, split` (null where left out);
    candidates: every staged item with its slot;
    heads: one row per tuple, with its place, known positives and whether its query was seen;
    slots: one row per filled slot, with its tuple's place.
    """

    requests: DataFrame
    candidates: DataFrame
    heads: DataFrame
    slots: DataFrame


def run(context: JobContext) -> None:
    """Chooses, measures the proposal, writes tuples and stream."""
    context.manifest("impressions")
    grains, items = published_grains(context), context.read("items")
    with scratch(context, "tuples") as kept:
        chosen = choose(context, kept, items)
        popularity = kept.keep("popularity", popularity_of(chosen.slots))
        proposal = Proposal.of(items, popularity, context.config.item_stream)
        write_tuples(context, chosen, with_shares(chosen.slots, items, popularity, proposal, grains), grains, proposal)
        write_stream(context, items, proposal, popularity, grains)


def choose(context: JobContext, kept: Scratch, items: DataFrame) -> Chosen:
    """Requests to splits, items to slots, tuples to places."""
    config, window = context.config, Window.of(context.config, context.date)
    days = context.days_back(config.train.window_days)
    asked = merge_requests(context.read_days("requests", days)).where("query_norm != ''")
    searched = asked.select("query_id", "ts", "query_norm", "session_id", session_key().alias("session"))
    requests = kept.keep("requests", assign_splits(searched, window).drop("session_id"))
    known_items = items.select("object_id", "dense_id", "valid_from")
    staged = staged_items(requests, context.read_days("impressions", days), known_items, config.stages, window)
    candidates = kept.keep("candidates", assign_slots(staged, config.stages, config.seed))
    capped = cap_queries(one_per_tuple(candidates), config.tuples.max_per_query, config.seed)
    placed = place(capped, config.seed, ["query_id"], config.tuples.row_group_rows, split="split")
    heads = kept.keep("heads", with_query(placed, requests, candidates, config.tuples.known_positives))
    places = heads.select("query_id", "_split", "_rank", "_file")
    slots = candidates.where("slot is not null").drop("object_id", "loss", "ts", "query_norm").join(places, "query_id")
    return Chosen(requests, candidates, heads, kept.keep("slots", slots))


def one_per_tuple(candidates: DataFrame) -> DataFrame:
    """`query_id, ts, query_norm, split` of every request with a positive in a slot."""
    in_tuple = candidates.where("in_tuple").groupBy("query_id")
    return in_tuple.agg(*[F.first(name).alias(name) for name in ("ts", "query_norm", "split")])


def with_query(heads: DataFrame, requests: DataFrame, candidates: DataFrame, most: int) -> DataFrame:
    """Adds what training knows of the query: `query_seen`, and `known`, its most frequent positives.

    Both come from training requests only, whatever split the tuple is of.
    """
    positives = candidates.where((F.col("split") == TRAIN) & F.col("positive") & F.col("loss").isNull())
    counts = positives.groupBy("query_norm", "dense_id").count()
    rank = F.row_number().over(Over.partitionBy("query_norm").orderBy(F.desc("count"), "dense_id"))
    top = counts.withColumn("_at", rank).where(F.col("_at") <= most)
    known = top.groupBy("query_norm").agg(F.array_sort(F.collect_list(F.struct("_at", "dense_id"))).alias("known"))
    seen = requests.where(F.col("split") == TRAIN).select("query_norm", F.lit(True).alias("query_seen")).distinct()
    joined = heads.join(seen, "query_norm", "left").join(known, "query_norm", "left")
    ids = F.coalesce(F.col("known.dense_id"), F.lit([]).cast("array<bigint>"))
    return joined.withColumns({"query_seen": F.coalesce("query_seen", F.lit(False)), "known": ids})


def with_shares(
    slots: DataFrame, items: DataFrame, popularity: DataFrame, proposal: Proposal, grains: Grains
) -> DataFrame:
    """Filled slots with the packed ids of their item, its in-batch share and its stream probability."""
    rates = items.select("dense_id", "available").join(popularity, "dense_id", "left").select(
        "dense_id", proposal.share().cast("float").alias("share"),
        proposal.probability().cast("float").alias("probability"),
    )
    spelled = item_ids(items, grains).join(rates, "dense_id")
    wanted = slots.select("_split", "_rank", "_file", "query_id", "last_event_ts", "slot", "dense_id")
    return wanted.join(spelled, "dense_id")


def write_tuples(
    context: JobContext, chosen: Chosen, slots: DataFrame, grains: Grains, proposal: Proposal
) -> None:
    """Packs and writes the tuples with their facts."""
    config = context.config
    shapes = shapes_of(config, grains)
    stages = [stage.name for stage in slot_stages(config.stages)]
    facts = {
        "shapes": shapes.facts(), "slots": stages, "positives": proposal.positives, "grains": grains.layout.to_json(),
        **tuple_facts(chosen.requests, chosen.candidates, chosen.heads, chosen.slots),
    }
    rows = assemble_tuples(chosen.heads.drop("split"), slots, grains, shapes)
    options = writer_options(list(TUPLES.packed), config.tuples.row_group_rows)
    measure = guard(chosen.requests, config.tuples.gap_minutes)
    context.write("tuples", rows, facts=facts, split_by="split", options=options, measure=measure)
    context.notes.update(facts["rows"])


def write_stream(
    context: JobContext, items: DataFrame, proposal: Proposal, popularity: DataFrame, grains: Grains
) -> None:
    """Draws, packs and writes the item stream with its facts."""
    config = context.config
    entries = proposal.draw(items, popularity, config.seed)
    placed = place(entries, config.seed, ["dense_id", "copy"], config.tuples.row_group_rows)
    rows = assemble_stream(placed, items, grains, config.seed)
    options = writer_options(list(ITEM_STREAM.packed), config.tuples.row_group_rows)
    facts = {"shapes": shapes_of(config, grains).facts(), **stream_facts(proposal)}
    manifest = context.write("item_stream", rows, facts=facts, options=options)
    context.notes["stream"] = manifest.rows


def shapes_of(config: Config, grains: Grains) -> Shapes:
    """The shapes of the packed columns."""
    slots = len(slot_stages(config.stages))
    return Shapes(grains.layout.query_length, slots, grains.layout.item_length, config.tuples.known_positives)


JOB = Job(
    "build_tuples", reads=("items", "requests", "impressions", "vocabulary"), writes=("tuples", "item_stream"), run=run,
    doc="one training tuple per search with a positive, split by time, and a shuffled sample of the catalogue",
)

if __name__ == "__main__":
    sys.exit(main(JOB))
