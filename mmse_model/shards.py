"""One shard of an index, open for searching: its inverted lists and, where its codec has them, codes to compare hits by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

from mmse_model.ann import list_ids, merge_nearest, search_lists
from mmse_model.codecs import inverted, refinement, turned

AT_ONCE = 4_096
"""Vectors that are decoded at a time: 2 MiB at 128 dimensions, which stays in the processor's cache."""
BITS = np.array([bin(byte).count("1") for byte in range(256)], dtype=np.int64)


@dataclass(frozen=True)
class Places:
    """Where the vector of a dense id stands among those of its shard, which are in ascending order of their ids.

    A bit for each id from `first` on, lowest first, uint8 (n,), and how many are set before each byte, int32 (n,): 5 bits an id.
    """

    first: int
    bits: np.ndarray
    before: np.ndarray

    @staticmethod
    def of(ids: np.ndarray) -> Places:
        """Those of `ids` (n,), in any order."""
        first = int(ids.min()) if len(ids) else 0
        present = np.zeros(int(ids.max()) - first + 1 if len(ids) else 0, dtype=bool)
        present[ids - first] = True
        bits = np.packbits(present, bitorder="little")
        counts = BITS[bits]
        return Places(first, bits, (np.cumsum(counts) - counts).astype(np.int32))

    def find(self, ids: np.ndarray) -> np.ndarray:
        """int64, shaped like `ids`, which are ids of the shard."""
        places = ids - self.first
        bytes_, below = places >> 3, (1 << (places & 7)) - 1
        return self.before[bytes_] + BITS[self.bits[bytes_] & below]


@dataclass(frozen=True)
class OpenShard:
    """A FAISS index of one shard, mapped or in memory, and its parts; `places` only where hits are compared again."""

    index: Any
    ivf: Any
    exact: Any | None
    places: Places | None

    @staticmethod
    def of(index: Any) -> OpenShard:
        """Of the codecs whose hits are compared again every id is read once."""
        exact = refinement(index)
        ids = [np.empty(0, dtype=np.int64), *(list_ids(index) if exact is not None else ())]
        return OpenShard(index, inverted(index), exact, None if exact is None else Places.of(np.concatenate(ids)))

    def probe(self, vectors: np.ndarray, probes: int) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances float32 (N, probes) of the nearest centroids, the same for every shard, and their lists, int64."""
        return self.ivf.quantizer.search(turned(self.index, vectors), probes)

    def search(
        self, vectors: np.ndarray, k: int, lists: np.ndarray, coarse: np.ndarray, *, selector: Any | None = None, refine: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances float32 (N, k) and dense ids int64 (N, k), (inf, -1) where none is left, of `probe`'s lists.

        `refine` times as many are compared again, where the codec has codes for that. `selector` is `live_selector`'s.
        """
        depth = k if self.exact is None else k * refine
        distances, ids = search_lists(self.ivf, turned(self.index, vectors), depth, lists, coarse, selector)
        if self.exact is not None:
            distances = self._compared(vectors, ids)
        distances = np.where(ids < 0, np.inf, distances).astype(np.float32)
        return (distances, ids) if self.exact is None else merge_nearest(distances, ids, k)

    def exact_codes(self, ids: np.ndarray) -> np.ndarray:
        """The codes that hits are compared by, uint8 (n, code size), of `ids` (n,) of the shard."""
        size = self.exact.code_size
        codes = faiss.rev_swig_ptr(self.exact.codes.data(), self.exact.ntotal * size).reshape(-1, size)
        return codes[self.places.find(ids)]

    def _compared(self, vectors: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Squared distances (N, m) of `vectors` (N, D) to the 8-bit codes of `ids` (N, m), anything where an id is -1."""
        distances, step = np.empty(ids.shape, dtype=np.float32), max(1, AT_ONCE // ids.shape[1])
        known = np.maximum(ids, self.places.first)
        for low in range(0, len(ids) if self.exact.ntotal else 0, step):
            part = known[low : low + step]
            decoded = self.exact.sa_decode(self.exact_codes(part.ravel())).reshape(*part.shape, -1)
            decoded -= vectors[low : low + step, None]
            distances[low : low + step] = np.einsum("nmd,nmd->nm", decoded, decoded)
        return distances


__all__ = ["OpenShard", "Places"]
