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

from mmse_model.kmeans import assign

FACTORY = {"flat": "Flat", "sq8": "SQ8"}
"""Codec -> its name in a FAISS factory string."""

INTO_GIVEN_LISTS = (faiss.IndexIVFFlat, faiss.IndexIVFScalarQuantizer)
"""Types to which FAISS adds vectors whose lists have been found already; others (fast-scan) look for them themselves."""

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


def train_index(vectors: np.ndarray, lists: int, codec: str, seed: int, centroids: np.ndarray | None = None) -> Any:
    """An empty IVF index whose coarse quantizer and codec are trained on `vectors`, float32 (N, D).

    Where `centroids` (lists, D) have been found already, the codec alone is. The same vectors in the same order, with the same
    seed, give the same bytes.
    """
    index = faiss.index_factory(vectors.shape[1], f"IVF{lists},{FACTORY[codec]}", faiss.METRIC_L2)
    index.cp.seed = seed % (1 << 31)
    # The caller has drawn the sample; FAISS may neither thin it out nor warn about it.
    index.cp.max_points_per_centroid = len(vectors)
    index.cp.min_points_per_centroid = 1
    with one_thread():
        if centroids is not None:
            index.quantizer.add(np.ascontiguousarray(centroids, dtype=np.float32))
        index.train(np.ascontiguousarray(vectors, dtype=np.float32))
    return index


def add_vectors(index: Any, assigner: Any | None, vectors: np.ndarray, ids: np.ndarray) -> None:
    """Adds `vectors` (N, D) under `ids` (N,) to the lists that `assigner` finds, or to the nearest where it is None."""
    vectors, ids = np.ascontiguousarray(vectors, dtype=np.float32), np.ascontiguousarray(ids, dtype=np.int64)
    if assigner is not None and isinstance(index, INTO_GIVEN_LISTS):
        lists = assign(assigner, vectors)[1]
        index.add_core(len(ids), faiss.swig_ptr(vectors), faiss.swig_ptr(ids), faiss.swig_ptr(lists))
        return
    with assigned_by(index, assigner):
        index.add_with_ids(vectors, ids)


@contextmanager
def assigned_by(index: Any, assigner: Any | None) -> Iterator[None]:
    """Inside the block vectors are put into the lists that `assigner` finds (mmse_model/kmeans.py), not those of the quantizer.

    Its ids are list numbers, its vectors the quantizer's own: what is encoded and searched afterwards is the same. None changes
    nothing.
    """
    if assigner is None:
        yield
        return
    quantizer = index.quantizer
    index.quantizer = assigner
    try:
        yield
    finally:
        index.quantizer = quantizer


def codec_error(index: Any, vectors: np.ndarray) -> float:
    """Mean squared L2 distance between `vectors` (N, D) and what the trained index would store for them."""
    with one_thread():
        decoded = index.sa_decode(index.sa_encode(vectors))
    return float(np.mean(np.sum((decoded - vectors) ** 2, axis=1, dtype=np.float64)))


def list_distance(index: Any, vectors: np.ndarray) -> float:
    """Mean squared L2 distance between `vectors` (N, D) and the centroid of the list that each would be put into."""
    with one_thread():
        distances, _ = index.quantizer.search(np.ascontiguousarray(vectors, dtype=np.float32), 1)
    return float(np.mean(distances, dtype=np.float64))


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


def live_bitmap(dead: np.ndarray, end: int) -> np.ndarray:
    """uint8 (ceil(end / 8),): a bit for every id below `end`, lowest first, clear for those of `dead` (n,)."""
    bits = np.full(-(-end // 8), 255, dtype=np.uint8)
    np.bitwise_and.at(bits, dead >> 3, ~(np.uint8(1) << (dead & 7).astype(np.uint8)))
    return bits


def search_live(bitmap: np.ndarray, probes: int) -> Any:
    """Search parameters under which only ids whose bit of `bitmap` is set are found: none is fetched to be thrown away."""
    return faiss.SearchParametersIVF(nprobe=probes, sel=faiss.IDSelectorBitmap(bitmap))


def search_lists(
    index: Any, vectors: np.ndarray, k: int, lists: np.ndarray, coarse: np.ndarray, parameters: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Distances float32 (N, k) and ids int64 (N, k) of a search in given lists; `parameters` is `search_live`'s, or None.

    `vectors` (N, D) float32 and `lists`, `coarse` (N, probes), as the quantizer gives them, are contiguous. FAISS's own wrapper
    takes no parameters here.
    """
    if parameters is None:
        return index.search_preassigned(vectors, k, lists, coarse)
    distances, ids = np.empty((len(vectors), k), np.float32), np.empty((len(vectors), k), np.int64)
    arrays = [faiss.swig_ptr(array) for array in (lists, coarse, distances, ids)]
    index.search_preassigned_c(len(vectors), faiss.swig_ptr(vectors), k, *arrays, False, parameters)
    return distances, ids


def list_sizes(index: Any, dead: np.ndarray | None = None) -> np.ndarray:
    """Vectors in each inverted list, int64 (lists,), those of the ascending ids `dead` left out."""
    if dead is None or not len(dead):
        return np.array([index.invlists.list_size(number) for number in range(index.nlist)], dtype=np.int64)
    return np.array([int((~among(_ids(index, number), dead)).sum()) for number in range(index.nlist)], dtype=np.int64)


def among(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which of `ids` (n,) are in the ascending `wanted` (m,), bool (n,)."""
    if not len(wanted):
        return np.zeros(len(ids), dtype=bool)
    return wanted[np.minimum(np.searchsorted(wanted, ids), len(wanted) - 1)] == ids


def list_ids(index: Any) -> Iterator[np.ndarray]:
    """The ids of each inverted list that is not empty, int64 (n,), copied."""
    for number in range(index.nlist):
        if index.invlists.list_size(number):
            yield _ids(index, number)


def list_entries(index: Any, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids int64 (n,) and codes uint8 (n, code size) of one inverted list, copied."""
    size = index.invlists.list_size(number)
    if not size:
        return np.empty(0, dtype=np.int64), np.empty((0, index.code_size), dtype=np.uint8)
    codes = faiss.rev_swig_ptr(index.invlists.get_codes(number), size * index.code_size)
    return _ids(index, number), codes.reshape(size, -1).copy()


def add_entries(index: Any, number: int, ids: np.ndarray, codes: np.ndarray) -> None:
    """Appends ids (n,) with their codes (n, code size) to an inverted list of an index in memory."""
    ids, codes = np.ascontiguousarray(ids, dtype=np.int64), np.ascontiguousarray(codes, dtype=np.uint8)
    index.invlists.add_entries(number, len(ids), faiss.swig_ptr(ids), faiss.swig_ptr(codes))
    index.ntotal += len(ids)


def _ids(index: Any, number: int) -> np.ndarray:
    size = index.invlists.list_size(number)
    return faiss.rev_swig_ptr(index.invlists.get_ids(number), size).copy() if size else np.empty(0, dtype=np.int64)


def ids_digest(ids: np.ndarray) -> str:
    """SHA-256 of a set of ids, whatever their order."""
    return hashlib.sha256(np.sort(ids).astype("<i8").tobytes()).hexdigest()


def merge_nearest(distances: np.ndarray, ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of each row of (N, M), nearest first, ties by id; M >= k. Empty places are (inf, -1)."""
    by_id = np.argsort(ids, axis=1, kind="stable")
    distances, ids = np.take_along_axis(distances, by_id, 1), np.take_along_axis(ids, by_id, 1)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, nearest, 1), np.take_along_axis(ids, nearest, 1)
