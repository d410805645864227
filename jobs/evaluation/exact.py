"""Exact nearest neighbours by inner product, block by block: memory depends on the block, not on the catalogue.

The blocks are the row groups of the embeddings, cut where they are larger than configured. What a block finds depends on the
block alone, and findings are merged by (score, id): the result is the same whoever searches which block, in whatever order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.index.vectors import unpack_vectors
from jobs.runtime.errors import InputError
from mmse_model.ann import one_thread
from mmse_model.metrics import NO_ITEM, rank

Block = tuple[NDArray[np.int64], NDArray[np.float32]]
Found = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Ids (Q, k), -1 where there are fewer, and inner products (Q, k), -inf there; best first."""


@dataclass(frozen=True)
class RowGroup:
    """A part of an embeddings file, as its footer describes it."""

    path: Path
    number: int
    rows: int


def row_groups(files: Iterable[Path]) -> list[RowGroup]:
    """Every row group of the files, from the footers alone."""
    found = []
    for path in files:
        metadata = pq.read_metadata(path)
        found += [RowGroup(path, n, metadata.row_group(n).num_rows) for n in range(metadata.num_row_groups)]
    return found


def embedding_blocks(groups: Iterable[RowGroup], dimension: int, rows: int) -> Iterator[Block]:
    """Blocks of at most `rows` item ids (N,) and vectors (N, D); none reaches over a row group.

    Raises InputError where a vector is not of `dimension`: model and embeddings differ.
    """
    for group in groups:
        with pq.ParquetFile(group.path) as file:
            for batch in file.iter_batches(rows, row_groups=[group.number], columns=["dense_id", "vector"]):
                try:
                    yield batch["dense_id"].to_numpy(), unpack_vectors(batch["vector"], dimension)
                except ValueError as error:
                    raise InputError(f"{group.path}: {error}, the dimension of the query encoder's vectors") from None


def search_blocks(queries: NDArray[np.float32], blocks: Iterable[Block], k: int) -> Found:
    """The k items of highest inner product with each query (Q, D).

    Equal scores are ranked as everywhere (`mmse_model.metrics.rank`); which of several equal ones of one block
    is kept at place k is faiss' choice, the same in every run over the same files.
    """
    queries = np.ascontiguousarray(queries, np.float32)
    best = np.full((len(queries), k), NO_ITEM, np.int64), np.full((len(queries), k), -np.inf, np.float32)
    for ids, vectors in blocks:
        scores, places = faiss.knn(queries, np.ascontiguousarray(vectors), min(k, len(ids)), metric=faiss.METRIC_INNER_PRODUCT)
        best = merge_found(best, (ids[places], scores))
    return best


def merge_found(one: Found, other: Found) -> Found:
    """The best of two searches over different items, as many as `one` has places for."""
    ids, scores = (np.concatenate(pair, axis=1) for pair in zip(one, other))
    # Two sorted halves: a stable sort merges them in one pass, many times as fast as sorting by score and id.
    order = np.argsort(-scores, axis=1, kind="stable")
    ids, scores = np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)
    tied = np.flatnonzero(((scores[:, 1:] == scores[:, :-1]) & (ids[:, 1:] != NO_ITEM)).any(axis=1))
    if len(tied):
        ids[tied], scores[tied] = rank(scores[tied], ids[tied], ids.shape[1])
    k = one[0].shape[1]
    return ids[:, :k], scores[:, :k]


def search_embeddings(
    spark: Any, queries: NDArray[np.float32], files: Sequence[Path], k: int, block_rows: int
) -> Found:
    """`search_blocks` over published embeddings, on the executors, which read the files themselves.

    One thread a task, one task for each core or each row group, whichever are fewer. A task holds the queries (Q, D), one
    block and 2 k results a query; the driver the result. A catalogue of one block is searched here and now.

    Args:
        spark: The session.
        queries: (Q, D) float32.
        files: Parquet files with `dense_id` and `vector`.
        k: Items wanted.
        block_rows: Item vectors in memory at a time.
    """
    groups = row_groups(files)
    search = partial(search_groups, k=k, block_rows=block_rows)
    if sum(group.rows for group in groups) <= block_rows:
        return search(groups, queries)
    tasks = dealt(groups, spark.sparkContext.defaultParallelism)
    shared = spark.sparkContext.broadcast(np.ascontiguousarray(queries, np.float32))
    try:
        found = spark.sparkContext.parallelize(tasks, len(tasks)).map(lambda groups: search(groups, shared.value))
        return found.treeReduce(merge_found) if len(tasks) > 2 else reduce(merge_found, found.collect())
    finally:
        shared.destroy()


def search_groups(groups: Sequence[RowGroup], queries: NDArray[np.float32], k: int, block_rows: int) -> Found:
    """One task's part: its row groups, on one thread."""
    with one_thread():
        return search_blocks(queries, embedding_blocks(groups, queries.shape[1], block_rows), k)


def dealt(groups: Sequence[RowGroup], tasks: int) -> list[list[RowGroup]]:
    """At most `tasks` lists, none empty, of nearly equal rows: the largest row groups first, each to the shortest list."""
    lists: list[list[RowGroup]] = [[] for _ in range(max(1, min(tasks, len(groups))))]
    rows = [0] * len(lists)
    for group in sorted(groups, key=lambda g: (-g.rows, str(g.path), g.number)):
        shortest = rows.index(min(rows))
        lists[shortest].append(group)
        rows[shortest] += group.rows
    return lists


def agreement(found: NDArray[np.int64], exact: NDArray[np.int64], k: int) -> float:
    """Mean share of the exact k nearest that are among the first k found; both (Q, K) with K >= k."""
    shared = [len(np.intersect1d(a[a >= 0], b[b >= 0])) / max(1, int((b >= 0).sum()))
              for a, b in zip(found[:, :k], exact[:, :k])]
    return float(np.mean(shared))
