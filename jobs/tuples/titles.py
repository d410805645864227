"""Pseudo-queries from titles (#2, "title pairs"): a span of adjacent words or a subset, as short as queries are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmse_model.hashing import finish
from mmse_model.text import normalise_many
from mmse_model.tokens import tokenise

LONGEST = 5
"""Most words in a pseudo-query."""


def title_queries(titles: Sequence[str | None], draws: NDArray[np.int64]) -> list[str]:
    """One pseudo-query for each title, decided by its draw (N,): length, kind and place are hashes of it.

    A title without words gives an empty query.
    """
    words = tokenise(normalise_many(titles))["word"]
    sizes = np.bincount(words.owners, minlength=len(titles))
    kept = _chosen(words.owners, sizes, draws)
    queries: list[list[str]] = [[] for _ in titles]
    for owner, word in zip(words.owners[kept].tolist(), words.spell(kept)):
        queries[owner].append(word)
    return [" ".join(query) for query in queries]


def _chosen(owners: NDArray[np.int64], sizes: NDArray[np.int64], draws: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of the words that stay, in reading order."""
    length = 1 + _below(draws, 1, np.minimum(sizes, LONGEST))
    start = _below(draws, 2, sizes - length + 1)
    is_span = _below(draws, 3, np.full(len(draws), 2)) == 0
    position = np.arange(len(owners)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    in_span = (position >= start[owners]) & (position < (start + length)[owners])
    # A subset is the words with the smallest hashes: every subset of the drawn length is equally likely.
    scores = finish(draws.view(np.uint64)[owners] + np.uint64(8) * position.astype(np.uint64))
    rank = np.empty(len(owners), np.int64)
    rank[np.lexsort((scores, owners))] = position
    in_subset = rank < length[owners]
    return np.flatnonzero(np.where(is_span[owners], in_span, in_subset))


def _below(draws: NDArray[np.int64], purpose: int, limit: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number from 0 to limit - 1 for each draw; independent from one purpose to the next."""
    mixed = finish(draws.view(np.uint64) ^ (np.uint64(purpose) << np.uint64(56)))
    return (mixed % np.maximum(limit, 1).astype(np.uint64)).astype(np.int64)
