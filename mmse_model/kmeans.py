"""The arithmetic of two-level k-means: cells of neighbouring vectors, lists shared out among them, Lloyd's step as partial sums.

A first k-means finds about sqrt(L) cells. Each cell is clustered by itself into its share of the L lists, and Lloyd's step over
all lists mends what the borders between cells have spoilt. Cost per vector: sqrt(L) distances a step instead of L.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from scipy.sparse import csr_matrix

ITERATIONS = 10
"""Of k-means, as FAISS has it for inverted files."""

FOR_A_CELL = 128
"""Centroids that the centre of a cell of centroids is found from, at most."""

CELLS = 2
"""Cells of an assigner for each of sqrt(lists). At 262,144 lists and a nineteenth of the flat quantizer's cost, 15 of 1,024 cells
lose .004 of recall@10 with 128 lists searched; 8 of 512 lost .006 for as much (docs/SCALE.md)."""

IN_A_CELL = 8
"""A comparison within a cell costs about as much as so many where all vectors are compared with all (measured: 7 to 8)."""

MEASURED = 2_048
"""Vectors on which the probes of an assigner are chosen."""


def cell_count(lists: int) -> int:
    """Cells of the first level: sqrt(lists), so that both levels compare with as many centroids."""
    return max(1, round(math.sqrt(lists)))


def train_centroids(vectors: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Plain k-means: centroids float32 (count, D) of `vectors` (N, D) float32, N >= count."""
    clustering = faiss.Clustering(vectors.shape[1], count)
    clustering.niter, clustering.seed = ITERATIONS, seed % (1 << 31)
    # The caller has drawn the sample; FAISS may neither thin it out nor warn about it.
    clustering.max_points_per_centroid, clustering.min_points_per_centroid = len(vectors), 1
    clustering.train(np.ascontiguousarray(vectors), faiss.IndexFlatL2(vectors.shape[1]))
    return faiss.vector_to_array(clustering.centroids).reshape(count, -1).copy()


