"""A built index is read back before it is published: every id, every digest, and recall on a sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING

import faiss
import numpy as np
import pyarrow as pa

from jobs.index.building import read_range
from jobs.index.plan import ShardTask
from mmse_model.ann import ids_digest, list_ids, list_sizes, map_index, merge_nearest, one_thread, training_digest
from mmse_model.index_files import TRAINED, IndexCard, Shard, shard_fault

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


def inspect_shard(task: ShardTask, folder: str, card: IndexCard, queries: np.ndarray) -> Findings:
    """Reads one shard file back and searches it, and beside it the vectors it was built from, for `queries` (Q, D).

    The index gives one hit more than is judged, for the vector itself, and the exact search
    twice as many, so that ties are seen. A shard with a fault is not searched.
    """
    shard, depth = card.shards[task.number], max(RECALL_AT) + 1
    fault = shard_fault(Path(folder), shard) or content_fault(Path(folder), shard, card)
    if fault:
        nothing = np.zeros(card.lists, dtype=np.int64)
        return Findings((fault,), nothing, no_hits(len(queries), depth), no_hits(len(queries), 2 * depth))
    with one_thread():
        index = map_index(Path(folder) / shard.path)
        index.nprobe = card.probes
        distances, ids = index.search(queries, depth)
        approximate = np.where(ids < 0, np.inf, distances).astype(np.float32), ids
        return Findings((), list_sizes(index), approximate, exact_hits(task, queries, 2 * depth))


def content_fault(folder: Path, shard: Shard, card: IndexCard) -> str | None:
    """What is wrong inside a shard file whose bytes are as announced, in one sentence, or None."""
    index = map_index(folder / shard.path)
    if training_digest(index) != card.training_digest:
        return f"{folder / shard.path}: built with another quantizer than {TRAINED}"
    ids = np.concatenate([np.empty(0, dtype=np.int64), *list_ids(index)])
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
    """One task per shard, combined on executors so that the driver's share does not grow with the shards."""
    inspect = partial(inspect_shard, folder=str(folder), card=card, queries=np.ascontiguousarray(queries))
    findings = spark.sparkContext.parallelize(tasks, len(tasks)).map(inspect)
    return findings.treeReduce(combine) if len(tasks) > 1 else reduce(combine, findings.collect())


def count_ids(spark: SparkSession, folder: Path, card: IndexCard, embeddings: DataFrame) -> dict[str, float]:
    """Ids of the inverted lists against ids of the embeddings: missing, in there twice, not among the embeddings."""
    from pyspark.sql import functions as F

    paths = [str(folder / shard.path) for shard in card.shards]
    numbers = spark.range(0, len(paths), 1, len(paths))
    indexed = numbers.mapInArrow(partial(_read_ids, paths=paths), "dense_id bigint")
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


def _read_ids(batches: Iterator[pa.RecordBatch], paths: Sequence[str]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for number in batch.column(0).to_pylist():
            for ids in list_ids(map_index(Path(paths[number]))):
                yield pa.RecordBatch.from_arrays([pa.array(ids)], names=["dense_id"])
