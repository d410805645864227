"""Samples of the embeddings by row hash, read by Spark tasks from the Parquet files: no vector passes through the JVM."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from jobs.index.building import read_batches, refuse_faulty
from jobs.index.plan import ShardTask
from jobs.index.vectors import unpack_vectors
from mmse_model.hashing import finish, hash_tokens

FULL = 1 << 64
"""Row hashes are below this."""


def row_hashes(ids: np.ndarray, seed: int, purpose: str) -> np.ndarray:
    """uint64 (n,): a function of (seed, purpose, dense id) alone; `ids` int64 (n,)."""
    start = hash_tokens([f"{seed} {purpose}"])[0]
    return finish(finish(ids.astype(np.uint64) + np.uint64(1)) ^ start)


def bound_for(wanted: int, rows: int) -> int:
    """Hashes below it belong to about `wanted` of `rows` rows: within 6 sqrt(wanted); all where wanted >= rows."""
    return FULL if wanted >= rows else math.floor(FULL * (wanted / rows))


def sampled(
    task: ShardTask, dimension: int, bound: int, seed: int, purpose: str
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of a task's rows whose hash is below `bound`: dense ids int64 (n,), ascending, vectors float32 (n, D), hashes uint64 (n,).

    Raises BadVectors where ids do not ascend or a sampled vector is not finite or not of unit norm.
    """
    for path, ids, packed in read_batches(task.row_groups):
        hashes = row_hashes(ids, seed, purpose)
        mine = (ids >= task.first) & (ids < task.end) & (hashes <= np.uint64(bound - 1))
        if mine.any():
            vectors = unpack_vectors(packed, dimension)[mine]
            refuse_faulty(path, ids[mine], vectors)
            yield ids[mine], vectors, hashes[mine]
