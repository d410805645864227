"""Vectors in and out of Arrow, and samples of them chosen by row hash."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def pack_vectors(vectors: np.ndarray) -> pa.Array:
    """A binary column with one row of float32 (N, D) a value, without copying row by row."""
    rows, dimension = vectors.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(4 * dimension)
    data = np.ascontiguousarray(vectors, dtype="<f4")
    return pa.Array.from_buffers(pa.binary(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def unpack_vectors(column: pa.Array | pa.ChunkedArray, dimension: int) -> np.ndarray:
    """float32 (N, D) from a binary column. Raises ValueError where a value is null or of another length."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts = [_unpack_chunk(chunk, dimension) for chunk in chunks if len(chunk)]
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.empty((0, dimension), dtype=np.float32)


def _unpack_chunk(chunk: pa.Array, dimension: int) -> np.ndarray:
    _, offset_buffer, data = chunk.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
    lengths = np.diff(offsets)
    if chunk.null_count or (lengths != 4 * dimension).any():
        raise ValueError(f"vectors of {sorted(set(lengths.tolist()))[:3]} bytes; expected {4 * dimension}, none null")
    flat = np.frombuffer(data, dtype="<f4", count=len(chunk) * dimension, offset=int(offsets[0]))
    return flat.reshape(len(chunk), dimension)


def hash_sample(
    embeddings: DataFrame, rows: int, wanted: int, dimension: int, seed: int, purpose: str
) -> tuple[np.ndarray, np.ndarray]:
    """At most `wanted` vectors in the driver: dense ids int64 (n,) and float32 (n, D), in the order of a row hash.

    The choice and the order depend on (seed, purpose, dense_id) alone. A filter on the hash
    goes first, so that of `rows` rows little more than the sample is sorted.
    """
    likely = likely_rows(embeddings.select("dense_id", "vector"), rows, wanted, seed, purpose)
    table = likely.orderBy("hash", "dense_id").limit(wanted).select("dense_id", "vector").toArrow()
    return table["dense_id"].to_numpy(), unpack_vectors(table["vector"], dimension)


def likely_rows(embeddings: DataFrame, rows: int, wanted: int, seed: int, purpose: str) -> DataFrame:
    """Of `rows` rows a little more than `wanted`, with their `hash` (bigint): a function of (seed, purpose, dense_id) alone."""
    from pyspark.sql import functions as F

    share = (wanted + 6 * math.sqrt(wanted) + 10) / max(rows, 1)
    hashed = embeddings.withColumn("hash", F.xxhash64(F.lit(seed), F.lit(purpose), "dense_id"))
    return hashed.where(F.pmod("hash", F.lit(1 << 30)) < F.lit(min(1 << 30, math.ceil(share * (1 << 30)))))
