"""Counting tokens, ranking them, and the published vocabulary as `Grains`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Window
from pyspark.sql import functions as F

from mmse_model.attributes import attribute_tokens
from mmse_model.grains import Grains
from mmse_model.text import normalise_many
from mmse_model.tokens import tokenise
from schemas.vocabulary import ATTRIBUTE_GRAIN, GRAINS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.runtime.job import JobContext
    from mmse_model.config import GrainsSettings

COUNTED = "grain string, token string, count bigint"
ITEM_COLUMNS = ("title", "brand", "category_path", "shop", "price")
BUCKETS = 64
"""Parts that the tokens of one grain are first ranked in, so that no task sorts a whole grain."""

Counts = Iterator[tuple[str, list[str], list[int]]]


def count_tokens(items: DataFrame, queries: DataFrame, settings: GrainsSettings) -> DataFrame:
    """`grain, token, count` over item titles and attributes, and over `queries` (text, weight)."""
    attribute = settings.attribute

    def of_items(batch: pa.RecordBatch) -> Counts:
        columns = {name: batch.column(name).to_pylist() for name in ITEM_COLUMNS}
        yield from text_counts(columns["title"], np.ones(len(batch), np.int64))
        brands, paths, shops, prices = (columns[name] for name in ITEM_COLUMNS[1:])
        found = attribute_tokens(brands, paths, shops, prices, attribute.item_length, attribute.price_buckets)
        counts = np.bincount(found.rows[found.rows >= 0], minlength=len(found.tokens))
        yield ATTRIBUTE_GRAIN, found.tokens, counts.tolist()

    def of_queries(batch: pa.RecordBatch) -> Counts:
        yield from text_counts(batch.column("text").to_pylist(), batch.column("weight").to_numpy())

    from_items = items.select(*ITEM_COLUMNS).mapInArrow(counting(of_items), COUNTED)
    from_queries = queries.select("text", "weight").mapInArrow(counting(of_queries), COUNTED)
    return from_items.unionByName(from_queries).groupBy("grain", "token").agg(F.sum("count").alias("count"))


def text_counts(texts: list[str | None], weights: np.ndarray) -> Counts:
    """The different tokens of each text grain with the summed weights of the texts they stand in."""
    for grain, tokens in tokenise(normalise_many(texts)).items():
        _, first, which = np.unique(tokens.hashes, return_index=True, return_inverse=True)
        counts = np.zeros(len(first), np.int64)
        np.add.at(counts, which, weights[tokens.owners])
        yield grain, tokens.spell(first), counts.tolist()


def counting(
    count: Callable[[pa.RecordBatch], Counts],
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A function for mapInArrow: one output batch of counts for each grain of each input batch."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for grain, tokens, counts in count(batch):
                grains = pa.array([grain]).take(pa.array(np.zeros(len(tokens), np.int64)))
                yield pa.RecordBatch.from_arrays(
                    [grains, pa.array(tokens, pa.string()), pa.array(counts, pa.int64())], ["grain", "token", "count"]
                )

    return run


def rank_tokens(counts: DataFrame, settings: GrainsSettings) -> DataFrame:
    """The most frequent tokens of each grain, ranked by (count descending, token)."""
    limit, least = (_by_grain(settings, name) for name in ("vocabulary", "min_count"))
    frequent = counts.where(F.col("count") >= least)
    order = (F.desc("count"), F.asc("token"))
    bucket = F.pmod(F.xxhash64("token"), F.lit(BUCKETS))
    in_bucket = F.row_number().over(Window.partitionBy("grain", bucket).orderBy(*order))
    candidates = frequent.withColumn("_rank", in_bucket).where(F.col("_rank") <= limit).drop("_rank")
    rank = F.row_number().over(Window.partitionBy("grain").orderBy(*order)).cast("bigint") - 1
    return candidates.withColumn("rank", rank).where(F.col("rank") < limit)


def _by_grain(settings: GrainsSettings, name: str) -> F.Column:
    chosen = F.when(F.lit(False), F.lit(0))
    for grain in GRAINS:
        chosen = chosen.when(F.col("grain") == grain, F.lit(getattr(getattr(settings, grain), name)))
    return chosen


def published_grains(context: JobContext) -> Grains:
    """The published vocabulary of the day as `Grains`; its size is bounded by the configuration."""
    rows = context.read("vocabulary").select("grain", "token", "rank").toArrow()
    ordered = rows.take(pc.sort_indices(rows, [("grain", "ascending"), ("rank", "ascending")]))
    grains, tokens = ordered["grain"].to_pylist(), ordered["token"].to_pylist()
    by_grain: dict[str, list[str]] = {grain: [] for grain in GRAINS}
    for grain, token in zip(grains, tokens):
        by_grain[grain].append(token)
    return Grains.build(by_grain, context.config.grains)
