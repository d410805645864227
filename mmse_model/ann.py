"""FAISS helpers: an inverted-file index is trained once, filled anywhere, written, mapped and searched.

Every index has the L2 metric. On unit vectors L2 and inner product give the same order, and
fast-scan codecs lose recall under the inner-product metric.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faiss
import numpy as np

FACTORY = {"flat": "Flat", "sq8": "SQ8"}
"""Codec -> its name in a FAISS factory string."""

MIN_PER_LIST = 39
"""FAISS calls a coarse quantizer under-trained below this many vectors per list."""


def code_bytes(codec: str, dimension: int) -> int:
    """Bytes of one stored vector, its int64 id not counted."""
    return dimension if codec == "sq8" else 4 * dimension


@contextmanager
def one_thread() -> Iterator[None]:
    """One OpenMP thread inside the block: bits do not depend on the machine, and no later fork can hang."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def train_index(vectors: np.ndarray, lists: int, codec: str, seed: int) -> Any:
    """An empty IVF index whose coarse quantizer and codec are trained on `vectors`, float32 (N, D).

    The same vectors in the same order, with the same seed, give the same bytes.
    """
    index = faiss.index_factory(vectors.shape[1], f"IVF{lists},{FACTORY[codec]}", faiss.METRIC_L2)
    index.cp.seed = seed % (1 << 31)
    # The caller has drawn the sample; FAISS may neither thin it out nor warn about it.
    index.cp.max_points_per_centroid = len(vectors)
    index.cp.min_points_per_centroid = 1
    with one_thread():
        index.train(np.ascontiguousarray(vectors, dtype=np.float32))
    return index


def codec_error(index: Any, vectors: np.ndarray) -> float:
    """Mean squared L2 distance between `vectors` (N, D) and what the trained index would store for them."""
    with one_thread():
        decoded = index.sa_decode(index.sa_encode(vectors))
    return float(np.mean(np.sum((decoded - vectors) ** 2, axis=1, dtype=np.float64)))


def training_digest(index: Any) -> str:
    """SHA-256 over the centroids and the codec's parameters: equal for all shards of one index."""
    digest = hashlib.sha256(f"{type(index).__name__} {index.d} {index.nlist}".encode())
    digest.update(faiss.downcast_index(index.quantizer).reconstruct_n(0, index.nlist).tobytes())
    if hasattr(index, "sq"):
        digest.update(faiss.vector_to_array(index.sq.trained).tobytes())
    return digest.hexdigest()


def write_index(index: Any, path: Path) -> None:
    """Writes a file that is complete or absent: another attempt of the same task may be writing too."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    faiss.write_index(index, str(draft))
    os.replace(draft, path)


def read_index(path: Path) -> Any:
    """The index, in memory, ready for more vectors."""
    return faiss.read_index(str(path))


def map_index(path: Path) -> Any:
    """The index with its inverted lists memory-mapped, read-only: pages come in as searches touch them."""
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


def list_sizes(index: Any) -> np.ndarray:
    """Vectors in each inverted list, int64 (lists,)."""
    return np.array([index.invlists.list_size(number) for number in range(index.nlist)], dtype=np.int64)


def list_ids(index: Any) -> Iterator[np.ndarray]:
    """The ids of each inverted list that is not empty, int64 (n,), copied."""
    for number in range(index.nlist):
        size = index.invlists.list_size(number)
        if size:
            yield faiss.rev_swig_ptr(index.invlists.get_ids(number), size).copy()


def ids_digest(ids: np.ndarray) -> str:
    """SHA-256 of a set of ids, whatever their order."""
    return hashlib.sha256(np.sort(ids).astype("<i8").tobytes()).hexdigest()


def merge_nearest(distances: np.ndarray, ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of each row of (N, M), nearest first, ties by id; M >= k. Empty places are (inf, -1)."""
    by_id = np.argsort(ids, axis=1, kind="stable")
    distances, ids = np.take_along_axis(distances, by_id, 1), np.take_along_axis(ids, by_id, 1)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, nearest, 1), np.take_along_axis(ids, nearest, 1)
