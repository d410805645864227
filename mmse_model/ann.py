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

from mmse_model.codecs import empty_index, inverted, refinement, turned
from mmse_model.kmeans import assign
from mmse_model.packed_lists import pack_codes, unpack_codes

MIN_PER_LIST = 39
"""FAISS calls a coarse quantizer under-trained below this many vectors per list."""


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
    index = empty_index(codec, vectors.shape[1], lists, seed)
    ivf, exact = inverted(index), refinement(index)
    ivf.cp.seed = seed % (1 << 31)
    # The caller has drawn the sample; FAISS may neither thin it out nor warn about it.
    ivf.cp.max_points_per_centroid = len(vectors)
    ivf.cp.min_points_per_centroid = 1
    with one_thread():
        if centroids is not None:
            ivf.quantizer.add(turned(index, centroids))
        ivf.train(turned(index, vectors))
        if exact is not None:
            exact.train(np.ascontiguousarray(vectors, dtype=np.float32))
    index.is_trained = True
    return index


def add_vectors(index: Any, assigner: Any | None, vectors: np.ndarray, ids: np.ndarray) -> None:
    """Adds `vectors` (N, D) under `ids` (N,) to the lists that `assigner` finds, or to the nearest where it is None.

    The ids of a refined index must ascend from call to call: by them a vector's 8-bit code is found again.
    """
    ids, ivf, exact = np.ascontiguousarray(ids, dtype=np.int64), inverted(index), refinement(index)
    inside = turned(index, vectors)
    if assigner is not None and into_given_lists(ivf):
        lists = assign(assigner, vectors)[1]
        ivf.add_core(len(ids), faiss.swig_ptr(inside), faiss.swig_ptr(ids), faiss.swig_ptr(lists))
    else:
        with assigned_by(ivf, assigner):
            ivf.add_with_ids(inside, ids)
    if exact is not None:
        exact.add(inside)
    index.ntotal = ivf.ntotal


def into_given_lists(ivf: Any) -> bool:
    """Whether FAISS adds vectors to lists that have been found already; fast-scan looks for them itself."""
    return not isinstance(ivf, faiss.IndexIVFFastScan)


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
    """Mean squared L2 distance between `vectors` (N, D) and what the trained index would store for them.

    Of `rabitq4`, whose codes only estimate distances: the mean absolute error of the estimated squared distance between two of
    the vectors that lie in the same list, or in lists next to each other.
    """
    ivf = inverted(index)
    with one_thread():
        if isinstance(ivf, faiss.IndexIVFRaBitQ):
            return _estimate_error(ivf, turned(index, vectors))
        stores = index if refinement(index) is None else refinement(index)
        decoded = stores.sa_decode(stores.sa_encode(np.ascontiguousarray(vectors, dtype=np.float32)))
    return float(np.mean(np.sum((decoded - vectors) ** 2, axis=1, dtype=np.float64)))


def _estimate_error(ivf: Any, vectors: np.ndarray) -> float:
    lists = ivf.quantizer.search(vectors, 1)[1][:, 0]
    order = np.argsort(lists, kind="stable")
    vectors, lists = vectors[order], lists[order]
    codes, scanner = ivf.sa_encode(vectors), ivf.get_InvertedListScanner(False, None, None)
    head, errors = codes.shape[1] - ivf.code_size, []
    for query, code, number, true in zip(vectors[1:], codes[:, head:], lists, np.sum(np.diff(vectors, axis=0) ** 2, axis=1)):
        coarse = float(np.sum((query - ivf.quantizer.reconstruct(int(number))) ** 2))
        scanner.set_query(faiss.swig_ptr(query))
        scanner.set_list(int(number), coarse)
        errors.append(abs(scanner.distance_to_code(faiss.swig_ptr(code)) - true))
    return float(np.mean(errors)) if errors else 0.0


def list_distance(index: Any, vectors: np.ndarray) -> float:
    """Mean squared L2 distance between `vectors` (N, D) and the centroid of the list that each would be put into."""
    with one_thread():
        distances, _ = inverted(index).quantizer.search(turned(index, vectors), 1)
    return float(np.mean(distances, dtype=np.float64))


def training_digest(index: Any) -> str:
    """SHA-256 over the centroids and the codec's parameters: equal for all shards of one index."""
    ivf, exact = inverted(index), refinement(index)
    digest = hashlib.sha256(f"{type(ivf).__name__} {ivf.d} {ivf.nlist}".encode())
    digest.update(faiss.downcast_index(ivf.quantizer).reconstruct_n(0, ivf.nlist).tobytes())
    if hasattr(ivf, "sq"):
        digest.update(faiss.vector_to_array(ivf.sq.trained).tobytes())
    if hasattr(ivf, "pq"):
        digest.update(faiss.vector_to_array(ivf.pq.centroids).tobytes())
    if exact is not None:
        digest.update(faiss.vector_to_array(exact.sq.trained).tobytes())
    if ivf is not index and exact is None:
        digest.update(turned(index, np.eye(index.d, dtype=np.float32)).tobytes())
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


