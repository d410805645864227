"""Which tuples there are and what stands in them, before a word is spelled out: four steps, each kept on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import Window as Over
from pyspark.sql import functions as F

from jobs.labels.requests import merge_requests
from jobs.tuples.candidates import assign_slots, cap_queries, slot_stages, staged_items, with_catalogue
from jobs.tuples.catalogue import NARROW, available_items, may_be_drawn, pick_items, picking_keys
from jobs.tuples.held_out import intents_of, with_held_out
from jobs.tuples.placement import number_rows, rows_per_group
from jobs.tuples.proposal import stream_entries
from jobs.tuples.splits import TRAIN, Window, assign_splits, session_key

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.runtime.config import Config
    from jobs.runtime.job import JobContext
    from jobs.tuples.scratch import Scratch


@dataclass(frozen=True)
class Chosen:
    """What the tuples will hold. All frames are kept on disk.

    picked: the items that were shown or that the stream may draw (`drawn`), with their texts;
    available: available items by locale;
    requests: `query_id, ts, query_norm, session, held_out, split` (null where left out), `loss`;
    candidates: every staged item with its slot;
    heads: one row per tuple, with its place, known positives and whether its query was seen;
    slots: one row per filled slot, with its tuple's place;
    rows: tuples by split; row_group_rows: rows of a full file.
    """

    picked: DataFrame
    available: dict[str, int]
    requests: DataFrame
    candidates: DataFrame
    heads: DataFrame
    slots: DataFrame
    rows: dict[str, int]
    row_group_rows: int


def choose(context: JobContext, kept: Scratch, items: DataFrame) -> Chosen:
    """Requests to splits, items to slots, tuples to places."""
    config = context.config
    requests = kept.keep("requests", split_requests(context))
    available = available_items(context, items)
    staged, picked = pick(context, kept, requests, items, available)
    known = with_catalogue(staged, picked.select(*NARROW, "locale", *catalogue_columns(config)))
    candidates = kept.keep("candidates", assign_slots(known, config.stages, config.seed))
    capped = cap_queries(one_per_tuple(candidates), config.tuples.max_per_query, config.seed)
    numbered = number_rows(kept.keep("capped", capped), config.seed, ["query_id"], split="split")
    per_group = rows_per_group(numbered.rows.get(TRAIN, 0), config.tuples.row_group_rows, config.train.processes)
    placed = numbered.in_row_groups(per_group)
    heads = kept.keep("heads", with_query(placed, requests, candidates, config.tuples.known_positives))
    places = heads.select("query_id", "_split", "_rank", "_file")
    filled = candidates.where("slot is not null").drop("object_id", "loss", "ts", "query_norm", "converted")
    slots = kept.keep("slots", filled.join(places, "query_id"))
    return Chosen(picked, available, requests, candidates, heads, slots, numbered.rows, per_group)


def split_requests(context: JobContext) -> DataFrame:
    """The requests of the window with a split, or with the reason why they have none."""
    config = context.config
    days = context.days_back(config.train.window_days)
    asked = merge_requests(context.read_days("requests", days)).where("query_norm != ''")
    searched = asked.select("query_id", "ts", "query_norm", session_key().alias("session"))
    marked = with_held_out(searched, config.tuples.held_out_share, config.seed, intents_of(context))
    return assign_splits(marked, Window.of(config, context.date))


def pick(
    context: JobContext, kept: Scratch, requests: DataFrame, items: DataFrame, available: dict[str, int]
) -> tuple[DataFrame, DataFrame]:
    """Every item that reached a stage, and what the catalogue knows of them and of those that the stream may draw."""
    config, window = context.config, Window.of(context.config, context.date)
    impressions = context.read_days("impressions", context.days_back(config.train.window_days))
    staged = kept.keep("staged", staged_items(requests, impressions, config.stages, window))
    keys = kept.keep("keys", picking_keys(staged))
    most = entries_trained_on(config, requests.where(F.col("split") == TRAIN).count())
    drawn = may_be_drawn(available, stream_entries(config.item_stream, most), config.seed)
    return staged, kept.keep("picked", pick_items(items, keys, drawn))


def entries_trained_on(config: Config, tuples: int) -> int:
    """Stream entries that the configured epochs over so many training tuples take."""
    train, step = config.train, config.train.batch_size * config.train.processes
    return -(-train.epochs * tuples // step) * train.stream_items * train.processes


def catalogue_columns(config: Config) -> tuple[str, ...]:
    """What is asked of an item beside its numbers."""
    return ("category_path",) if config.tuples.own_negatives.category else ()


def one_per_tuple(candidates: DataFrame) -> DataFrame:
    """`query_id, ts, query_norm, split` of every request with a positive in a slot."""
    in_tuple = candidates.where("in_tuple").groupBy("query_id")
    return in_tuple.agg(*[F.first(name).alias(name) for name in ("ts", "query_norm", "split")])


def with_query(heads: DataFrame, requests: DataFrame, candidates: DataFrame, most: int) -> DataFrame:
    """Adds what training knows of the query: `query_seen`, and `known`, its most frequent positives; and `held_out`.

    The first two come from training requests only, whatever split the tuple is of.
    """
    counts = positive_pairs(candidates).groupBy("query_norm", "dense_id").count()
    rank = F.row_number().over(Over.partitionBy("query_norm").orderBy(F.desc("count"), "dense_id"))
    top = counts.withColumn("_at", rank).where(F.col("_at") <= most)
    known = top.groupBy("query_norm").agg(F.array_sort(F.collect_list(F.struct("_at", "dense_id"))).alias("known"))
    seen = requests.where(F.col("split") == TRAIN).select("query_norm", F.lit(True).alias("query_seen")).distinct()
    joined = heads.join(seen, "query_norm", "left").join(known, "query_norm", "left")
    ids = F.coalesce(F.col("known.dense_id"), F.lit([]).cast("array<bigint>"))
    marked = joined.withColumns({"query_seen": F.coalesce("query_seen", F.lit(False)), "known": ids})
    return marked.join(requests.select("query_id", "held_out"), "query_id")


def positive_pairs(candidates: DataFrame) -> DataFrame:
    """`query_norm, dense_id` of every positive of the training requests, as often as it was one."""
    positives = candidates.where((F.col("split") == TRAIN) & F.col("positive") & F.col("loss").isNull())
    return positives.select("query_norm", "dense_id")


def converted_pairs(candidates: DataFrame) -> DataFrame:
    """`query_norm, dense_id`, distinct, of every click, cart and order of the training requests."""
    wanted = candidates.where((F.col("split") == TRAIN) & F.col("converted") & F.col("dense_id").isNotNull())
    return wanted.select("query_norm", "dense_id").distinct()


def slot_count(config: Config) -> int:
    """S: slots of a tuple."""
    return len(slot_stages(config.stages))
