"""A built index is read back before it is published: every id, every digest, and recall on a sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import faiss
import numpy as np
import pyarrow as pa

from jobs.index.building import read_range
from jobs.index.plan import ShardTask
from mmse_model.ann import (
    among,
    ids_digest,
    list_ids,
    list_sizes,
    live_bitmap,
    live_selector,
    map_index,
    merge_nearest,
    one_thread,
    training_digest,
)
from mmse_model.codecs import refinement
from mmse_model.index_files import TRAINED, BrokenIndex, IndexCard, Shard, dead_ids, shard_fault
from mmse_model.shards import OpenShard

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

RECALL_AT = (10, 100)
Hits = tuple[np.ndarray, np.ndarray]
"""Distances float32 (Q, k) and dense ids int64 (Q, k), nearest first, (inf, -1) where none is left."""


@dataclass(frozen=True)
class Findings:
    """Of one shard or several: faults, the inverted lists' sizes int64 (lists,), and both searches' nearest."""

    faults: tuple[str, ...]
    sizes: np.ndarray
    approximate: Hits
    exact: Hits


@dataclass(frozen=True)
class Piece:
    """What one task reads: a shard with its generation, and a range of the embeddings; either may be absent."""

    shard: tuple[int, Shard] | None
    task: ShardTask | None


def inspect_piece(piece: Piece, folder: str, card: IndexCard, queries: np.ndarray) -> Findings:
    """Reads a shard file back and searches its live vectors, and those of a range of the embeddings, for `queries` (Q, D).

    The index gives one hit more than is judged, for the vector itself, and the exact search
    twice as many, so that ties are seen. Beside a shard with a fault nothing is searched.
    """
    depth, sizes = max(RECALL_AT) + 1, np.zeros(card.lists, dtype=np.int64)
    approximate, exact = no_hits(len(queries), depth), no_hits(len(queries), 2 * depth)
    with one_thread():
        try:
            if piece.shard:
                sizes, approximate = search_shard(Path(folder), card, *piece.shard, queries, depth)
        except BrokenIndex as error:
            return Findings((str(error),), sizes, approximate, exact)
        if piece.task:
            exact = exact_hits(piece.task, queries, 2 * depth)
    return Findings((), sizes, approximate, exact)


def search_shard(
    folder: Path, card: IndexCard, generation: int, shard: Shard, queries: np.ndarray, depth: int
) -> tuple[np.ndarray, Hits]:
    """Live vectors in each list of a shard, and the `depth` nearest of them. Raises BrokenIndex that names a damaged file."""
    if fault := shard_fault(folder, shard) or content_fault(folder, shard, card):
        raise BrokenIndex(fault)
    dead, opened = dead_ids(card, folder, generation, shard.first, shard.end), OpenShard.of(map_index(folder / shard.path))
    selector = live_selector(live_bitmap(dead, shard.end)) if len(dead) else None
    coarse, lists = opened.probe(queries, card.probes)
    hits = opened.search(queries, depth, lists, coarse, selector=selector, refine=card.refine)
    return list_sizes(opened.index, dead), hits


def content_fault(folder: Path, shard: Shard, card: IndexCard) -> str | None:
    """What is wrong inside a shard file whose bytes are as announced, in one sentence, or None."""
    index = map_index(folder / shard.path)
    if training_digest(index) != card.training_digest:
        return f"{folder / shard.path}: built with another quantizer than {TRAINED}"
    ids = np.concatenate([np.empty(0, dtype=np.int64), *list_ids(index)])
    exact = refinement(index)
    if exact is not None and exact.ntotal != len(ids):
        return f"{folder / shard.path}: {exact.ntotal} codes to compare hits by; expected {len(ids)}, one for each id"
    if len(ids) != shard.rows or ids_digest(ids) != shard.ids_sha256:
        return f"{folder / shard.path}: its lists hold {len(ids)} ids, not the {shard.rows} it was given"
    return None


def no_hits(rows: int, k: int) -> Hits:
    """Empty places only."""
    return np.full((rows, k), np.inf, dtype=np.float32), np.full((rows, k), -1, dtype=np.int64)


def exact_hits(task: ShardTask, queries: np.ndarray, k: int) -> Hits:
    """The k largest inner products among a task's vectors, as distances -<q, v>, by comparing with every one."""
    best, product = no_hits(len(queries), k), faiss.METRIC_INNER_PRODUCT
    for ids, vectors in read_range(task, queries.shape[1]):
        scores, rows = faiss.knn(queries, np.ascontiguousarray(vectors), min(k, len(ids)), metric=product)
        best = merge_hits(best, (-scores, ids[rows]))
    return best


def merge_hits(one: Hits, other: Hits) -> Hits:
    """The nearest of two searches over different items, as many as `one` has places for."""
    distances, ids = np.concatenate([one[0], other[0]], axis=1), np.concatenate([one[1], other[1]], axis=1)
    return merge_nearest(distances, ids, one[0].shape[1])


def combine(one: Findings, other: Findings) -> Findings:
    """The findings of two sets of shards; no larger than those of one."""
    return Findings(
        one.faults + other.faults, one.sizes + other.sizes,
        merge_hits(one.approximate, other.approximate), merge_hits(one.exact, other.exact),
    )


def inspect_index(
    spark: SparkSession, tasks: Sequence[ShardTask], folder: Path, card: IndexCard, queries: np.ndarray
) -> Findings:
    """A Spark task for each shard and range of `tasks`, combined on executors: the driver's share does not grow with them."""
    pieces = [Piece(shard, task) for shard, task in zip_longest(card.every_shard(), tasks)]
    inspect = partial(inspect_piece, folder=str(folder), card=card, queries=np.ascontiguousarray(queries))
    findings = spark.sparkContext.parallelize(pieces, len(pieces)).map(inspect)
    return findings.treeReduce(combine) if len(pieces) > 1 else reduce(combine, findings.collect())


def count_ids(spark: SparkSession, folder: Path, card: IndexCard, embeddings: DataFrame) -> dict[str, float]:
    """Live ids of the inverted lists against ids of the embeddings: missing, in there twice, not among the embeddings."""
    from pyspark.sql import functions as F

    shards = len(list(card.every_shard()))
    numbers = spark.range(0, shards, 1, shards)
    indexed = numbers.mapInArrow(partial(_read_live_ids, folder=str(folder), card=card), "dense_id bigint")
    one, zero = F.lit(1), F.lit(0)
    both = indexed.select("dense_id", one.alias("indexed"), zero.alias("embedded")).unionAll(
        embeddings.select("dense_id", zero.alias("indexed"), one.alias("embedded"))
    )
    counts = both.groupBy("dense_id").agg(F.sum("indexed").alias("indexed"), F.sum("embedded").alias("embedded"))
    row = counts.selectExpr(
        "count_if(embedded > 0 and indexed = 0) as ids_missing",
        "coalesce(sum(greatest(indexed - 1, 0)), 0) as ids_duplicated",
        "count_if(embedded = 0) as ids_unknown",
    ).first()
    return {name: float(value) for name, value in row.asDict().items()}


def _read_live_ids(batches: Iterator[pa.RecordBatch], folder: str, card: IndexCard) -> Iterator[pa.RecordBatch]:
    shards = list(card.every_shard())
    for batch in batches:
        for number in batch.column(0).to_pylist():
            generation, shard = shards[number]
            dead = dead_ids(card, Path(folder), generation, shard.first, shard.end)
            for ids in list_ids(map_index(Path(folder) / shard.path)):
                yield pa.RecordBatch.from_arrays([pa.array(ids[~among(ids, dead)])], names=["dense_id"])
