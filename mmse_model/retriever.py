"""Searching: the query tower of a model over the shards of the index built with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np

from mmse_model.ann import live_bitmap, live_selector, map_index, merge_nearest, training_digest
from mmse_model.filtering import Allowed, search_allowed
from mmse_model.index_files import BrokenIndex, IndexCard, dead_ids, shard_fault
from mmse_model.shards import OpenShard


class QueryEncoder(Protocol):
    """What the retriever needs of `mmse_model.encoder.Encoder`."""

    dimension: int

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (N, D)."""


@dataclass(frozen=True)
class ShardSearcher:
    """The shards of one index and of its deltas, memory-mapped. Threads may share it: searching changes nothing.

    `selectors` belong to a shard each: None where all its vectors are live, else what keeps a search from the dead ones.
    """

    card: IndexCard
    shards: tuple[OpenShard, ...]
    probes: int
    selectors: tuple[Any, ...]

    @staticmethod
    def open(folder: Path, probes: int | None = None, *, hashes: bool = True) -> ShardSearcher:
        """Maps every shard of an index folder; `hashes=False` checks sizes but not every byte.

        Raises BrokenIndex that names the file where one is missing, truncated, altered or built
        with another quantizer, and where `probes` is outside 1..lists. Beside the mapped shards a bit for
        every dense id is kept in memory, for each generation of which something is dead.
        """
        card = IndexCard.read(folder)
        probes = card.probes if probes is None else probes
        if not 1 <= probes <= card.lists:
            raise BrokenIndex(f"{folder}: probes = {probes}; expected 1..{card.lists}, the lists of the index")
        shards = []
        for _, shard in card.every_shard():
            if fault := shard_fault(folder, shard, hashes):
                raise BrokenIndex(fault)
            shards.append(_map_shard(folder / shard.path, card))
        return ShardSearcher(card, tuple(shards), probes, tuple(_live_selectors(card, folder, hashes)))

    def search(self, vectors: np.ndarray, k: int, allowed: Allowed | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Squared L2 distances float32 (N, k) and dense ids int64 (N, k), nearest first; (inf, -1) where none is left.

        All shards share one coarse quantizer, so that the lists to probe are found once. Where `allowed` is given, only its items
        are found, and in its lists: `mmse_model.filtering.search_allowed` looks in more where that gives too few.
        """
        if k < 1:
            raise ValueError(f"k = {k}; expected at least 1")
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        if vectors.ndim != 2 or vectors.shape[1] != self.card.dimension:
            raise ValueError(f"vectors of shape {vectors.shape}; expected (N, {self.card.dimension})")
        if not np.isfinite(vectors).all():
            raise ValueError("vectors hold NaN or infinity; expected finite numbers")
        probes, selectors = self.probes, self.selectors
        if allowed is not None:
            probes, selectors = allowed.probes or probes, tuple(allowed.selector(live) for live in self.selectors)
        coarse, lists = self.shards[0].probe(vectors, probes)
        found = [
            shard.search(vectors, k, lists, coarse, selector=selector, refine=self.card.refine)
            for shard, selector in zip(self.shards, selectors)
        ]
        return merge_nearest(*(np.concatenate(parts, axis=1) for parts in zip(*found)), k)


def _map_shard(path: Path, card: IndexCard) -> OpenShard:
    try:
        index = map_index(path)
    except RuntimeError as error:
        raise BrokenIndex(f"{path}: FAISS {faiss.__version__} cannot read it ({_first_line(error)})") from None
    if training_digest(index) != card.training_digest:
        raise BrokenIndex(f"{path}: built with another quantizer than index.json says")
    return OpenShard.of(index)


def _live_selectors(card: IndexCard, folder: Path, hashes: bool) -> Iterator[Any]:
    """For every shard in order; those of one generation share a bitmap."""
    for generation, numbered in groupby(card.every_shard(), key=lambda shard: shard[0]):
        shards = [shard for _, shard in numbered]
        end = max(shard.end for shard in shards)
        dead = dead_ids(card, folder, generation, 0, end, hashes=hashes)
        selector = live_selector(live_bitmap(dead, end)) if len(dead) else None
        for shard in shards:
            low, high = np.searchsorted(dead, [shard.first, shard.end])
            yield selector if high > low else None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


class Retriever:
    """Encodes queries and finds the items with the largest inner product. Thread-safe.

    Built from an encoder and a searcher, or by `Retriever.open` from two published folders.
    """

    def __init__(self, encoder: QueryEncoder, searcher: ShardSearcher) -> None:
        if encoder.dimension != searcher.card.dimension:
            raise BrokenIndex(
                f"the model gives vectors of {encoder.dimension}, the index holds {searcher.card.dimension} dimensions"
            )
        self.encoder = encoder
        self.searcher = searcher

    @staticmethod
    def open(
        model_folder: str | Path, index_folder: str | Path, probes: int | None = None, *, hashes: bool = True
    ) -> Retriever:
        """Opens a model and the index that belongs to it; `probes` replaces the stored number of lists to search.

        Raises BrokenIndex where the index was built from another model or a shard cannot be trusted,
        and ValueError where the model's files cannot be read.
        """
        from mmse_model.encoder import Encoder

        searcher = ShardSearcher.open(Path(index_folder), probes, hashes=hashes)
        content = published_content_hash(Path(model_folder))
        if content != searcher.card.model:
            raise BrokenIndex(
                f"{index_folder}: built with model {searcher.card.model[:12]}...; "
                f"{model_folder} holds {content[:12]}..."
            )
        return Retriever(Encoder.open(model_folder), searcher)

    @property
    def card(self) -> IndexCard:
        """What the index says of itself."""
        return self.searcher.card

    def search(self, texts: Sequence[str], k: int, allowed: Allowed | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Dense ids int64 (N, k), -1 where none is left, and inner products float32 (N, k), -inf there.

        Where `allowed` is given, the best of its items: k of them wherever there are k.
        """
        return self.search_vectors(self.encoder.encode_queries(texts), k, allowed)

    def search_vectors(self, vectors: np.ndarray, k: int, allowed: Allowed | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The same for query vectors, float32 (N, D), of any length.

        Item vectors v have norm 1, so |q - v|^2 = |q|^2 + 1 - 2 <q, v>: the nearest are the best.
        """
        searcher = self.searcher
        distances, ids = searcher.search(vectors, k) if allowed is None else search_allowed(searcher, vectors, k, allowed)
        square = np.sum(np.asarray(vectors, dtype=np.float32) ** 2, axis=1, keepdims=True)
        return ids, ((square + 1 - distances) / 2).astype(np.float32)


def published_content_hash(folder: Path) -> str:
    """The content hash that a published folder's `_MANIFEST.json` states. Raises BrokenIndex where there is none."""
    path = folder / "_MANIFEST.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["content_hash"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenIndex(f"{path}: no content hash to be read ({type(error).__name__})") from None
