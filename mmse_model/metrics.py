"""Retrieval metrics in TREC terms: values per query first, every aggregate from them.

    truth = Judgements.of([0, 0, 1], [7, 9, 7], queries=2)      # query 0 wants items 7 and 9, query 1 wants 7
    ranked = np.array([[9, 8, 7], [3, 4, -1]])                  # item ids, best first, -1 is no item
    (Recall @ 2).per_query(ranked, truth)                       # [0.5, 0.0]
    parse_measure("ndcg@10")                                    # nDCG @ 10

Names and definitions are those of trec_eval; `tests/mmse_model/test_metrics.py` holds them to ir-measures.
Ties: a ranking is by score, highest first, then by item id, HIGHEST first. That is trec_eval's rule
(`strcmp` of the document names, descending), which ir-measures' default provider inherits; its
MS MARCO provider (RR with a cutoff) breaks ties the other way round.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

NO_ITEM = -1
"""Fills a ranking that is shorter than its row."""


@dataclass(frozen=True)
class Judgements:
    """What is relevant to which query: sorted, distinct pairs with a grade above 0.

    `query` (N,) are positions 0..queries-1, `item` (N,) item ids of 0 or more, `grade` (N,).
    """

    query: Ids
    item: Ids
    grade: Floats
    queries: int

    @staticmethod
    def of(query: ArrayLike, item: ArrayLike, grade: ArrayLike | None = None, *, queries: int) -> Judgements:
        """Sorts pairs in any order; without `grade` every pair has grade 1.

        Raises ValueError for a pair named twice, a query outside 0..queries-1, a negative item or a grade of 0 or less.
        """
        query, item = np.asarray(query, np.int64), np.asarray(item, np.int64)
        grades = np.ones(len(query)) if grade is None else np.asarray(grade, np.float64)
        if len(query) and (query.min() < 0 or query.max() >= queries):
            raise ValueError(f"query: positions {query.min()}..{query.max()}; expected 0..{queries - 1}")
        if len(item) and (item.min() < 0 or grades.min() <= 0):
            raise ValueError(f"item {item.min()}, grade {grades.min()}: expected 0 or more, and more than 0")
        order = np.lexsort((item, query))
        query, item, grades = query[order], item[order], grades[order]
        if np.any((query[1:] == query[:-1]) & (item[1:] == item[:-1])):
            raise ValueError("a pair of query and item is named twice; expected one grade for each")
        return Judgements(query, item, grades, queries)

    @property
    def relevant(self) -> Ids:
        """(Q,) number of relevant items of each query."""
        return np.bincount(self.query, minlength=self.queries).astype(np.int64)

    def gains(self, ranked: Ids) -> Floats:
        """(Q, K) grade of each ranked item, 0 where it is not relevant or no item."""
        if len(ranked) != self.queries:
            raise ValueError(f"ranked has {len(ranked)} rows; expected one for each of {self.queries} queries")
        if not len(self.item):
            return np.zeros(ranked.shape)
        width = max(int(self.item.max()), int(ranked.max(initial=0))) + 1
        known = self.query * width + self.item
        asked = np.arange(self.queries)[:, None] * width + ranked
        place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        return np.where((known[place] == asked) & (ranked >= 0), self.grade[place], 0.0)

    def ideal(self, k: int) -> Floats:
        """(Q, k) the k highest grades of each query, descending, padded with 0."""
        order = np.lexsort((-self.grade, self.query))
        first = np.searchsorted(self.query, np.arange(self.queries))
        rank = np.arange(len(self.query)) - first[self.query]
        best = np.zeros((self.queries, k))
        kept = rank < k
        best[self.query[kept], rank[kept]] = self.grade[order][kept]
        return best

    def only(self, pairs: NDArray[np.bool_]) -> Judgements:
        """The judgements where `pairs`, one flag for each of them, holds; of as many queries."""
        return Judgements(self.query[pairs], self.item[pairs], self.grade[pairs], self.queries)

    def select(self, keep: NDArray[np.bool_]) -> Judgements:
        """The judgements of the queries where `keep` (Q,) holds, renumbered in order."""
        number = np.cumsum(keep) - 1
        mask = keep[self.query]
        return Judgements(number[self.query[mask]], self.item[mask], self.grade[mask], int(keep.sum()))


@dataclass(frozen=True)
class Measure:
    """One metric, with the cutoff it is taken at: `nDCG @ 10` prints as `ndcg@10`.

    `compute(gains (Q, K), truth, cutoff) -> (Q,)` sees the gains down to the cutoff only.
    """

    name: str
    doc: str
    compute: Callable[[Floats, Judgements, int | None], Floats]
    cutoff: int | None = None

    def __matmul__(self, cutoff: int) -> Measure:
        if cutoff < 1:
            raise ValueError(f"{self.name}@{cutoff}: expected a cutoff of 1 or more")
        return Measure(self.name, self.doc, self.compute, int(cutoff))

    def __str__(self) -> str:
        return self.name if self.cutoff is None else f"{self.name}@{self.cutoff}"

    def per_query(self, ranked: Ids, truth: Judgements) -> Floats:
        """(Q,) values in 0..1 of rankings (Q, K) of distinct item ids, best first; 0 where nothing is relevant."""
        return self.from_gains(truth.gains(np.asarray(ranked)), truth)

    def from_gains(self, gains: Floats, truth: Judgements) -> Floats:
        """(Q,) values from `truth.gains(ranked)`, which several measures may share."""
        return self.compute(gains[:, : self.cutoff], truth, self.cutoff)


def _share(part: Floats, whole: NDArray[np.generic]) -> Floats:
    """part / whole, 0 where whole is 0."""
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _recall(gains: Floats, truth: Judgements, cutoff: int | None) -> Floats:
    return _share((gains > 0).sum(1).astype(float), truth.relevant)


def _reciprocal_rank(gains: Floats, truth: Judgements, cutoff: int | None) -> Floats:
    found = gains > 0
    return np.where(found.any(1), 1.0 / (found.argmax(1) + 1), 0.0) if gains.shape[1] else np.zeros(len(gains))


def _average_precision(gains: Floats, truth: Judgements, cutoff: int | None) -> Floats:
    found = gains > 0
    precision = found.cumsum(1) / np.arange(1, gains.shape[1] + 1)
    return _share((precision * found).sum(1), truth.relevant)


def _ndcg(gains: Floats, truth: Judgements, cutoff: int | None) -> Floats:
    # The ideal ranking goes down to the cutoff even where the ranking that is judged is shorter.
    ideal = truth.ideal(cutoff or int(truth.relevant.max(initial=0)))
    return _share(_discounted(gains), _discounted(ideal))


def _discounted(gains: Floats) -> Floats:
    return gains @ (1.0 / np.log2(np.arange(gains.shape[1]) + 2))


Recall = Measure("recall", "|relevant among the first k| / |relevant|: TREC's recall_k, not success@k", _recall)
RR = Measure("rr", "1 / rank of the first relevant item, 0 where none is ranked; its mean is MRR", _reciprocal_rank)
AP = Measure("ap", "mean over the relevant items of the precision at their rank, 0 if unranked; its mean is MAP",
             _average_precision)
nDCG = Measure("ndcg", "DCG / ideal DCG, gain = grade, discount = 1 / log2(rank + 1) (Jarvelin 2002)", _ndcg)

MEASURES = {m.name: m for m in (Recall, RR, AP, nDCG)}


def coverage(ranked: ArrayLike, catalogue: int) -> float:
    """Share of a catalogue of so many items that stands anywhere in rankings (Q, K): of all queries together, not of each."""
    ids = np.unique(np.asarray(ranked, np.int64))
    return float((ids != NO_ITEM).sum() / max(catalogue, 1))


def parse_measure(text: str) -> Measure:
    """`recall@100` -> Recall @ 100. Raises ValueError that names the measures there are."""
    name, at, cutoff = text.partition("@")
    if name not in MEASURES or bool(at) != cutoff.isdigit():
        raise ValueError(f"measure {text!r}: expected one of {sorted(MEASURES)}, and '@k' where there is a cutoff")
    return MEASURES[name] @ int(cutoff) if at else MEASURES[name]


def rank(scores: ArrayLike, ids: ArrayLike, k: int) -> tuple[Ids, NDArray[np.generic]]:
    """The k best of each row: ids (Q, k) and scores (Q, k), by score, then by id, both descending.

    `scores` (Q, N); `ids` (Q, N) or (N,); places with id -1 come last. Fewer than k columns give
    fewer. Equal means equal in the dtype given: trec_eval compares float32.
    """
    scores = np.asarray(scores)
    ids = np.broadcast_to(np.asarray(ids, np.int64), scores.shape)
    order = np.lexsort((-ids, -scores, ids < 0), axis=-1)[:, :k]
    return np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)
