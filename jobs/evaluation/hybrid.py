"""The hybrid baseline: what two systems rank high together, without comparing their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from jobs.evaluation.comparison import Run
from mmse_model.metrics import NO_ITEM, Judgements, Recall, rank

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

WEIGHTS = tuple(n / 10 for n in range(11))
"""What BM25 may count beside the model: from nothing to as much."""

FEWEST = 30
"""Queries of a group that choose a weight of their own; a smaller group takes the weight of all queries."""


@dataclass(frozen=True)
class Weight:
    """What BM25 counts in the fusion, and what chose it: `queries` tuning queries, and by weight their ordered recall.

    The recall is the mean over queries and over all cutoffs.
    """

    value: float
    queries: int = 0
    recalls: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Weights:
    """A weight for queries that training saw and one for those that it did not."""

    seen: Weight
    unseen: Weight

    def of(self, seen: NDArray[np.bool_]) -> Floats:
        """(Q,) the weight of each query; `seen` (Q,)."""
        return np.where(seen, self.seen.value, self.unseen.value)


def hybrid_run(runs: Sequence[Run], constant: float, weight: float | Floats) -> list[Run]:
    """The model with exact search and BM25 at a weight, of all queries or each (Q,), fused; nothing where either is missing."""
    parts = parts_of(runs)
    return [Run("hybrid", "exact", reciprocal_rank_fusion(parts, constant, (1.0, weight)))] if parts else []


def parts_of(runs: Sequence[Run]) -> list[Ids]:
    """What is fused: the model's ranking, then BM25's; empty where either did not take part."""
    by_name = {run.name: run.ranked for run in runs}
    parts = [by_name.get((system, "exact")) for system in ("mmse", "bm25")]
    return [] if any(part is None for part in parts) else [part for part in parts if part is not None]


def choose_weights(
    runs: Sequence[Run], judgements: Judgements, seen: NDArray[np.bool_], ks: Sequence[int], constant: float
) -> Weights:
    """A weight for each group of tuning queries, `seen` (Q,) by training or not: what the model knows of them differs.

    `runs` answer the queries of `judgements`. A group of fewer than `FEWEST` answered queries takes what all of them choose;
    where nothing can be compared both systems count alike.
    """
    parts, answered = parts_of(runs), judgements.relevant > 0
    if not parts or not answered.any():
        return Weights(Weight(1.0), Weight(1.0))
    recalls = recalls_by_weight([part[answered] for part in parts], judgements.select(answered), ks, constant)
    groups = [seen[answered], ~seen[answered]]
    return Weights(*(least_of_the_best(recalls[:, group] if group.sum() >= FEWEST else recalls) for group in groups))


def recalls_by_weight(parts: Sequence[Ids], judged: Judgements, ks: Sequence[int], constant: float) -> Floats:
    """(W, Q) recall of each query at each of `WEIGHTS`, the mean over the cutoffs: no single one decides."""
    fused = (reciprocal_rank_fusion(parts, constant, (1.0, weight)) for weight in WEIGHTS)
    return np.stack([np.mean([(Recall @ k).per_query(ranked, judged) for k in ks], axis=0) for ranked in fused])


def least_of_the_best(recalls: Floats) -> Weight:
    """The lowest weight that is within one standard error of the best one, of recalls (W, Q) of the same queries.

    One-standard-error rule (Breiman et al., "Classification and Regression Trees", 1984, 3.4.3), the error that of the paired
    difference: BM25 takes places from the model only where the queries show, beyond their noise, that it earns them.
    """
    means, queries = recalls.mean(axis=1), recalls.shape[1]
    behind = recalls[means.argmax()] - recalls
    error = behind.std(axis=1, ddof=1) / np.sqrt(queries) if queries > 1 else np.zeros(len(recalls))
    chosen = int(np.flatnonzero(behind.mean(axis=1) <= error)[0])
    return Weight(WEIGHTS[chosen], queries, tuple(zip(WEIGHTS, means.tolist())))


def reciprocal_rank_fusion(
    rankings: Sequence[Ids], constant: float, weights: Sequence[float | Floats] | None = None
) -> Ids:
    """One ranking of several (Q, K), best first: score(item) = sum over rankings of weight / (constant + rank), rank from 1.

    A weight is one number or one for each query (Q,).
    Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet" (SIGIR 2009), where every weight is 1. An item
    that a ranking lacks gets nothing from it, and one without points is not ranked. Ties as everywhere
    (`mmse_model.metrics.rank`). Returns (Q, K), K of the first ranking.
    """
    weights = weights or [1.0] * len(rankings)
    ids = np.concatenate(rankings, axis=1)
    shares = [np.reshape(w, (-1, 1)) / (constant + np.arange(1, r.shape[1] + 1)) for w, r in zip(weights, rankings)]
    points = np.concatenate([np.broadcast_to(share, r.shape) for share, r in zip(shares, rankings)], axis=1)
    ids = np.where(points > 0, ids, NO_ITEM)
    order = np.argsort(ids, axis=1, kind="stable")
    ids, points = np.take_along_axis(ids, order, 1), np.take_along_axis(points, order, 1)
    first = np.ones(ids.shape, bool)
    first[:, 1:] = ids[:, 1:] != ids[:, :-1]
    # An item stands as often as there are rankings that hold it, one beside the other: its first place takes all points.
    copies = [np.where(_shifted(ids, n) == ids, _shifted(points, n), 0.0) for n in range(1, len(rankings))]
    total = reduce(np.add, copies, points)
    return rank(total, np.where(first, ids, NO_ITEM), rankings[0].shape[1])[0]


def _shifted(values: NDArray, places: int) -> NDArray:
    """Each row moved to the left; what is beyond its end is an item that is none, without points."""
    moved = np.full_like(values, NO_ITEM - 1 if values.dtype == np.int64 else 0)
    moved[:, : values.shape[1] - places] = values[:, places:]
    return moved
