"""The hybrid baseline: what two systems rank high together, without comparing their scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from jobs.evaluation.comparison import Run, choose_k
from mmse_model.metrics import NO_ITEM, Judgements, Recall, rank

Ids = NDArray[np.int64]


WEIGHTS = tuple(n / 10 for n in range(11))
"""What BM25 may count beside the model: from nothing to as much."""


@dataclass(frozen=True)
class Weight:
    """What BM25 counts in the fusion, and the ordered recall at `k` on `queries` tuning queries that chose it, by weight."""

    value: float
    k: int | None = None
    queries: int = 0
    recalls: tuple[tuple[float, float], ...] = ()


def hybrid_run(runs: Sequence[Run], constant: float, weight: float) -> list[Run]:
    """The model with exact search and BM25 at a weight, fused; nothing where either did not take part."""
    parts = parts_of(runs)
    return [Run("hybrid", "exact", reciprocal_rank_fusion(parts, constant, (1.0, weight)))] if parts else []


def parts_of(runs: Sequence[Run]) -> list[Ids]:
    """What is fused: the model's ranking, then BM25's; empty where either did not take part."""
    by_name = {run.name: run.ranked for run in runs}
    parts = [by_name.get((system, "exact")) for system in ("mmse", "bm25")]
    return [] if any(part is None for part in parts) else [part for part in parts if part is not None]


def choose_weight(runs: Sequence[Run], judgements: Judgements, ks: Sequence[int], constant: float) -> Weight:
    """The weight of BM25 with the highest ordered recall on queries that are not tested; of equals the lower.

    `runs` answer the tuning queries of `judgements`; k is found among `ks` by the rule of `choose_k`. Where nothing
    can be compared both count alike.
    """
    parts, answered = parts_of(runs), judgements.relevant > 0
    if not parts or not answered.any():
        return Weight(1.0)
    judged = judgements.select(answered)
    ours, theirs = (part[answered] for part in parts)

    def recall(ranked: Ids, k: int) -> float:
        return float((Recall @ k).per_query(ranked, judged).mean())

    k, _ = choose_k(ks, [recall(theirs, k) for k in ks])
    recalls = tuple((w, recall(reciprocal_rank_fusion([ours, theirs], constant, (1.0, w)), k)) for w in WEIGHTS)
    best = max(recalls, key=lambda pair: (pair[1], -pair[0]))
    return Weight(best[0], k, judged.queries, recalls)


def reciprocal_rank_fusion(rankings: Sequence[Ids], constant: float, weights: Sequence[float] | None = None) -> Ids:
    """One ranking of several (Q, K), best first: score(item) = sum over rankings of weight / (constant + rank), rank from 1.

    Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms Condorcet" (SIGIR 2009), where every weight is 1. An item
    that a ranking lacks gets nothing from it, and one without points is not ranked. Ties as everywhere
    (`mmse_model.metrics.rank`). Returns (Q, K), K of the first ranking.
    """
    weights = weights or [1.0] * len(rankings)
    ids = np.concatenate(rankings, axis=1)
    shares = [w / (constant + np.arange(1, r.shape[1] + 1)) for w, r in zip(weights, rankings)]
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