def share_out(lists: int, rows: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Lists for each cell, int64 (cells,), in proportion to `errors` (cells,), by largest remainder.

    `errors` are sums of squared distances to the cell's centre: where much is to be gained, not where many vectors lie close
    together. A cell with `rows` (cells,) gets one list at least, none gets more than it has rows. Raises ValueError where lists
    are more than rows or fewer than cells with rows.
    """
    if not int((rows > 0).sum()) <= lists <= int(rows.sum()):
        raise ValueError(f"{lists} lists for {int(rows.sum())} sampled vectors in {int((rows > 0).sum())} cells")
    weights = errors if errors.sum() > 0 else rows
    exact = lists * weights / weights.sum()
    shares = np.minimum(np.maximum(np.floor(exact).astype(np.int64), rows > 0), rows)
    while missing := lists - int(shares.sum()):
        step = 1 if missing > 0 else -1
        wish = np.where(shares < rows if step > 0 else shares > 1, step * (exact - shares), -np.inf)
        # Each moves by one, and what is then still missing is shared out in the next round.
        chosen = np.argsort(-wish, kind="stable")[: min(abs(missing), int(np.isfinite(wish).sum()))]
        shares[chosen] += step
    return shares


@dataclass(frozen=True)
class Sums:
    """Of the vectors of one task: the lists they were put into, int64 (n,), ascending; vectors in each, int64 (n,); their sums,
    float64 (n, D)."""

    lists: np.ndarray
    counts: np.ndarray
    sums: np.ndarray

    @property
    def dimension(self) -> int:
        """D."""
        return self.sums.shape[1]


def no_sums(dimension: int) -> Sums:
    """Of no vector."""
    return Sums(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, dimension)))


def sums_of(vectors: np.ndarray, lists: np.ndarray) -> Sums:
    """`vectors` (N, D) float32, each of the list of that number in `lists` (N,)."""
    present, places, counts = np.unique(lists, return_inverse=True, return_counts=True)
    # Ones in float64 at (list, vector): the product adds up in float64, in the order of the vectors.
    members = csr_matrix((np.ones(len(lists)), (places, np.arange(len(lists)))), shape=(len(present), len(lists)))
    return Sums(present.astype(np.int64), counts, members @ vectors)


def add_sums(one: Sums, other: Sums) -> Sums:
    """The sums of both."""
    lists = np.union1d(one.lists, other.lists)
    counts, sums = np.zeros(len(lists), np.int64), np.zeros((len(lists), one.dimension))
    for part in (one, other):
        at = np.searchsorted(lists, part.lists)
        counts[at] += part.counts
        sums[at] += part.sums
    return Sums(lists, counts, sums)


def move_centroids(centroids: np.ndarray, first: int, found: Sums) -> np.ndarray:
    """Lloyd's step: `centroids` (m, D) of the lists from `first` on, each moved to the mean of its vectors; one without stays."""
    moved = centroids.copy()
    moved[found.lists - first] = found.sums / found.counts[:, None]
    return moved


def flat_over(centroids: np.ndarray) -> Any:
    """What compares a vector with every one of `centroids` (L, D)."""
    flat = faiss.IndexFlatL2(centroids.shape[1])
    flat.add(np.ascontiguousarray(centroids))
    return flat


def assigner_over(centroids: np.ndarray, seed: int) -> Any:
    """An IVF index over `centroids` (L, D) in 2 sqrt(L) cells; its `nprobe` says in how many of them the nearest is looked for.

    It can stand in for a flat quantizer: ids are list numbers. Every cell holds a centroid, so that a search never comes back
    empty-handed: FAISS would drop the vector without a word.
    """
    count = min(CELLS * cell_count(len(centroids)), len(centroids))
    part = centroids[:: -(-len(centroids) // (FOR_A_CELL * count))]
    cells = train_centroids(part, count, seed)
    held = np.unique(flat_over(cells).search(centroids, 1)[1])
    assigner = faiss.IndexIVFFlat(flat_over(cells[held]), centroids.shape[1], len(held), faiss.METRIC_L2)
    assigner.add(centroids)
    assigner.make_direct_map()
    return assigner


def assign(assigner: Any, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances float32 (N,) of `vectors` (N, D) to the centroids found for them, and their lists, int64 (N,).

    What `assigner.search(vectors, 1)` gives but for rounding and ties, in half the time: all vectors that look into a cell
    are compared with it at once, by a product of matrices; FAISS scans cells vector by vector.
    """
    if not isinstance(assigner, faiss.IndexIVFFlat):
        return tuple(found[:, 0] for found in assigner.search(vectors, 1))
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    _, probed = assigner.quantizer.search(vectors, assigner.nprobe)
    order = np.argsort(probed, axis=None, kind="stable")
    bounds = np.searchsorted(probed.ravel()[order], np.arange(assigner.nlist + 1))
    best, lists = np.full(len(vectors), np.inf, np.float32), np.full(len(vectors), -1, np.int64)
    for cell in np.flatnonzero(np.diff(bounds)):
        rows = order[bounds[cell] : bounds[cell + 1]] // probed.shape[1]
        ids, members = cell_members(assigner, int(cell))
        distances, at = faiss.knn(vectors[rows], members, 1)
        nearer = distances[:, 0] < best[rows]
        best[rows[nearer]], lists[rows[nearer]] = distances[nearer, 0], ids[at[nearer, 0]]
    return best, lists


def cell_members(assigner: Any, cell: int) -> tuple[np.ndarray, np.ndarray]:
    """List numbers int64 (n,) and centroids float32 (n, D) of one cell: views of the assigner's memory."""
    size, held = assigner.invlists.list_size(cell), assigner.invlists
    codes = faiss.rev_swig_ptr(held.get_codes(cell), size * assigner.code_size)
    return faiss.rev_swig_ptr(held.get_ids(cell), size), codes.view(np.float32).reshape(size, -1)


def cheapest_assigner(centroids: np.ndarray, vectors: np.ndarray, excess: float, seed: int) -> Any | None:
    """An assigner with the fewest probes (1 to 8, 10, 12, 15, ...) that finds for `vectors` (N, D) lists near the nearest.

    Near: in the mean of squared distances, by a share of `excess` at most, against the nearest centroids. None where so many
    probes would be no cheaper than comparing with all.
    """
    vectors, flat = vectors[:MEASURED], flat_over(centroids)
    least, assigner = flat.search(vectors, 1)[0].sum(dtype=np.float64), assigner_over(centroids, seed)
    del flat
    probes = 1
    while assigner.nlist + IN_A_CELL * probes * len(centroids) / assigner.nlist < len(centroids):
        assigner.nprobe = probes
        if assign(assigner, vectors)[0].sum(dtype=np.float64) <= (1 + excess) * least:
            return assigner
        probes += max(1, probes // 4)
    return None


__all__ = [
    "ITERATIONS", "Sums", "add_sums", "assign", "assigner_over", "cell_count", "cheapest_assigner", "flat_over", "move_centroids",
    "no_sums", "share_out", "sums_of", "train_centroids",
]