def live_selector(bitmap: np.ndarray) -> Any:
    """Under it a search finds only ids whose bit of `bitmap` is set: none is fetched to be thrown away."""
    return faiss.IDSelectorBitmap(bitmap)


def search_lists(
    ivf: Any, vectors: np.ndarray, k: int, lists: np.ndarray, coarse: np.ndarray, selector: Any | None
) -> tuple[np.ndarray, np.ndarray]:
    """Distances float32 (N, k) and ids int64 (N, k) of a search in given lists, among those that `selector` lets through.

    `vectors` (N, D) float32 and `lists`, `coarse` (N, probes), as the quantizer gives them, are contiguous. FAISS's own wrapper
    takes no parameters here. What is found does not depend on the index's own `nprobe`: threads may search at different ones.
    """
    parameters = faiss.SearchParametersIVF(nprobe=lists.shape[1], sel=selector)
    distances, ids = np.empty((len(vectors), k), np.float32), np.empty((len(vectors), k), np.int64)
    arrays = [faiss.swig_ptr(array) for array in (lists, coarse, distances, ids)]
    ivf.search_preassigned_c(len(vectors), faiss.swig_ptr(vectors), k, *arrays, False, parameters)
    return distances, ids


def list_sizes(index: Any, dead: np.ndarray | None = None) -> np.ndarray:
    """Vectors in each inverted list, int64 (lists,), those of the ascending ids `dead` left out."""
    ivf = inverted(index)
    if dead is None or not len(dead):
        return np.array([ivf.invlists.list_size(number) for number in range(ivf.nlist)], dtype=np.int64)
    return np.array([int((~among(_ids(ivf, number), dead)).sum()) for number in range(ivf.nlist)], dtype=np.int64)


def among(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Which of `ids` (n,) are in the ascending `wanted` (m,), bool (n,)."""
    if not len(wanted):
        return np.zeros(len(ids), dtype=bool)
    return wanted[np.minimum(np.searchsorted(wanted, ids), len(wanted) - 1)] == ids


def list_ids(index: Any) -> Iterator[np.ndarray]:
    """The ids of each inverted list that is not empty, int64 (n,), copied."""
    ivf = inverted(index)
    for number in range(ivf.nlist):
        if ivf.invlists.list_size(number):
            yield _ids(ivf, number)


def list_entries(ivf: Any, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids int64 (n,) and codes uint8 (n, code size) of one inverted list of an IVF index, copied."""
    size = ivf.invlists.list_size(number)
    if not size:
        return np.empty(0, dtype=np.int64), np.empty((0, ivf.code_size), dtype=np.uint8)
    if isinstance(ivf, faiss.IndexIVFFastScan):
        return _ids(ivf, number), unpack_codes(ivf, number)
    codes = faiss.rev_swig_ptr(ivf.invlists.get_codes(number), size * ivf.code_size)
    return _ids(ivf, number), codes.reshape(size, -1).copy()


def add_entries(ivf: Any, number: int, ids: np.ndarray, codes: np.ndarray) -> None:
    """Appends ids (n,) with their codes (n, code size) to an inverted list of an IVF index in memory; to fast-scan's, all."""
    if not len(ids):
        return
    ids, codes = np.ascontiguousarray(ids, dtype=np.int64), np.ascontiguousarray(codes, dtype=np.uint8)
    if isinstance(ivf, faiss.IndexIVFFastScan):
        codes = pack_codes(ivf, codes)
    ivf.invlists.add_entries(number, len(ids), faiss.swig_ptr(ids), faiss.swig_ptr(codes))
    ivf.ntotal += len(ids)


def _ids(ivf: Any, number: int) -> np.ndarray:
    size = ivf.invlists.list_size(number)
    return faiss.rev_swig_ptr(ivf.invlists.get_ids(number), size).copy() if size else np.empty(0, dtype=np.int64)


def ids_digest(ids: np.ndarray) -> str:
    """SHA-256 of a set of ids, whatever their order."""
    return hashlib.sha256(np.sort(ids).astype("<i8").tobytes()).hexdigest()


def merge_nearest(distances: np.ndarray, ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of each row of (N, M), nearest first, ties by id; M >= k. Empty places are (inf, -1)."""
    by_id = np.argsort(ids, axis=1, kind="stable")
    distances, ids = np.take_along_axis(distances, by_id, 1), np.take_along_axis(ids, by_id, 1)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, nearest, 1), np.take_along_axis(ids, nearest, 1)
