"""The BM25 baseline: the words that the towers see, in a lexical index (package bm25s)."""

from __future__ import annotations

from collections.abc import Sequence

import bm25s
import numpy as np
from numpy.typing import ArrayLike, NDArray

from jobs.runtime.sections import LexicalSettings
from mmse_model.metrics import NO_ITEM, rank
from mmse_model.text import normalise_many
from mmse_model.tokens import tokenise


def words(texts: Sequence[str | None]) -> list[list[str]]:
    """The words of each text, as the word grain splits them: normalised, punctuation gone, nothing stemmed."""
    tokens = tokenise(normalise_many(texts))["word"]
    spelled = tokens.spell(np.arange(len(tokens.owners)))
    edges = np.searchsorted(tokens.owners, np.arange(len(texts) + 1))
    return [spelled[a:b] for a, b in zip(edges, edges[1:])]


class LexicalIndex:
    """Lucene's BM25 over one document per item (Robertson, Zaragoza 2009; Kamphuis et al. 2020)."""

    def __init__(self, documents: Sequence[str], ids: ArrayLike, settings: LexicalSettings) -> None:
        """`documents` (N,) texts and `ids` (N,) their dense ids."""
        self.ids = np.asarray(ids, np.int64)
        self.engine = bm25s.BM25(method="lucene", k1=settings.k1, b=settings.b)
        self.engine.index(words(documents), show_progress=False)

    def search(self, queries: Sequence[str], k: int) -> NDArray[np.int64]:
        """Dense ids (Q, k), best first, -1 where fewer items share a word with the query."""
        found = np.full((len(queries), k), NO_ITEM, np.int64)
        for row, query in enumerate(words(queries)):
            best = self._best(query, k)
            found[row, : len(best)] = best
        return found

    def _best(self, query: list[str], k: int) -> NDArray[np.int64]:
        known = self.engine.get_tokens_ids(query)
        if not known:
            return np.empty(0, np.int64)
        scores = self.engine.get_scores_from_ids(known)
        # Short titles tie often: everything that ties with place k is kept until the ids have decided.
        floor = np.partition(scores, -k)[-k] if len(scores) > k else 0.0
        kept = np.flatnonzero((scores >= floor) & (scores > 0))
        return rank(scores[None, kept], self.ids[kept], k)[0][0]
