"""Exact nearest neighbours by inner product, block by block: memory depends on the block, not on the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from jobs.index.vectors import unpack_vectors
from jobs.runtime.errors import InputError
from mmse_model.metrics import rank

Block = tuple[NDArray[np.int64], NDArray[np.float32]]


def embedding_blocks(files: Iterable[Path], dimension: int, rows: int) -> Iterator[Block]:
    """Blocks of at most `rows` item ids (N,) and vectors (N, D), file after file.

    Raises InputError where a vector is not of `dimension`: model and embeddings differ.
    """
    for path in files:
        for batch in pq.ParquetFile(path).iter_batches(rows, columns=["dense_id", "vector"]):
            try:
                yield batch["dense_id"].to_numpy(), unpack_vectors(batch["vector"], dimension)
            except ValueError as error:
                raise InputError(f"{path}: {error}, the dimension of the query encoder's vectors") from None


def search_blocks(queries: NDArray[np.float32], blocks: Iterable[Block], k: int) -> tuple[NDArray, NDArray]:
    """The k items of highest inner product: ids (Q, k), -1 where there are fewer, and scores (Q, k).

    Equal scores are ranked as everywhere (`mmse_model.metrics.rank`); which of several equal ones
    is kept at place k is faiss' choice, the same in every run over the same files.
    """
    best = faiss.ResultHeap(len(queries), k, keep_max=True)
    for ids, vectors in blocks:
        index = faiss.IndexFlatIP(queries.shape[1])
        index.add(np.ascontiguousarray(vectors))
        scores, places = index.search(np.ascontiguousarray(queries), min(k, len(ids)))
        best.add_result(scores, ids[places])
    best.finalize()
    return rank(best.D, best.I, k)


def agreement(found: NDArray[np.int64], exact: NDArray[np.int64], k: int) -> float:
    """Mean share of the exact k nearest that are among the first k found; both (Q, K) with K >= k."""
    shared = [len(np.intersect1d(a[a >= 0], b[b >= 0])) / max(1, int((b >= 0).sum()))
              for a, b in zip(found[:, :k], exact[:, :k])]
    return float(np.mean(shared))
