"""On executors: vectors of queries and items by the released model, and what its index finds, as it is served.

Model and index are opened once a Python worker. Towers and coarse quantizer are called for BLOCK rows at a time, the last
call filled up: the bits of a score do not depend on how the rows are spread over tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from jobs.index.encoding import open_encoder
from jobs.index.vectors import pack_vectors, unpack_vectors
from jobs.tuples.catalogue import ITEM_TEXT

if TYPE_CHECKING:
    from mmse_model.retriever import Retriever

BLOCK = 256
VECTORS = "dense_id bigint, item_vector binary"
FOUND = "query_norm string, query_vector binary, found array<struct<dense_id: bigint, score: float>>"
SCORES = "query_norm string, dense_id bigint, score double"

Run = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""A function for mapInArrow."""


@lru_cache(maxsize=1)
def open_retriever(model: str, index: str) -> Retriever:
    """The released model and index; the driver has verified their bytes."""
    from mmse_model.retriever import Retriever, ShardSearcher

    return Retriever(open_encoder(model, BLOCK), ShardSearcher.open(Path(index), hashes=False))


def encoding(model: str) -> Run:
    """Rows of `dense_id` and ITEM_TEXT to rows of VECTORS."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in filled(batches):
            vectors = open_encoder(model, BLOCK).encode_items(*(batch.column(name).to_pylist() for name in ITEM_TEXT))
            yield pa.RecordBatch.from_arrays([batch.column("dense_id"), pack_vectors(vectors)], ["dense_id", "item_vector"])

    return run


def searching(model: str, index: str, first: int, end: int) -> Run:
    """Rows of `query_norm` to rows of FOUND: the items of ranks `first` to `end` - 1, best first."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in filled(batches):
            retriever = open_retriever(model, index)
            vectors = retriever.encoder.encode_queries(batch.column("query_norm").to_pylist())
            ids, scores = (ranked[:, first - 1 :] for ranked in search_in_blocks(retriever, vectors, end - 1))
            columns = [batch.column("query_norm"), pack_vectors(vectors), lists_of(ids, scores)]
            yield pa.RecordBatch.from_arrays(columns, ["query_norm", "query_vector", "found"])

    return run


def scoring(dimension: int) -> Run:
    """Rows of `query_norm, dense_id, query_vector, item_vector`, vectors of D = `dimension`, to rows of SCORES."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in filled(batches):
            queries, items = (unpack_vectors(batch.column(name), dimension) for name in ("query_vector", "item_vector"))
            scores = (queries.astype(np.float64) * items).sum(1)
            columns = [batch.column("query_norm"), batch.column("dense_id"), pa.array(scores)]
            yield pa.RecordBatch.from_arrays(columns, ["query_norm", "dense_id", "score"])

    return run


def search_in_blocks(retriever: Retriever, vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Dense ids int64 (N, k), -1 where none is left, and scores float32 (N, k) of query vectors (N, D), N of 1 or more."""
    from mmse_model.ann import one_thread

    found = []
    with one_thread():
        for start in range(0, len(vectors), BLOCK):
            part = vectors[start : start + BLOCK]
            whole = np.concatenate([part, np.repeat(part[:1], BLOCK - len(part), axis=0)])
            found.append([ranked[: len(part)] for ranked in retriever.search_vectors(whole, k)])
    ids, scores = zip(*found)
    return np.concatenate(ids), np.concatenate(scores)


def lists_of(ids: np.ndarray, scores: np.ndarray) -> pa.ListArray:
    """A list of (dense_id, score) for each row of (N, k); places without an item (-1) are left out."""
    there = ids >= 0
    ends = np.concatenate([[0], there.sum(1).cumsum()]).astype(np.int32)
    values = pa.StructArray.from_arrays([pa.array(ids[there]), pa.array(scores[there])], ["dense_id", "score"])
    return pa.ListArray.from_arrays(pa.array(ends), values)


def filled(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches that have rows."""
    return (batch for batch in batches if len(batch))
