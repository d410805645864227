"""Hard negatives: what the model in force finds for a tuple's query, not first, and nobody wanted there.

    queries of training tuples ─> found by the release before (executors) ─> usable for the query ─┐
    their positives ────────────> scores by the same model ────────────────> limit of the tuple ───┴> chosen by hash

The first ranks hold items that were wanted and never shown; a window below them, and a limit below the score of the
tuple's own positives, keep most of those out (positive-aware mining, arXiv 2407.15831). What the query led to a click,
cart or order of in training, what stands in the tuple, is no longer available or was listed after the search is never
taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from jobs.release_reader import open_release
from jobs.tuples.catalogue import ITEM_TEXT, listed, selective, wanted_items
from jobs.tuples.choosing import Chosen, converted_pairs
from jobs.tuples.mining import FOUND, SCORES, VECTORS, encoding, scoring, searching
from jobs.tuples.splits import TRAIN
from jobs.tuples.tally import by

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from jobs.release_reader import Released
    from jobs.runtime.job import JobContext
    from jobs.runtime.negative_sections import HardNegativeSettings
    from jobs.tuples.scratch import Scratch

ROWS = "query_id string, slot int, dense_id bigint"


@dataclass(frozen=True)
class Mined:
    """Hard negatives of the training tuples: ROWS, kept on disk, and what is said of them in the manifest."""

    rows: DataFrame
    facts: dict[str, Any]


def mine(context: JobContext, kept: Scratch, chosen: Chosen, items: DataFrame, first: int) -> Mined:
    """Up to `tuples.hard_negatives.per_tuple` items of every training tuple, in slots from `first` on.

    None where no earlier day has a release, which the summary line says. Raises InputError where the release is damaged.
    """
    settings, day = context.config.tuples.hard_negatives, release_before(context)
    places = settings.per_tuple * chosen.rows.get(TRAIN, 0)
    if day is None:
        context.notes["hard negatives"] = "none, no earlier day has a release"
        nothing = context.spark.createDataFrame([], ROWS)
        return Mined(nothing, {"release": None, "filled": 0, "empty": places, "refused": {}})
    released = open_release(context.config, context.entry, day)
    found = search(kept, chosen, released, settings)
    judged = kept.keep("hard_judged", judge_found(found, converted_pairs(chosen.candidates), items, kept))
    limits = limits_of(chosen, score_positives(kept, chosen, found, released), settings.relative_margin)
    rows = kept.keep("hard", choose_hard(chosen.heads, limits, judged, settings.per_tuple, context.config.seed, first))
    filled = rows.count()
    context.notes["hard negatives"] = f"{filled} of {places}, by the release of {day}"
    refused = by(judged.where("refused is not null"), "refused")
    return Mined(rows, {"release": day, "filled": filled, "empty": places - filled, "refused": refused})


def release_before(context: JobContext) -> str | None:
    """The newest earlier day with a release, which becomes an input of this run; model and index are what it names."""
    days = [day for day in context.entry.days("release") if day < context.dt]
    if not days:
        return None
    context.manifest("release", days[-1])
    return days[-1]


def search(kept: Scratch, chosen: Chosen, released: Released, settings: HardNegativeSettings) -> DataFrame:
    """FOUND, kept: each query of the training tuples once, with the items in the window of ranks."""
    queries = chosen.heads.where(F.col("split") == TRAIN).select("query_norm").distinct()
    run = searching(*folders_of(released), settings.rank_from, settings.rank_to)
    return kept.keep("hard_found", queries.mapInArrow(run, FOUND))


def folders_of(released: Released) -> tuple[str, str]:
    """Where the model and the index of a release lie."""
    return str(released.folders["model"]), str(released.folders["index"])


def judge_found(found: DataFrame, converted: DataFrame, items: DataFrame, kept: Scratch) -> DataFrame:
    """`query_norm, dense_id, score, valid_from, refused`: why an item is a negative of no tuple of the query, or null.

    `absent` is in the catalogue no longer, `unavailable` cannot be bought, `positive` is among `converted` (query_norm,
    dense_id) of the training requests.
    """
    single = found.select("query_norm", F.explode("found").alias("_item")).select("query_norm", "_item.*")
    wanted = converted.select("query_norm", "dense_id", F.lit(True).alias("_converted"))
    catalogue = listed(items).select("dense_id", "available", "valid_from")
    known = selective(kept.keep("hard_single", single), "dense_id").join(catalogue, "dense_id", "left")
    refused = (
        F.when(F.col("available").isNull(), "absent").when(~F.col("available"), "unavailable")
        .when(F.col("_converted"), "positive")
    )
    joined = known.join(wanted, ["query_norm", "dense_id"], "left").withColumn("refused", refused)
    return joined.select("query_norm", "dense_id", "score", "valid_from", "refused")


def score_positives(kept: Scratch, chosen: Chosen, found: DataFrame, released: Released) -> DataFrame:
    """SCORES of every positive of a training tuple with its query, by the release's model from the item's text of today."""
    positives = chosen.slots.where((F.col("split") == TRAIN) & F.col("positive")).select("query_id", "dense_id")
    pairs = positives.join(chosen.heads.select("query_id", "query_norm"), "query_id").select("query_norm", "dense_id")
    wanted = kept.keep("hard_pairs", pairs.distinct())
    ids = kept.keep("hard_positives", wanted.select("dense_id").distinct())
    texts = wanted_items(chosen.picked, ids).select("dense_id", *ITEM_TEXT)
    vectors = texts.mapInArrow(encoding(folders_of(released)[0]), VECTORS)
    joined = wanted.join(vectors, "dense_id").join(found.select("query_norm", "query_vector"), "query_norm")
    columns = joined.select("query_norm", "dense_id", "query_vector", "item_vector")
    return columns.mapInArrow(scoring(released.retriever.encoder.dimension), SCORES)


def limits_of(chosen: Chosen, scores: DataFrame, margin: float) -> DataFrame:
    """`query_id, limit, inside` of the training tuples: the score that its hard negatives stay below, and its items.

    The limit is the lowest score of a positive in a slot, less that share of it.
    """
    slots = chosen.slots.where(F.col("split") == TRAIN).select("query_id", "dense_id", "positive")
    named = slots.join(chosen.heads.select("query_id", "query_norm"), "query_id")
    scored = named.join(scores, ["query_norm", "dense_id"], "left")
    lowest = F.min(F.when(F.col("positive"), F.col("score")))
    limit = lowest - F.lit(margin) * F.abs(lowest)
    return scored.groupBy("query_id").agg(limit.alias("limit"), F.collect_set("dense_id").alias("inside"))


def choose_hard(
    heads: DataFrame, limits: DataFrame, judged: DataFrame, per_tuple: int, seed: int, first: int
) -> DataFrame:
    """ROWS: of the items that a tuple may take the first `per_tuple` in the order of the hash of (seed, query id, item)."""
    item = F.struct("dense_id", "score", "valid_from")
    usable = judged.where("refused is null").groupBy("query_norm").agg(F.collect_list(item).alias("usable"))
    tuples = heads.where(F.col("split") == TRAIN).select("query_id", "query_norm", "ts", "known")
    joined = tuples.join(usable, "query_norm").join(limits, "query_id")
    taken = F.slice(F.array_sort(F.transform(F.filter("usable", may_be_taken), lambda i: drawn(i, seed))), 1, per_tuple)
    placed = joined.select("query_id", F.posexplode(taken).alias("_place", "_item"))
    return placed.select("query_id", (F.col("_place") + first).alias("slot"), F.col("_item.dense_id").alias("dense_id"))


def may_be_taken(item: Column) -> Column:
    """Whether an item of `usable` scores below the tuple's limit, was listed before the search and is none of its own."""
    own = F.array_contains("inside", item["dense_id"]) | F.array_contains("known", item["dense_id"])
    return (item["score"] < F.col("limit")) & (item["valid_from"] <= F.col("ts")) & ~own


def drawn(item: Column, seed: int) -> Column:
    """An item behind the hash that orders it."""
    draw = F.xxhash64(F.lit(seed), F.lit("hard"), "query_id", item["dense_id"])
    return F.struct(draw.alias("draw"), item["dense_id"].alias("dense_id"))
