"""Searching among some of the items: a bit for every dense id, and more lists for the queries that came back short."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any, Protocol

import faiss
import numpy as np

from mmse_model.index_files import IndexCard

WIDER = 4
"""So many times as many lists are probed again for a query that came back short."""
_ONES = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)
"""Bits that are set in each value of a byte."""


@dataclass(frozen=True, eq=False)
class Allowed:
    """The items that a search may find.

    `bits`, uint8 (ceil(end / 8),), holds a bit for every dense id below `end`, lowest first; `count` is how many are set.
    `probes` is in how many lists they are looked for; None is in as many as without a filter.
    """

    bits: np.ndarray
    count: int
    probes: int | None = None

    @staticmethod
    def of(batches: Iterable[np.ndarray], end: int) -> Allowed:
        """Those dense ids, int64 (n,) a batch in any order, that lie in [0, end)."""
        bits = np.zeros(-(-end // 8), dtype=np.uint8)
        for batch in batches:
            ids = batch[(batch >= 0) & (batch < end)]
            np.bitwise_or.at(bits, ids >> 3, np.uint8(1) << (ids & 7).astype(np.uint8))
        return Allowed(bits, int(_ONES[bits].sum(dtype=np.int64)))

    def selector(self, live: Any | None) -> Any:
        """Under it a search finds only these ids, and of these only what `live` lets through.

        `live` is `mmse_model.ann.live_selector`'s of a generation, or None where all its ids are live. FAISS asks for both bits
        at once: a copy of the one bitmap for every generation would be as large as all of them.
        """
        selector = faiss.IDSelectorBitmap(self.bits)
        return selector if live is None else faiss.IDSelectorAnd(selector, live)


class Searcher(Protocol):
    """What a widening search needs of `mmse_model.retriever.ShardSearcher`."""

    card: IndexCard
    probes: int

    def search(self, vectors: np.ndarray, k: int, allowed: Allowed | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Squared distances (N, k) and dense ids (N, k), nearest first; (inf, -1) where none is left."""


def search_allowed(searcher: Searcher, vectors: np.ndarray, k: int, allowed: Allowed) -> tuple[np.ndarray, np.ndarray]:
    """Squared L2 distances float32 (N, k) and dense ids int64 (N, k) among the allowed items; (inf, -1) where none is left.

    A query whose lists hold fewer than k of them is searched again in WIDER times as many, until it has k, or all there are, or
    every list was probed. Raises ValueError as the searcher does.
    """
    distances, ids = searcher.search(vectors, k, allowed)
    probes, lists, wanted = searcher.probes, searcher.card.lists, min(k, allowed.count)
    while probes < lists and len(short := np.flatnonzero((ids >= 0).sum(axis=1) < wanted)):
        probes = min(WIDER * probes, lists)
        distances[short], ids[short] = searcher.search(vectors[short], k, replace(allowed, probes=probes))
    return distances, ids


class RecentlyAllowed:
    """Bitmaps of recent filters; what was not asked for longest goes first. Threads may share it.

    At most `most` of them are kept, and together at most `most_bytes`: one that is larger is not kept at all.
    """

    def __init__(self, most: int = 64, most_bytes: int = 256 << 20) -> None:
        self.most, self.most_bytes = most, most_bytes
        self._kept: OrderedDict[Hashable, Allowed] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], Allowed]) -> Allowed:
        """What is kept under `key`, or what `make` gives.

        Two threads that miss at once both make it: waiting for one another would stop every other filter too.
        """
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            self._kept[key] = made
            self._kept.move_to_end(key)
            while len(self._kept) > self.most or self._bytes() > self.most_bytes:
                self._kept.popitem(last=False)
        return made

    def _bytes(self) -> int:
        return sum(allowed.bits.nbytes for allowed in self._kept.values())
